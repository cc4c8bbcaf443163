import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { encodeKvRequest } from '../../../clients/typescript/index.js';
import type { Cluster, TestNode } from '../../support/cluster.js';
import { errorCode, type Raw } from '../../support/process-wire.js';
import { executedIn, expectSound, load } from '../support/load.js';
import { deep } from '../support/mode.js';
import type { Network } from '../support/namespaces.js';
import type { Rows, World } from '../support/rows.js';
import { expectCalm, expectSameReign, indicesOf, others, PATIENT } from './support.js';

/** How long a partition lasts, beyond the time that the majority needs to go on. */
const CUT_MS = deep(1_000, 60_000);

/** A node of which nothing was heard for so long is cut off: it answers dozens of requests a second. */
const SILENT_MS = 500;

/** How often clients lose their leader's answers, and then the leader its clients' requests. */
const LOST_ANSWERS = deep(2, 30);

/** How long; and after how long what was on its way has arrived even on a busy machine. */
const LOST_MS = 1_500;
const ARRIVED_MS = 500;

/** The minority's answers while it is cut off: none of them may say that a request was executed. */
function expectNoAnswers(answers: readonly Raw[]): void {
  for (const answer of answers) expect(errorCode(answer), JSON.stringify(answer)).to.not.equal(undefined);
}

/** Cuts the leader off with `companions` followers, asks it for something, and heals after a while. */
async function cutLeaderOff({ start }: World, companions: number): Promise<void> {
  const { all, network } = await start({ nodes: 5, app: 'kvapp' });
  const work = load(all);
  await work.more(100);
  const { raw, id, leader } = await all.session();
  const minority = [leader, ...others(all, leader).slice(0, companions)];
  const majority = others(all, ...minority);
  const request = encodeKvRequest({ op: 'put', key: 'asked of the minority', value: 'once' });
  raw.request(1, encodeKvRequest({ op: 'put', key: 'before the cut', value: 'once' }));
  expect((await raw.next()).type).to.equal(8);

  await network.partition(indicesOf(all, minority), indicesOf(all, majority));
  // Answers to what was accepted before the cut may still be on their way; this comes after them.
  raw.request(2, request);
  const successor = await all.leader(majority);
  expect(successor).to.not.equal(leader);
  await work.more(100);
  await pause(CUT_MS);
  expectNoAnswers(raw.all.slice(2));

  await network.heal();
  expect((await all.leader()).name).to.be.oneOf(all.nodes.map(({ name }) => name));
  const again = await all.session(id);
  again.raw.request(2, request);
  expect((await again.raw.next()).type).to.equal(8);
  await work.more(100);
  const log = await expectSound(all, work);
  expect([...executedIn(log).values()].filter(({ value }) => value === request)).to.have.length(1);
}

/** A follower whose sends, or whose ears, are cut: the leader stays, in the round that it has. */
async function cutFollower({ start }: World, can: 'hear' | 'speak'): Promise<void> {
  const { all, network } = await start({ nodes: 3, app: 'kvapp', flags: PATIENT });
  const work = load(all);
  await work.more(50);
  const { leader, follower } = await all.roles();
  const [half, rest] = [indicesOf(all, [follower]), indicesOf(all, others(all, follower))];
  await expectSameReign(leader, async () => {
    if (can === 'hear') {
      await network.cut(half, rest);
      await leader.until('its silence', ({ peers }) =>
        peers.some(
          ({ address, last_heard_ms_ago }) => address === follower.name && last_heard_ms_ago! > SILENT_MS,
        ),
      );
      const { chosen } = (await leader.until('its status', () => true)).entries;
      await follower.until('what it hears', ({ entries }) => entries.chosen > chosen);
    } else {
      await network.cut(rest, half);
      // It hears nobody, so it stands, and nobody follows.
      await follower.process.logged('standing');
    }
    await work.more(200);
    await pause(CUT_MS);
    await network.heal();
    await follower.until('its leader again', (status) => status.leader === leader.name && status.ready);
    await work.more(50);
  });
  await expectSound(all, work);
}

/** A leader whose sends, or whose ears, are cut: another one leads, and stays. */
async function cutLeader({ start }: World, can: 'hear' | 'speak'): Promise<void> {
  const { all, network } = await start({ nodes: 3, app: 'kvapp' });
  const work = load(all);
  await work.more(50);
  const leader = await all.leader();
  const rest = others(all, leader);
  const [half, sound] = [indicesOf(all, [leader]), indicesOf(all, rest)];
  await (can === 'hear' ? network.cut(half, sound) : network.cut(sound, half));
  await all.leader(rest);
  await work.more(100);
  await expectCalm(rest, work);
  if (can === 'hear') {
    await leader.until('its successor', (status) => status.role === 'follower' && status.leader !== null);
  }
  await network.heal();
  await all.leader();
  await expectCalm(all.nodes, work);
  await expectSound(all, work);
}

