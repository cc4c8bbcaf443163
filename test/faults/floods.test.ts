import { expect } from 'chai';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import type { TestNode } from '../support/cluster.js';
import { PATIENCE_MS } from '../support/process.js';
import { RawUdp } from '../support/process-wire.js';
import { expectSameReign, PATIENT } from './network/support.js';
import { judgedTitle } from './support/judge.js';
import { expectSound, load } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { descriptors, residentBytes } from './support/watch.js';

/** Many times what the receive buffer of a socket holds. */
const BURST = deep(5_000, 100_000);

const FLOOD = deep(20_000, 1_000_000);

/** What a node's memory may grow by under a flood: garbage is collected late. */
const MAX_GROWTH_BYTES = 96 * 1024 * 1024;

/** A connection for the status and a file of the journal come and go. */
const MAX_MORE_DESCRIPTORS = 8;

/** Well-formed messages of agents that change nothing: of a round that is over, or about what nobody asked. */
function staleMessages(from: TestNode): object[] {
  const { address: fromaddress, port: fromport } = from;
  const sender = { fromaddress, fromport, request: {} };
  return [
    { type: 1, ...sender, entry: 0, round: 0 },
    { type: 2, ...sender, entry: 3, round: 0, roundvalue: { round: -1 } },
    { type: 3, ...sender, entry: 3, round: 0, roundvalue: { round: -1 } },
    { type: 4, ...sender, entry: 2, round: 0, value: 'x'.repeat(200) },
    { type: 5, ...sender, entry: 1, round: 0, value: 'x'.repeat(200) },
    { type: 6, fromaddress, fromport, leaderaddress: fromaddress, leaderport: fromport, round: 0 },
    {},
  ].map((message) => ({ ...message, fromaddress, fromport }));
}

describe(judgedTitle('faults: floods of datagrams'), function () {
  this.timeout(Math.max(FAULTS_TIMEOUT_MS, TEST_TIMEOUT_MS));
  const cluster = useClusters();

  it(`row 24: ${BURST} datagrams of a peer meet a node that is stopped: it goes on, and elects nobody`, async () => {
    const all = await cluster({ nodes: 5, app: 'kvapp', flags: PATIENT });
    const work = load(all);
    await work.more(50);
    // A round above 0, so that what is sent at round 0 is over.
    const first = await all.leader();
    await first.kill();
    await work.more(10);
    await first.start();
    const { leader, followers } = await all.roles();
    const [peer, stopped] = followers;
    await peer!.kill();
    const played = await RawUdp.bind(peer!);
    const messages = staleMessages(peer!);
    await expectSameReign(leader, async () => {
      stopped!.process.signal('SIGSTOP');
      for (let i = 0; i < BURST; i++) await played.send(stopped!, messages[i % messages.length]!);
      await work.more(100);
      const { entries } = await leader.until('its status', () => true);
      stopped!.process.signal('SIGCONT');
      await stopped!.until('what it missed', (status) => status.entries.chosen >= entries.chosen);
      await stopped!.until('its leader', (status) => status.leader === leader.name);
    });
    await played.close();
    await peer!.start();
    await work.more(50);
    await expectSound(all, work);
  });

  it(`row 76: ${FLOOD} datagrams of strangers, garbage and valid Prepares: nobody is elected, nothing is kept`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp', flags: PATIENT });
    const work = load(all);
    await work.more(200);
    const { leader, followers } = await all.roles();
    const stranger = await RawUdp.bind({ address: leader.address, port: '0' });
    const before = all.nodes.map((node) => ({ bytes: residentBytes(node), open: descriptors(node) }));
    const forged = followers.flatMap((node) => staleMessages(node));
    const prepares = followers.map(({ address, port }, i) => ({
      ...{ type: 1, fromaddress: address, fromport: port, request: {}, round: 1_000_000 + i },
    }));
    const flood = [...forged, ...prepares, '{', 'null', '', '\u0000'.repeat(1_000), 'x'.repeat(60_000)];
    await expectSameReign(leader, async () => {
      for (let i = 0; i < FLOOD; i++) {
        await stranger.send(all.nodes[i % 3]!, flood[i % flood.length]!);
      }
      await work.more(100);
    });
    for (const [i, node] of all.nodes.entries()) {
      expect(residentBytes(node) - before[i]!.bytes, 'growth in bytes').to.be.below(MAX_GROWTH_BYTES);
      expect(descriptors(node) - before[i]!.open, 'more descriptors').to.be.below(MAX_MORE_DESCRIPTORS);
      await node.until('them counted', ({ refused }) => (refused['datagram-stranger'] ?? 0) > 0, PATIENCE_MS);
    }
    expect(stranger.received, 'nothing is ever sent to a stranger').to.eql([]);
    await stranger.close();
    await expectSound(all, work);
  });
});
