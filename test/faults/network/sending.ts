import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster, TestNode } from '../../support/cluster.js';
import { expectSound, load } from '../support/load.js';
import { deep } from '../support/mode.js';
import type { Rows } from '../support/rows.js';
import { residentBytes } from '../support/watch.js';
import { expectCalm, indicesOf, others } from './support.js';

/** How long a node's sends fail. */
const FAILING_MS = deep(2_000, 20_000);

/** What a node may grow by while nothing that it sends leaves. */
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;

const SENDING_CALLS = 'sendmsg,sendmmsg,sendto';

/** The system refuses whatever this node sends to other nodes, for a while. */
async function refuseSends(all: Cluster, node: TestNode, error: string): Promise<void> {
  const inject = ['-e', `trace=${SENDING_CALLS}`, '-e', `inject=${SENDING_CALLS}:error=${error}`];
  const command = ['strace', '-f', '-o', '/dev/null', ...inject, '-p', String(node.process.pid)];
  const strace = all.run('strace', command);
  await strace.until('its hold of the node', () => /attached/.test(strace.stderr) || undefined);
  const before = residentBytes(node);
  await pause(FAILING_MS);
  expect(residentBytes(node) - before, 'growth in bytes').to.be.below(MAX_GROWTH_BYTES);
  await strace.end('SIGTERM');
}

/** It has counted what it couldn't send. */
async function expectUnsent(node: TestNode): Promise<void> {
  // It may take a moment to be reached again itself.
  await node.until('what it could not send', ({ refused }) => {
    return (refused['send-error'] ?? 0) + (refused['send-queue-full'] ?? 0) > 0;
  });
}

export const rows: Rows = {
  'row 25: the leader’s interface goes, and comes back (ENETUNREACH)': async ({ start }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    await work.more(50);
    const leader = await all.leader();
    const [host] = indicesOf(all, [leader]);
    const before = residentBytes(leader);
    await network.setInterface(host!, 'down');
    await all.leader(others(all, leader));
    await work.more(50);
    await pause(FAILING_MS);
    expect(residentBytes(leader) - before, 'growth in bytes').to.be.below(MAX_GROWTH_BYTES);
    await network.setInterface(host!, 'up');
    await expectUnsent(leader);
    await expectCalm(all.nodes, work);
    await expectSound(all, work);
    expect(all.running).to.have.length(3);
  },

  'row 25: whatever a follower and then the leader sends is refused with ENOBUFS': async ({ start }) => {
    const { all } = await start({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    await work.more(50);
    const { leader, follower } = await all.roles();
    await refuseSends(all, follower, 'ENOBUFS');
    await work.more(50);
    await refuseSends(all, leader, 'ENOBUFS');
    // The datagrams that wait for room are sent later, or dropped when they are too many.
    await expectCalm(all.nodes, work);
    await expectSound(all, work);
    expect(all.running).to.have.length(3);
  },

  'row 25: every second datagram of the leader is refused with ECONNREFUSED': async ({ start }) => {
    const { all } = await start({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    await work.more(50);
    const leader = await all.leader();
    await refuseSends(all, leader, 'ECONNREFUSED:when=1+2');
    await expectUnsent(leader);
    await work.more(50);
    await expectCalm(all.nodes, work);
    await expectSound(all, work);
    expect(all.running).to.have.length(3);
  },
};
