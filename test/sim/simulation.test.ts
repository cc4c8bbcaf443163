import { expect } from 'chai';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Counters, ENOUGH_SEEDS, SOMETIMES, unseen } from '../../src/sim/counters.js';
import { drawPlan, type Plan } from '../../src/sim/plan.js';
import { shrink } from '../../src/sim/shrink.js';
import { simulate, type RunResult } from '../../src/sim/simulation.js';

/** Short runs, so that many fit into seconds; `npm run sim` takes longer ones. */
const LONGEST_MS = 8_000;
const SEEDS = 300;

const REGRESSIONS = new URL('./regressions/', import.meta.url);

const LIGHT_LOAD = new URL('./loads/light.json', import.meta.url);

/** Of a failing run, so that its plan is small and the tests still end. */
const SHRINKING_TRIES = 60;

/** Fails with the end of the run, and with its plan made small: here, and in a file for `npm run sim -- --plan`. */
async function expectClean(result: RunResult): Promise<void> {
  const { plan, failure, trace } = result;
  if (failure === undefined) return;
  const small = await shrink(result, simulate, SHRINKING_TRIES);
  const file = join(tmpdir(), `paxosd-seed-${plan.seed}.json`);
  const text = JSON.stringify(small.plan, undefined, 2);
  writeFileSync(file, `${text}\n`);
  const end = trace.slice(-40).join('\n');
  expect.fail(`seed ${plan.seed}: ${failure.message}\n${end}\nthe plan, made small, is in ${file}:\n${text}`);
}

/** Nothing but what a test adds to it goes wrong. */
function calmPlan(seed: number): Plan {
  const { segment_bytes = 4096, clients, ...plan } = drawPlan(seed, LONGEST_MS);
  const { seed: same, nodes, has_app, duration_ms, network } = plan;
  const calm = { prehistory: 0, disk: { least_ms: 0.1, most_ms: 1 }, timers_first: 0, skew: 0, actions: [] };
  return { seed: same, nodes, has_app, duration_ms, network, segment_bytes, clients, ...calm };
}

/** Leaders that die in the midst of many proposals, over links that lose a third: what makes holes in the log. */
function holesPlan(seed: number): Plan {
  const plan = calmPlan(seed);
  const network = { ...plan.network, loss: 0.3, least_ms: 0.5, most_ms: 20 };
  const clients = { ...plan.clients, count: 4, depth: 64, think_ms: 5 };
  const actions = Array.from({ length: 5 }, (_, i) => ({
    kind: 'crash' as const,
    node: 'leader' as const,
    power: true,
    effects: 1 + i,
    down_ms: 50,
    at_ms: 1500 * (i + 1),
  }));
  return { ...plan, nodes: 3, duration_ms: LONGEST_MS, network, clients, actions };
}

/** A leader whose disk falls silent while it has work. */
function silentDiskPlan(seed: number): Plan {
  const action = { kind: 'disk-hang', node: 'leader', for_ms: 4_000, at_ms: 2_500 } as const;
  return { ...holesPlan(seed), actions: [action] };
}

