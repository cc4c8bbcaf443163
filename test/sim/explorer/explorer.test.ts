import { expect } from 'chai';
import { withMutant, type Mutant } from '../../../src/core/mutants.js';
import { MessageType } from '../../../src/core/message.js';
import { PRESETS, type Bounds, type Reduction } from '../../../src/sim/explorer/bounds.js';
import { decreeKey } from '../../../src/sim/explorer/items.js';
import { Explorer, type Result } from '../../../src/sim/explorer/explorer.js';
import { checkLiveness } from '../../../src/sim/explorer/liveness.js';
import { SHIPPED, type Protocol } from '../../../src/sim/explorer/protocol.js';

function preset(name: string): Bounds {
  const bounds = PRESETS[name];
  if (bounds === undefined) throw new RangeError(name);
  return bounds;
}

function explored(bounds: Bounds, reduction: Reduction = 'full'): [Explorer, Result] {
  const explorer = new Explorer(bounds, reduction);
  const result = explorer.run();
  expect(result.violation).to.equal(undefined);
  expect(result.complete).to.equal(true);
  return [explorer, result];
}

/** What an agent promised, accepted, learnt, asked and was told: all but how far its disk is. */
function show(explorer: Explorer, id: number): string {
  const { acceptor, learner, proposer, seen } = explorer.cores.get(id).live;
  const { candidate, reign } = proposer;
  const sorted = <K extends number, V, R>(map: Iterable<readonly [K, V]>, value: (v: V) => R): [K, R][] =>
    [...map].sort(([a], [b]) => a - b).map(([key, v]) => [key, value(v)]);
  return JSON.stringify([
    acceptor.promised,
    sorted(acceptor.accepted, ({ round, owner, decree }) => [round, owner, decreeKey(decree)]),
    sorted(learner.chosen, decreeKey),
    learner.notice,
    [proposer.used, seen],
    candidate && [
      candidate.round,
      candidate.first,
      candidate.complete,
      sorted(candidate.reports, ({ values, length, committed }) => [
        sorted(values, (v) => v),
        length,
        committed,
      ]),
    ],
    reign && [reign.round, reign.next, reign.gap, reign.issued, sorted(reign.in_flight, (flight) => flight)],
  ]);
}

/** All combinations of agents that are ever seen together. */
function reached(bounds: Bounds, reduction: Reduction): Set<string> {
  const [explorer, { states }] = explored(bounds, reduction);
  const shown = new Map<number, string>();
  const all = new Set<string>();
  for (let index = 0; index < states; index++) {
    const agents = explorer.coresOf(index).map((id) => {
      const text = shown.get(id) ?? show(explorer, id);
      shown.set(id, text);
      return text;
    });
    all.add(agents.join('\n'));
  }
  return all;
}

describe('explorer: complete spaces', function () {
  this.timeout(60_000);

  // The counts change whenever the protocol does, or what the explorer tells apart. They never change by chance.
  const COUNTS: Record<string, number> = {
    'alone-3-1-2': 1841,
    'alone-3-1-2-1': 7029,
    'alone-3-1-3': 46229,
    'alone-3-2-2': 10507,
    'learners-3-1-2': 20761,
  };
  for (const [name, states] of Object.entries(COUNTS)) {
    it(`${name} has ${states} states, all of them safe`, () => {
      const [, result] = explored(preset(name));
      expect(result.states).to.equal(states);
      expect(result.sometimes.chosen_above_round_0).to.be.above(0);
      expect(result.sometimes.old_value_again).to.be.above(0);
      expect(result.sometimes.two_reigns).to.be.above(0);
    });
  }

  it('sees no-ops chosen, values learnt and promises kept over a restart', () => {
    const [, holes] = explored(preset('alone-3-2-2'));
    expect(holes.sometimes.no_op_chosen).to.be.above(0);
    const [, learners] = explored({ ...preset('learners-3-1-2'), agents: 2, restarts: 1 });
    expect(learners.sometimes.learnt).to.be.above(0);
    expect(learners.sometimes.restart_after_promise).to.be.above(0);
  });

  it('comes from every different state of learners-3-1-2 to a new value that everybody knows', () => {
    const [explorer] = explored(preset('learners-3-1-2'));
    const { tried, distinct, stuck } = checkLiveness(explorer, SHIPPED);
    expect(stuck).to.deep.equal([]);
    expect(tried).to.equal(distinct);
    expect(tried).to.be.above(1000);
  });
});

