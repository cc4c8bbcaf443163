import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { mutants, MUTANTS, withMutant, type Mutant } from '../../src/core/mutants.js';
import type { Plan } from '../../src/sim/plan.js';
import { simulate, type RunResult } from '../../src/sim/simulation.js';
import { Scenario } from '../support/scenario.js';

/**
 * Each deliberate mistake of the core is seen by a net, and nothing is wrong there without it: so the nets have no hole of
 * that shape (docs/proof.md has the table). The plans in `plans` are runs of the simulator, named after their mutants.
 */

const PLANS = new URL('./plans/', import.meta.url);
const SCENARIOS = new URL('../scenarios/', import.meta.url);
const TABLE = new URL('../../docs/proof.md', import.meta.url);

/** Seeds that a plan gets: every change of the core moves the chances of a run about. */
const CANDIDATES = 100;

/** What a simulated cluster breaks with each mistake, as the simulator calls it. */
const SIMULATED: Readonly<Partial<Record<Mutant, string>>> = {
  promise_not_durable: '3 durable',
  acceptance_not_durable: '3 durable',
  accept_without_raising: '4 monotonic',
  held_taken_for_below: 'core: nothing is accepted below a promise',
  taken_taken_for_above: '3 durable',
  most_votes_for_highest_round: '5 safe',
  promise_for_one_entry: '5 safe',
  round_reused_after_restart: '10 recovery',
  duplicates_counted: '6 chosen',
  commit_at_acceptor: '6 chosen',
  stale_promise_counted: '5 safe',
  query_from_accepted: '6 chosen',
  quorum_one_short: '6 chosen',
  leader_at_round_zero: '5 safe',
  sessions_keyed_by_node: '8 once',
  reply_before_fsync: '6 chosen',
  omitted_read_as_none: '5 safe',
  length_read_as_empty: '5 safe',
  holes_unreported: 'liveness',
  commit_index_not_durable: '3 durable',
  response_before_earlier: '8 once',
  no_op_without_noset: '3 durable',
  notice_of_any_round: '6 chosen',
  accept_over_chosen: '6 chosen',
  duplicate_executed: '8 once',
};

interface Told {
  readonly scenario: string;
  /** The scenario is told up to this command, and then goes on with `then`. */
  readonly upto: string;
  readonly then: readonly string[];
  readonly breaks: RegExp;
}

/** Mistakes for whose harm too much has to come together by chance. */
const TOLD: Readonly<Partial<Record<Mutant, Told>>> = {
  notice_after_foreign_learn: {
    scenario: 'trace-12-notices-of-a-deposed-leader.txt',
    upto: '> stream 0',
    // The next message of a leader that should be none any more says that entry 0 is chosen.
    then: ['client ann request no=2 value=y', 'deliver all'],
    breaks: /an agent takes for chosen what is not/,
  },
};

function storedPlan(mutant: Mutant): Plan {
  return JSON.parse(readFileSync(new URL(`${mutant}.json`, PLANS), 'utf8')) as Plan;
}

/** A plan by which the simulator sees the mistake as it should; undefined if there is none among the candidates. */
async function deadlyPlan(mutant: Mutant, breaks: string): Promise<Plan | undefined> {
  const plan = storedPlan(mutant);
  for (let i = 0; i < CANDIDATES; i++) {
    const candidate = { ...plan, seed: plan.seed + i };
    if ((await simulateWith(mutant, candidate)).failure?.kind === breaks) return candidate;
  }
  return undefined;
}

/** As `withMutant`, for what takes more than one turn of the event loop. */
async function simulateWith(mutant: Mutant, plan: Plan): Promise<RunResult> {
  mutants[mutant] = true;
  try {
    return await simulate(plan);
  } finally {
    mutants[mutant] = false;
  }
}

function tell({ scenario, upto, then }: Told): void {
  const lines = readFileSync(new URL(scenario, SCENARIOS), 'utf8').split('\n');
  const last = lines.indexOf(upto);
  expect(last, upto).to.be.above(0);
  const cluster = new Scenario();
  const commands = lines.slice(0, last + 1).filter((line) => line.startsWith('> '));
  for (const command of [...commands.map((line) => line.slice(2)), ...then]) cluster.run(command);
}

describe('mutants', function () {
  this.timeout(60_000);

  it('are all looked for, and rest when nobody looks', () => {
    expect([...Object.keys(SIMULATED), ...Object.keys(TOLD)]).to.have.members(MUTANTS);
    expect(readdirSync(PLANS)).to.have.members(Object.keys(SIMULATED).map((mutant) => `${mutant}.json`));
    const fails = (): never => withMutant('quorum_one_short', () => expect.fail('on purpose'));
    expect(fails).to.throw('on purpose');
    expect(Object.values(mutants)).to.not.include(true);
  });

  it('stand in the table of docs/proof.md, with what they break', () => {
    const rows = readFileSync(TABLE, 'utf8').split('\n');
    for (const mutant of MUTANTS) {
      const row = rows.find((line) => line.startsWith(`| \`${mutant}\``));
      expect(row ?? '', mutant).to.include(SIMULATED[mutant] ?? TOLD[mutant]?.scenario);
    }
  });

  for (const [mutant, breaks] of Object.entries(SIMULATED) as [Mutant, string][]) {
    it(`${mutant} is seen in a simulated cluster`, async () => {
      const plan = await deadlyPlan(mutant, breaks);
      if (plan === undefined) expect.fail(`survives ${CANDIDATES} seeds of its plan`);
      expect((await simulate(plan)).failure?.message).to.equal(undefined);
    });
  }

  for (const [mutant, told] of Object.entries(TOLD) as [Mutant, Told][]) {
    it(`${mutant} is seen in a scenario`, () => {
      expect(() => withMutant(mutant, () => tell(told))).to.throw(told.breaks);
      tell(told);
    });
  }
});