/** Leaves only these links between nodes, both ways. */
async function leaveLinks(
  all: Cluster,
  network: Network,
  links: readonly (readonly [TestNode, TestNode])[],
): Promise<void> {
  const joined = (a: TestNode, b: TestNode): boolean =>
    links.some(([one, two]) => (one === a && two === b) || (one === b && two === a));
  for (const from of all.nodes) {
    const cut = all.nodes.filter((to) => to !== from && !joined(from, to));
    await network.cut(indicesOf(all, [from]), indicesOf(all, cut));
  }
}

/** Five nodes, some of whose links are cut: somebody who can lead leads, calmly, and healed all are one again. */
async function cutPartly(
  { start }: World,
  cut: (all: Cluster, network: Network, leader: TestNode) => Promise<void>,
): Promise<void> {
  const { all, network } = await start({ nodes: 5, app: 'kvapp' });
  const work = load(all);
  await work.more(50);
  await cut(all, network, await all.leader());
  await work.more(100);
  await pause(CUT_MS);
  await expectCalm(all.nodes, work);
  await network.heal();
  await all.leader();
  await work.more(50);
  await expectSound(all, work);
}

/** Cuts the way between clients and the leader, whoever it is, in one direction: nothing is acknowledged meanwhile. */
async function cutClientsOff({ start }: World, lost: 'answers' | 'requests'): Promise<void> {
  const { all, network } = await start({ nodes: 3, app: 'kvapp', flags: PATIENT });
  const work = load(all);
  for (let i = 0; i < LOST_ANSWERS; i++) {
    await work.more(50);
    const host = indicesOf(all, [await all.leader()]);
    await (lost === 'answers' ? network.cut(host, ['outside']) : network.cut(['outside'], host));
    await pause(ARRIVED_MS);
    const before = work.acknowledged.length;
    await pause(LOST_MS);
    expect(work.acknowledged.length, 'acknowledged by a leader that cannot be heard').to.equal(before);
    await network.heal();
  }
  await work.more(50);
  await expectSound(all, work);
}

export const rows: Rows = {
  'rows 56 and 60: the leader hears its clients, and its answers are lost; they ask again': (world) =>
    cutClientsOff(world, 'answers'),
  'row 60: the clients hear the leader, and their requests are lost; they ask again': (world) =>
    cutClientsOff(world, 'requests'),

  'row 17: a leader cut off alone acknowledges nothing, the four others go on, and healed they are one': (
    world,
  ) => cutLeaderOff(world, 0),
  'row 17: so does a leader with one of four followers': (world) => cutLeaderOff(world, 1),

  'row 18: a follower that hears and cannot speak disturbs nobody': (world) => cutFollower(world, 'hear'),
  'row 18: a follower that speaks and cannot hear stands in vain': (world) => cutFollower(world, 'speak'),
  'row 18: a leader that hears and cannot speak gives way for good': (world) => cutLeader(world, 'hear'),
  'row 18: a leader that speaks and cannot hear gives way for good': (world) => cutLeader(world, 'speak'),

  'row 19: quorum loss: all lose each other but one that has all of them, and it leads': (world) =>
    cutPartly(world, async (all, network, leader) => {
      const [hub] = others(all, leader);
      await leaveLinks(
        all,
        network,
        others(all, hub!).map((node) => [hub!, node] as const),
      );
    }),
  'row 19: constrained election: the only one that has all is one that fell behind': (world) =>
    cutPartly(world, async (all, network, leader) => {
      const [hub] = others(all, leader);
      await network.partition(indicesOf(all, [hub!]), indicesOf(all, others(all, hub!)));
      const before = (await leader.until('its status', () => true)).entries.chosen;
      await leader.until('what the hub misses', ({ entries }) => entries.chosen > before + 100);
      await network.heal();
      const rest = others(all, hub!, leader);
      await leaveLinks(
        all,
        network,
        rest.map((node) => [hub!, node] as const),
      );
    }),
  'row 19: chained: each has two neighbours, the outermost one': (world) =>
    cutPartly(world, async (all, network, leader) => {
      // The leader stands at an end, where it has no quorum.
      const chain = [leader, ...others(all, leader)];
      await leaveLinks(
        all,
        network,
        chain.slice(1).map((node, i) => [chain[i]!, node] as const),
      );
    }),
};
