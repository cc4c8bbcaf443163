import { expect } from 'chai';
import { rm } from 'node:fs/promises';
import { initialise } from '../../src/index.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { judgedTitle } from './support/judge.js';
import { expectSound, load, RESTLESS, type Load } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';

/** Acknowledged requests between two faults. */
const BETWEEN = 30;

/** Times that members die while another one believes in other members. */
const DEATHS = deep(2, 60);

const SEGMENT_BYTES = 1024 * 1024;

/** Makes a node's directory anew, before its first start, with these for its cluster. */
async function believing(node: TestNode, agents: readonly TestNode[]): Promise<void> {
  await rm(node.directory, { recursive: true });
  const { address, port } = node;
  const places = agents.map((agent) => ({ address: agent.address, port: agent.port }));
  await initialise(node.directory, { self: { address, port }, agents: places, segment_bytes: SEGMENT_BYTES });
}

/** Load on these nodes alone. */
function loadOn(all: Cluster, nodes: readonly TestNode[]): Load {
  const servers = nodes.map(({ name }) => name);
  return load(all, { client: () => all.client({ ...RESTLESS, servers }) });
}

describe(judgedTitle('faults: lists of members that differ'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();

  it(`row 55: one that takes itself for a member, while members die ${DEATHS} times: nobody hears it`, async () => {
    const all = await cluster({ nodes: 4, app: 'kvapp', starting: [] });
    const members = all.nodes.slice(0, 3);
    const [one, two, third] = members as [TestNode, TestNode, TestNode];
    const stranger = all.nodes[3]!;
    for (const node of members) await believing(node, members);
    await believing(stranger, [one, two, stranger]);
    await all.start();
    await all.leader(members);
    const work = loadOn(all, members);
    await work.more(BETWEEN);
    // In the third's place: were it counted, the two could lose one of themselves.
    await third.kill();
    await stranger.process.logged('standing');
    for (const node of [one, two]) {
      await node.until('it counted', ({ refused }) => (refused['datagram-stranger'] ?? 0) > 0);
    }
    await work.more(BETWEEN);
    await third.start();
    for (let death = 0; death < DEATHS; death++) {
      const leader = await all.leader(members);
      await leader.kill();
      await work.more(BETWEEN);
      await leader.start();
    }
    await expectSound(all, work, members);
    const { role, entries } = await stranger.until('its status', () => true);
    expect(role).to.not.equal('leader');
    expect(entries.chosen).to.equal(0);
  });

  it(`row 55: a member that knows of two more, and dies ${DEATHS} times: they never vote, and all agree`, async () => {
    const all = await cluster({ nodes: 5, app: 'kvapp', starting: [] });
    const members = all.nodes.slice(0, 3);
    for (const node of members) await believing(node, members);
    // For a quorum of five it needs all three, which any two of them meet.
    const mistaken = members[2]!;
    await believing(mistaken, all.nodes);
    await all.start(members);
    const work = loadOn(all, members);
    for (let death = 0; death < DEATHS; death++) {
      await work.more(BETWEEN);
      await mistaken.kill();
      await work.more(BETWEEN);
      await mistaken.start();
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });
});