describe('simulated clusters', function () {
  this.timeout(400_000);

  it(`keep every invariant and come back to life, over ${SEEDS} seeds`, async () => {
    const counters = new Counters();
    const plans = Array.from({ length: SEEDS }, (_, i) => drawPlan(i + 1, LONGEST_MS));
    for (const plan of [...plans, holesPlan(1), holesPlan(2), holesPlan(3), silentDiskPlan(1)]) {
      const result = await simulate(plan);
      await expectClean(result);
      counters.merge(result.counters);
    }
    expect(unseen(counters, plans.length)).to.deep.equal([]);
  });

  it('prove little when they never see what they should', () => {
    const counters = new Counters();
    for (const name of SOMETIMES.slice(1)) counters.add(name);
    expect(unseen(counters, ENOUGH_SEEDS - 1)).to.deep.equal([]);
    expect(unseen(counters, ENOUGH_SEEDS)).to.deep.equal([SOMETIMES[0]]);
  });

  it('run alike to the last event from the same seed, and differently from another', async () => {
    const runs: RunResult[] = [];
    for (const seed of [7, 7, 8]) runs.push(await simulate(drawPlan(seed, LONGEST_MS)));
    expect(runs[1]!.hash).to.equal(runs[0]!.hash);
    expect(runs[1]!.events).to.equal(runs[0]!.events);
    expect(runs[2]!.hash).not.to.equal(runs[0]!.hash);
  });

  it('read back a log that is older than their memory, and catch up thousands of entries', async () => {
    const plan = drawPlan(4, LONGEST_MS);
    const clients = { ...plan.clients, query: 1, think_ms: 20 };
    const result = await simulate({ ...plan, nodes: 3, prehistory: 5_000, clients });
    await expectClean(result);
    expect(result.counters.get('entries loaded')).to.be.greaterThan(0);
  });

  it('elect one leader for good where nothing fails', async () => {
    const calm = calmPlan(5);
    const network = {
      ...calm.network,
      loss: 0,
      duplicate: 0,
      replay: 0,
      spike: 0,
      least_ms: 0.1,
      most_ms: 1,
    };
    const clients = { ...calm.clients, count: 3, think_ms: 50 };
    const result = await simulate({ ...calm, nodes: 5, clients, network });
    await expectClean(result);
    expect(result.counters.get('reigns')).to.be.at.most(2); // the second one after a minority was retired
    expect(result.counters.get('operations answered')).to.be.greaterThan(10);
  });

  it('serve a light load, whose speed docs/proof.md states', async () => {
    const plan = JSON.parse(readFileSync(LIGHT_LOAD, 'utf8')) as Plan;
    const result = await simulate({ ...plan, duration_ms: 400_000 });
    await expectClean(result);
    expect(result.counters.get('reigns')).to.be.greaterThan(1);
    expect(result.counters.get('operations answered')).to.be.greaterThan(600);
  });

  it('go on without a node whose journal is damaged', async () => {
    for (let seed = 1; seed <= 2; seed++) {
      const how = seed % 2 === 0 ? 'zero' : 'flip';
      const action = { kind: 'damage', node: 1, how, down_ms: 100, at_ms: 5_000 } as const;
      const plan = { ...holesPlan(seed), segment_bytes: 4096, probes: 1, actions: [action] };
      const result = await simulate(plan);
      await expectClean(result);
      expect(result.counters.get('damaged journal refused')).to.equal(1);
      expect(result.counters.get('operations answered')).to.be.greaterThan(0);
    }
  });

  it('serve their clients beside one who uses the sessions of others, and applications that answer oddly', async () => {
    const counters = new Counters();
    for (let seed = 1; seed <= 6; seed++) {
      const clients = { ...drawPlan(seed, LONGEST_MS).clients, count: 4, depth: 16, think_ms: 20 };
      const odd = { has_app: true, intruder_ms: 50, odd_answers: 0.1 };
      const result = await simulate({
        ...calmPlan(seed),
        nodes: 3,
        duration_ms: 6_000,
        clients,
        ...odd,
      });
      await expectClean(result);
      counters.merge(result.counters);
    }
    for (const name of [
      'intruder',
      ...['twice', 'never-sent', 'out-of-order'].map((oddity) => `application answers, ${oddity}`),
    ])
      expect(counters.get(`fault: ${name}`), name).to.be.greaterThan(10);
    for (const code of ['no-such-session', 'not-connected', 'foreign-id', 'session-taken-over'])
      expect(counters.get(`reply: ${code}`), code).to.be.greaterThan(0);
  });

  for (const name of readdirSync(REGRESSIONS).filter((each) => each.endsWith('.json'))) {
    it(`don't fail again as in ${name}`, async () => {
      const plan = JSON.parse(readFileSync(new URL(name, REGRESSIONS), 'utf8')) as Plan;
      await expectClean(await simulate(plan));
    });
  }
});
