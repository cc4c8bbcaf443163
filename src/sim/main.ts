import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { commit } from './commit.js';
import { Counters, SOMETIMES, unseen } from './counters.js';
import { drawPlan, type Plan } from './plan.js';
import { shrink } from './shrink.js';
import { simulate, type RunResult } from './simulation.js';

function parseWhole(text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 0) throw new InvalidArgumentError('a whole number is wanted');
  return n;
}

interface Options {
  readonly seed?: number;
  readonly seeds?: number;
  readonly first: number;
  readonly trace?: boolean;
  readonly bail?: boolean;
  readonly plan?: string;
  readonly store?: string;
  readonly shrink: boolean;
}

/** Above this a seed is named: five seconds are what is promised. */
const SLOW_HEALING_MS = 5_000;

/** Lines of a failing run that are shown. */
const SHOWN_LINES = 80;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function runOne(plan: Plan, options: Options): Promise<RunResult> {
  const result = await simulate(plan, options.trace === true ? say : undefined);
  if (result.failure) await explain(result, options);
  return result;
}

/** Makes a failing run small, shows how it ends, and keeps its plan where it is asked to. */
async function explain(result: RunResult, options: Options): Promise<void> {
  const { seed } = result.plan;
  say(`seed ${seed} fails: ${result.failure?.message ?? ''}`);
  const small = options.shrink ? await shrink(result) : { plan: result.plan, result, tries: 0 };
  if (options.trace !== true) for (const line of small.result.trace.slice(-SHOWN_LINES)) say(line);
  const { nodes, actions, duration_ms } = small.plan;
  say(
    `seed ${seed} after ${small.tries} tries to shrink it: ${nodes} nodes, ${actions.length} deeds, ` +
      `${duration_ms.toFixed(0)} ms: ${small.result.failure?.message ?? ''}`,
  );
  if (options.store === undefined) {
    say(JSON.stringify(small.plan));
    return;
  }
  writeFileSync(options.store, `${JSON.stringify(small.plan, undefined, 2)}\n`);
  say(`the plan is in ${options.store}`);
}

/** The plans that are asked for: one from a file, or those of the seeds. */
function* plansOf(options: Options, first: number, count: number): Generator<Plan> {
  if (options.plan !== undefined) yield JSON.parse(readFileSync(options.plan, 'utf8')) as Plan;
  else for (let seed = first; seed < first + count; seed++) yield drawPlan(seed);
}

/** Says what the runs did; returns what they should have seen and didn't. */
function report(results: readonly RunResult[], counters: Counters, took_ms: number): string[] {
  const virtual_ms = results.reduce((sum, { virtual_ms: each_ms }) => sum + each_ms, 0);
  const { user, system } = process.cpuUsage();
  const cpu_ms = (user + system) / 1000;
  const events = results.reduce((sum, { events: each }) => sum + each, 0);
  for (const [name, count] of [...counters.counts].sort(([a], [b]) => a.localeCompare(b))) {
    say(`  ${String(count).padStart(10)}  ${name}`);
  }
  say('sometimes:');
  for (const name of SOMETIMES) say(`  ${String(counters.get(name)).padStart(10)}  ${name}`);
  const lacking = unseen(counters, results.length);
  for (const name of lacking) say(`FAILED never seen: ${name}`);
  say(
    `${results.length} seeds, ${(virtual_ms / 3_600_000).toFixed(2)} virtual hours, ${events} events in ` +
      `${(took_ms / 1000).toFixed(1)} s: ${(virtual_ms / took_ms).toFixed(0)} times real time; ` +
      `${(cpu_ms / 1000).toFixed(1)} s of processor time: ${(virtual_ms / cpu_ms).toFixed(0)} times, ` +
      `${((events / cpu_ms) * 1000).toFixed(0)} events/s`,
  );
  return lacking;
}

async function main(options: Options): Promise<void> {
  const first = options.seed ?? options.first;
  const isOne = options.seed !== undefined || options.plan !== undefined;
  const count = isOne ? 1 : (options.seeds ?? 100);
  const heading = count === 1 ? `seed ${first}` : `seeds ${first} to ${first + count - 1}`;
  const version = commit();
  say(`${heading} at commit ${version}`);
  const began_ms = performance.now();
  const counters = new Counters();
  const results: RunResult[] = [];
  for (const plan of plansOf(options, first, count)) {
    const result = await runOne(plan, options);
    counters.merge(result.counters);
    if (result.healed_ms > SLOW_HEALING_MS)
      say(`seed ${plan.seed} takes ${result.healed_ms.toFixed(0)} ms to have a leader`);
    results.push(result);
    if (result.failure && options.bail) break;
    if (count === 1) say(`hash ${result.hash}`);
  }
  const lacking = report(results, counters, performance.now() - began_ms);
  const failed = results.filter(({ failure }) => failure !== undefined);
  for (const { plan, failure } of failed) say(`FAILED seed ${plan.seed}: ${failure?.message ?? ''}`);
  say(`${heading} at commit ${version}: ${failed.length} failed`);
  process.exitCode = failed.length > 0 || lacking.length > 0 ? 1 : 0;
}

const command = new Command('sim')
  .description(
    'Runs the real core in a simulated cluster, under every fault that a seed draws, and checks it.',
  )
  .option('--seeds <n>', 'how many seeds to run', parseWhole)
  .option('--first <seed>', 'the first of them', parseWhole, 1)
  .option('--seed <seed>', 'run this seed only', parseWhole)
  .option('--plan <file>', 'run a stored plan')
  .option('--store <file>', 'write the plan of a failing seed there, made small')
  .option('--no-shrink', 'leave failing plans as they are')
  .option('--bail', 'stop at the first seed that fails')
  .option('--trace', 'print every event');
await main(command.parse().opts<Options>());
