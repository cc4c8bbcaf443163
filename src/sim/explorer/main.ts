import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { PRESETS, type Bounds, type Reduction } from './bounds.js';
import { Explorer, type Progress, type Result } from './explorer.js';
import { checkLiveness } from './liveness.js';
import { SHIPPED } from './protocol.js';
import { ScenarioWriter } from './scenario-writer.js';

interface Options extends Bounds {
  readonly preset?: string;
  readonly reduction: Reduction;
  readonly maxStates?: number;
  readonly maxSeconds?: number;
  readonly liveness: boolean;
  readonly sample?: number;
  readonly store?: string;
}

/** Rounds are packed beside six bits of what an agent waits for. */
const MAX_ROUNDS = 30;
const MAX_EXPLORED_AGENTS = 7;

function whole(text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 0) throw new InvalidArgumentError('a whole number is wanted');
  return n;
}

function within(low: number, high: number): (text: string) => number {
  return (text) => {
    const n = whole(text);
    if (n < low || n > high) throw new InvalidArgumentError(`a number from ${low} to ${high} is wanted`);
    return n;
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function show(n: number): string {
  return n.toLocaleString('en-GB');
}

function boundsOf(options: Options): Bounds {
  if (options.preset === undefined) {
    const { agents, entries, rounds, restarts, learners } = options;
    return { agents, entries, rounds, restarts, learners };
  }
  const preset = PRESETS[options.preset];
  if (preset === undefined) throw new RangeError(`there is no preset "${options.preset}"`);
  return preset;
}

function describeBounds({ agents, entries, rounds, restarts, learners }: Bounds): string {
  const who = learners ? 'with learners, notices and catch-up' : 'acceptors and proposers alone';
  return `${agents} agents × ${entries} entries × ${rounds} rounds × ${restarts} restarts, ${who}`;
}

function showProgress({ states, expanded, depth, seconds }: Progress): void {
  if (!process.stdout.isTTY) return;
  const speed = Math.round(states / Math.max(seconds, 1));
  process.stdout.write(`\r${show(states)} states, ${show(expanded)} done, depth ${depth}, ${show(speed)}/s `);
}

function report(result: Result): void {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  const { states, expanded, transitions, depth, seconds, cores, core_steps, sometimes } = result;
  if (result.complete) say(`complete: ${show(states)} states, depth ${depth}`);
  else say(`cut: ${show(states)} states seen, ${show(expanded)} of them done, to depth ${depth}`);
  const speed = show(Math.round(expanded / Math.max(seconds, 0.001)));
  say(`${show(transitions)} transitions in ${seconds.toFixed(1)} s: ${speed} states/s`);
  say(`${show(cores)} different agents; the core itself ran ${show(core_steps)} times`);
  for (const [what, count] of Object.entries(sometimes)) {
    say(`sometimes ${what.replaceAll('_', ' ')}: ${show(count as number)}`);
  }
}

/** Shows the shortest way to what is wrong, and keeps it where it is asked to. */
function explain(explorer: Explorer, result: Result, options: Options): void {
  const { violation } = result;
  if (violation === undefined) return;
  say(`\nBROKEN: ${violation.what}\n`);
  tell(explorer, violation.what, violation.moves, options);
}

function tell(
  explorer: Explorer,
  title: string,
  moves: Parameters<ScenarioWriter['write']>[1],
  options: Options,
): void {
  const text = new ScenarioWriter(explorer, SHIPPED).write(title, moves);
  if (options.store === undefined) return say(text);
  writeFileSync(options.store, text);
  say(`kept as ${options.store}; REWRITE=1 with the scenario tests fills in what it brings about`);
}

/** Without learners nobody can know that anything is chosen, and there is nothing to wait for. */
function tryLiveness(explorer: Explorer, options: Options): boolean {
  if (!options.liveness || !explorer.bounds.learners) return true;
  const { sample, maxSeconds } = options;
  const found = checkLiveness(explorer, SHIPPED, {
    ...(sample !== undefined && { sample }),
    ...(maxSeconds !== undefined && { max_seconds: maxSeconds }),
  });
  say(
    `liveness: fair runs from ${show(found.tried)} of ${show(found.distinct)} different states in ` +
      `${found.seconds.toFixed(1)} s; the longest took ${Math.round(found.longest_ms)} virtual ms`,
  );
  const [first] = found.stuck;
  if (first === undefined) return true;
  const title = 'From here on no value is ever chosen, though all are up and nothing is lost.';
  say(`\nSTUCK: ${found.stuck.length} states. ${title}\n`);
  tell(explorer, title, explorer.path(first), options);
  return false;
}

function explore(options: Options): void {
  const bounds = boundsOf(options);
  say(describeBounds(bounds) + (options.reduction === 'none' ? ', without reductions' : ''));
  const explorer = new Explorer(bounds, options.reduction);
  const { maxStates, maxSeconds } = options;
  const result = explorer.run({
    ...(maxStates !== undefined && { max_states: maxStates }),
    ...(maxSeconds !== undefined && { max_seconds: maxSeconds }),
    onProgress: showProgress,
  });
  report(result);
  explain(explorer, result, options);
  const isLive = result.violation === undefined && tryLiveness(explorer, options);
  if (result.violation !== undefined || !isLive) process.exitCode = 1;
}

new Command('explore')
  .description('Reaches every state of a small cluster of the real core, and checks each')
  .addOption(new Option('--preset <name>', 'bounds with a name').choices(Object.keys(PRESETS)))
  .option('--agents <n>', 'agents', within(1, MAX_EXPLORED_AGENTS), 3)
  .option('--entries <n>', 'entries that get new values', within(1, 8), 1)
  .option(
    '--rounds <n>',
    'rounds, from 0 on; agent i uses those with round mod N = i',
    within(1, MAX_ROUNDS),
    2,
  )
  .option('--restarts <n>', 'crashes and recoveries, over all agents', within(0, 15), 0)
  .option('--learners', 'deliver Accepted, notices and catch-up', false)
  .addOption(
    new Option('--reduction <kind>', 'leave out what leads to the same')
      .choices(['full', 'disks', 'none'])
      .default('full'),
  )
  .option('--max-states <n>', 'stop after so many states', whole)
  .option('--max-seconds <n>', 'stop after so many seconds; liveness gets as many again', whole)
  .option('--no-liveness', 'try no fair runs')
  .option('--sample <n>', 'try fair runs from so many states only', whole)
  .option('--store <file>', 'write the scenario of what is wrong to a file')
  .action(explore)
  .parse();
