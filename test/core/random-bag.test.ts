import { expect } from 'chai';

import { Bag, USUAL, type Odds } from '../support/bag.js';
import { SeededRandom } from '../support/random.js';

/** Runs a bag and says with which seed it failed. */
function runBag(seed: number, agents: number, deliveries: number, odds: Odds): Bag {
  const bag = new Bag(new SeededRandom(seed), agents, odds);
  try {
    bag.run(deliveries);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(
      `with SEED=${seed}, ${agents} agents, after ${bag.counts.deliveries} deliveries: ${text}`,
      { cause: error },
    );
  }
  return bag;
}

/** `SEED=…` runs another one. */
const FIRST_SEED = Number(process.env['SEED'] ?? 20260731);

describe('core, random bag of messages (spec.md, "Proof")', function () {
  this.timeout(60_000);

  const runs: Bag[] = [];
  const worlds: [string, number, number, Odds][] = [
    ['3 agents', 3, 50_000, USUAL],
    ['5 agents', 5, 30_000, { ...USUAL, fresh: 0.7 }],
    ['3 agents that crash often', 3, 20_000, { ...USUAL, crash: 0.004 }],
    ['2 agents', 2, 10_000, USUAL],
    ['4 agents', 4, 20_000, { ...USUAL, fresh: 0.7 }],
  ];
  for (const [name, agents, deliveries, odds] of worlds) {
    it(`stays safe over ${deliveries} deliveries among ${name}`, () => {
      const bag = runBag(FIRST_SEED, agents, deliveries, odds);
      runs.push(bag);
      const { counts, watch } = bag;
      if (process.env['SHOW'] !== undefined) console.log(name, counts, watch.seen, watch.chosen.size);
      expect(watch.chosen.size, 'entries chosen').to.be.above(20);
      expect(counts.reigns, 'changes of leader').to.be.above(3);
      expect(counts.crashes, 'crashes').to.be.above(5);
      expect(counts.old_values_again, 'old values proposed again').to.be.above(0);
      expect(watch.seen.chosen_above_round_0, 'entries chosen above round 0').to.be.above(10);
    });
  }

  it('was not empty: all that makes Paxos hard came up in these runs', () => {
    const sum = (count: (bag: Bag) => number): number => runs.reduce((total, bag) => total + count(bag), 0);
    expect(runs).to.have.length(worlds.length);
    expect(
      sum((bag) => bag.watch.seen.no_ops_chosen),
      'no-ops chosen',
    ).to.be.above(0);
    expect(
      sum((bag) => bag.counts.no_ops),
      'no-ops proposed',
    ).to.be.above(0);
    expect(
      sum((bag) => bag.counts.learnt),
      'entries learnt by catch-up',
    ).to.be.above(0);
    expect(
      sum((bag) => bag.counts.abdications),
      'reigns ended by others',
    ).to.be.above(20);
    expect(
      sum((bag) => bag.counts.records_lost),
      'records lost in crashes',
    ).to.be.above(20);
    expect(
      sum((bag) => bag.counts.answers),
      'answers to clients',
    ).to.be.above(100);
    expect(
      sum((bag) => bag.counts.at_once),
      'messages that came at once',
    ).to.be.above(1_000);
  });
});
