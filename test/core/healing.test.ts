import { expect } from 'chai';

import { connectionId, type ConnectionId } from '../../src/core/ids.js';
import { Bag, USUAL, type Odds } from '../support/bag.js';
import { HealedWorld } from '../support/healed.js';
import { ask, hello } from '../support/make.js';
import { SeededRandom } from '../support/random.js';
import type { CoreNode } from '../support/core-node.js';

/** Long enough for the longest back-off, a few tries, and catching up. */
const HEALING_MS = 30_000;

/** Past this, one more leader every second would be a quarrel without end. */
const MAX_REIGNS_WHILE_HEALING = 12;

/** Whether something will make this agent act again, though nobody speaks to it. */
function isAwake({ state, timers }: CoreNode): boolean {
  const { reign, candidate } = state.proposer;
  if (reign !== undefined) return timers.has('heartbeat') && timers.has('progress') && timers.has('accept');
  if (candidate !== undefined) return timers.has('try') && timers.has('prepare');
  if (state.election.leader !== undefined) return timers.has('leader');
  return timers.has('leader') || timers.has('election');
}

/** Chaos first, then healing with the first `down` agents dead; returns what is left of it. */
function heal(seed: number, agents: number, down: number, odds: Odds): { bag: Bag; world: HealedWorld } {
  const random = new SeededRandom(seed);
  const bag = new Bag(random, agents, odds);
  bag.onStep = (node) => {
    if (!isAwake(node)) throw new Error(`agent ${node.self} sleeps for ever`);
  };
  bag.run(200 + random.below(1500));
  for (const node of bag.nodes.slice(0, down)) node.crash();
  const world = new HealedWorld(bag.nodes, random);
  bag.onSent = (sent) => world.sent(sent);
  world.begin();
  world.run(HEALING_MS);
  return { bag, world };
}

function expectHealthy(nodes: readonly CoreNode[]): CoreNode {
  const leaders = nodes.filter(({ state }) => state.proposer.reign !== undefined);
  expect(leaders, 'leaders').to.have.length(1);
  const leader = leaders[0]!;
  const reign = leader.state.proposer.reign!.round;
  for (const { self, state } of nodes) {
    expect(state.learner.committed, `commit index of ${self}`).to.equal(leader.state.learner.committed);
    // What only a dead reign's minority accepted may lie beyond the log's end; of this reign all is chosen.
    const open = [...state.acceptor.accepted].filter(
      ([e, { round }]) => e >= state.learner.committed && round === reign,
    );
    expect(open, `left open at ${self}`).to.be.empty;
    expect(state.catchup.source, `stream of ${self}`).to.equal(undefined);
    if (self !== leader.self) expect(state.election.leader, `leader of ${self}`).to.equal(leader.self);
  }
  return leader;
}

function expectNoTraces({ self, state }: CoreNode): void {
  const { connections, bound, proposed, queue, patient, answers } = state.clients;
  const left = [connections, bound, proposed, patient, answers.waiters].map(({ size }) => size);
  expect([...left, queue.length], `what ${self} keeps of clients that are gone`).to.deep.equal([
    0, 0, 0, 0, 0, 0,
  ]);
  expect(state.proposer.own_votes, `own votes of ${self}`).to.have.length(0);
}

function logOne(world: HealedWorld, leader: CoreNode, connection: ConnectionId): void {
  const before = leader.state.learner.committed;
  world.did(leader, leader.step({ type: 'client', connection, message: hello() }));
  world.did(leader, leader.step({ type: 'client', connection, message: ask(1, 'after the storm') }));
  world.did(leader, leader.step({ type: 'client-closed', connection }));
  world.run(1000);
  expect(leader.state.learner.committed, 'one request more').to.equal(before + 1);
}

const FIRST_SEED = Number(process.env['SEED'] ?? 417);

describe('core, healing (spec.md, "Liveness")', function () {
  this.timeout(60_000);

  const worlds: [string, number, number, number][] = [
    ['3 agents', 3, 0, 60],
    ['3 agents of which one is dead', 3, 1, 60],
    ['5 agents of which two are dead', 5, 2, 40],
    ['4 agents', 4, 0, 20],
    ['2 agents', 2, 0, 20],
  ];
  for (const [name, agents, down, runs] of worlds) {
    it(`brings ${name} to one leader and one log, from ${runs} states that chaos left`, () => {
      for (let seed = FIRST_SEED; seed < FIRST_SEED + runs; seed++) {
        try {
          const { bag, world } = heal(seed, agents, down, USUAL);
          const up = bag.nodes.slice(down);
          const leader = expectHealthy(up);
          expect(world.counts.reigns, 'reigns while healing').to.be.at.most(MAX_REIGNS_WHILE_HEALING);
          logOne(world, leader, connectionId(1_000_000));
          for (const node of up) expectNoTraces(node);
        } catch (error) {
          const text = error instanceof Error ? error.message : String(error);
          throw new Error(`with SEED=${seed}, ${name}: ${text}`, { cause: error });
        }
      }
    });
  }
});