describe('explorer: what the reductions leave out leads nowhere else', function () {
  this.timeout(60_000);

  const two = { agents: 2, entries: 1, rounds: 2, restarts: 1, learners: false };
  for (const bounds of [two, { ...two, rounds: 3, restarts: 2 }, { ...two, agents: 3, restarts: 0 }]) {
    it(`the same combinations of agents are met: ${JSON.stringify(bounds)}`, () => {
      const [reduced, all] = [reached(bounds, 'full'), reached(bounds, 'none')];
      for (const agents of all) expect(reduced.has(agents), agents).to.equal(true);
      expect(all.size).to.be.above(80);
    });
  }

  it('none is lost with learners, crashes and silent disks', () => {
    const bounds = { ...two, learners: true };
    const [reduced, all] = [reached(bounds, 'full'), reached(bounds, 'none')];
    for (const agents of all) expect(reduced.has(agents), agents).to.equal(true);
  });
});

describe('explorer: it is not blind', function () {
  this.timeout(60_000);

  /** The core, but a leader's own durable vote counts for two. */
  const twice: Protocol = {
    ...SHIPPED,
    step(agent, event) {
      const effects = SHIPPED.step(agent, event);
      const { reign } = agent.proposer;
      const asks = effects.some((e) => e.type === 'send' && e.message.type === MessageType.AcceptRequest);
      if (reign === undefined || !asks) return effects;
      const stranger = (agent.config.self + 1) % agent.config.agents.length;
      for (const flight of reign.in_flight.values()) flight.votes = (1 << stranger) as typeof flight.votes;
      return effects;
    },
  };

  it('sees a value taken for chosen that is one vote short', () => {
    const result = new Explorer(preset('learners-3-1-2'), 'full', twice).run();
    expect(result.violation?.what).to.match(/takes .* for chosen/);
    expect(result.violation?.moves).to.have.length.below(10);
  });

  it('sees an agent that would never be woken', () => {
    const sleepy: Protocol = {
      ...SHIPPED,
      step: (agent, event) =>
        SHIPPED.step(agent, event).filter((e) => e.type !== 'set-timer' || e.timer !== 'try'),
    };
    const result = new Explorer(preset('alone-3-1-2'), 'full', sleepy).run();
    expect(result.violation?.what).to.equal('agent 0 would never be woken: its try timer is not running');
  });

  it('sees states from which no leader comes', () => {
    const aloof: Protocol = {
      ...SHIPPED,
      step(agent, event) {
        const isRefused = agent.proposer.used >= 0 && event.type === 'message';
        if (isRefused && event.message.type === MessageType.Prepare) return [];
        return SHIPPED.step(agent, event);
      },
    };
    const bounds = { ...preset('learners-3-1-2'), agents: 2 };
    const explorer = new Explorer(bounds, 'full', aloof);
    expect(explorer.run().violation).to.equal(undefined);
    const { stuck, tried } = checkLiveness(explorer, aloof);
    expect(stuck).to.have.length.above(0);
    expect(stuck).to.have.length.below(tried);
  });

  const MUTANTS: readonly [Mutant, string, RegExp][] = [
    ['promise_not_durable', 'alone-3-1-2-1', /the promise of round 0 is not on disk/],
    ['accept_without_raising', 'alone-3-1-3-1', /two values are chosen/],
    ['round_reused_after_restart', 'alone-3-1-2-1', /not on disk as spent/],
    ['duplicates_counted', 'learners-3-1-2', /takes .* for chosen/],
    ['commit_at_acceptor', 'alone-3-1-2-1', /takes .* for chosen/],
    ['quorum_one_short', 'alone-3-1-2', /two values are chosen|has two owners|two values are proposed/],
  ];
  for (const [mutant, name, what] of MUTANTS) {
    it(`sees ${mutant.replaceAll('_', ' ')}`, () => {
      const result = withMutant(mutant, () => new Explorer(preset(name)).run());
      expect(result.violation?.what).to.match(what);
    });
  }
});
