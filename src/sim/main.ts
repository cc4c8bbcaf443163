import { execFileSync } from 'node:child_process';
import { Command, InvalidArgumentError } from 'commander';
import { Counters, SOMETIMES } from './counters.js';
import { drawPlan } from './plan.js';
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
}

/** Above this a seed is named: five seconds are what is promised. */
const SLOW_HEALING_MS = 5_000;

/** The commit that is simulated, if this is a checkout. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return 'unknown';
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function runOne(seed: number, trace: boolean): RunResult {
  const result = simulate(drawPlan(seed), trace ? say : undefined);
  if (result.failure) {
    if (!trace) for (const line of result.trace.slice(-60)) say(line);
    say(`seed ${seed} fails: ${result.failure.message}`);
  }
  return result;
}

function report(results: readonly RunResult[], counters: Counters, took_ms: number): void {
  const virtual_ms = results.reduce((sum, { virtual_ms: each_ms }) => sum + each_ms, 0);
  const events = results.reduce((sum, { events: each }) => sum + each, 0);
  for (const [name, count] of [...counters.counts].sort(([a], [b]) => a.localeCompare(b))) {
    say(`  ${String(count).padStart(10)}  ${name}`);
  }
  for (const name of SOMETIMES) if (counters.get(name) === 0) say(`  never seen: ${name}`);
  say(
    `${results.length} seeds, ${(virtual_ms / 3_600_000).toFixed(2)} virtual hours, ${events} events in ` +
      `${(took_ms / 1000).toFixed(1)} s: ${(virtual_ms / took_ms).toFixed(0)} times real time, ` +
      `${((events / took_ms) * 1000).toFixed(0)} events/s`,
  );
}

function main(options: Options): void {
  const first = options.seed ?? options.first;
  const count = options.seed === undefined ? (options.seeds ?? 100) : 1;
  const heading = count === 1 ? `seed ${first}` : `seeds ${first} to ${first + count - 1}`;
  const version = commit();
  say(`${heading} at commit ${version}`);
  const began_ms = performance.now();
  const counters = new Counters();
  const results: RunResult[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const result = runOne(seed, options.trace === true);
    counters.merge(result.counters);
    if (result.healed_ms > SLOW_HEALING_MS) say(`seed ${seed} takes ${result.healed_ms.toFixed(0)} ms to have a leader`);
    results.push(result);
    if (result.failure && options.bail) break;
    if (count === 1) say(`hash ${result.hash}`);
  }
  report(results, counters, performance.now() - began_ms);
  const failed = results.filter(({ failure }) => failure !== undefined);
  for (const { plan, failure } of failed) say(`FAILED seed ${plan.seed}: ${failure?.message ?? ''}`);
  say(`${heading} at commit ${version}: ${failed.length} failed`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

const command = new Command('sim')
  .description('Runs the real core in a simulated cluster, under every fault that a seed draws, and checks it.')
  .option('--seeds <n>', 'how many seeds to run', parseWhole)
  .option('--first <seed>', 'the first of them', parseWhole, 1)
  .option('--seed <seed>', 'run this seed only', parseWhole)
  .option('--bail', 'stop at the first seed that fails')
  .option('--trace', 'print every event');
main(command.parse().opts<Options>());
