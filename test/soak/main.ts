import { Command, InvalidArgumentError } from 'commander';
import { commit } from '../../src/sim/commit.js';
import { judgeMissing } from '../faults/support/judge.js';
import { porcupine } from './judge.js';
import { soak } from './soak.js';

interface Options {
  readonly minutes: number;
  readonly nodes: number;
  readonly seed: number;
  readonly periodS: number;
  readonly rate: number;
  readonly clients: number;
}

/** Seeds of runs that name none. */
const MAX_SEED = 2 ** 31;

function parseWhole(text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('a whole number from 1 on is wanted');
  return n;
}

/** The commit that runs, if this is a checkout. */
function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(options: Options): Promise<void> {
  const { seed, nodes, clients } = options;
  const period_ms = options.periodS * 1_000;
  const periods = Math.max(1, Math.round((options.minutes * 60_000) / period_ms));
  const heading = `soak of ${options.minutes} min, ${nodes} nodes, seed ${seed}, commit ${commit()}`;
  say(heading);
  const missing = judgeMissing();
  if (missing !== undefined)
    say(`skipped: the judgement of histories by Porcupine, for lack of it (${missing})`);
  const began_ms = performance.now();
  try {
    const totals = await soak({
      ...{ seed, nodes, clients, periods, period_ms, say },
      faults_per_period: Infinity,
      steady_per_s: options.rate,
      judge: porcupine,
    });
    for (const line of totals.lines()) say(line);
    const took_s = (performance.now() - began_ms) / 1_000;
    say(`${heading}: ${totals.periods.length} checks in ${took_s.toFixed(0)} s, nothing violated`);
  } catch (error) {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    say(`${heading}: violated`);
    process.exitCode = 1;
  }
}

for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.once(signal, () => process.exit(128 + number));
}

const command = new Command('soak')
  .description('Runs a real cluster under faults and load, and checks it again and again.')
  .requiredOption('--minutes <n>', 'how long faults are made, in all', parseWhole)
  .option('--nodes <n>', 'agents in the cluster', parseWhole, 3)
  .option(
    '--seed <n>',
    'draws faults and load; printed',
    parseWhole,
    1 + Math.floor(Math.random() * MAX_SEED),
  )
  .option('--period-s <n>', 'seconds of faults before each check', parseWhole, 60)
  .option('--rate <n>', 'requests per second of the steady writer', parseWhole, 60)
  .option('--clients <n>', 'clients whose histories are judged', parseWhole, 6);
await main(command.parse().opts<Options>());
