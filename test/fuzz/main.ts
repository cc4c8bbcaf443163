import { Command, InvalidArgumentError } from 'commander';
import { fuzz, isFlat, type Report, type Sample } from './fuzzer.js';
import { TARGETS } from './targets.js';

interface Options {
  readonly cases: number;
  readonly seed: number;
  readonly target?: string;
}

const MIB = 1024 * 1024;
const MAX_SEED = 2 ** 31;

function parseWhole(text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('a whole number from 1 on is wanted');
  return n;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function print(report: Report): void {
  const { cases, kept, took_ms, codes, failure } = report;
  const all = new Map<string, number>();
  for (const [name, count] of codes) {
    const target = name.split(':')[0] ?? '';
    all.set(target, (all.get(target) ?? 0) + count);
  }
  for (const [name, count] of [...codes].sort(([a], [b]) => a.localeCompare(b))) {
    const share = (100 * count) / (all.get(name.split(':')[0] ?? '') ?? count);
    say(`  ${String(count).padStart(9)}  ${share.toFixed(1).padStart(5)} %  ${name}`);
  }
  say(
    `  ${cases} cases in ${(took_ms / 1000).toFixed(1)} s: ${((cases / took_ms) * 1000).toFixed(0)} a second; ${kept} are kept`,
  );
  if (failure !== undefined) say(`FAILED ${failure.target}: ${failure.message}\n  kept in ${failure.file}`);
}

/** Shown as it is taken: a long run shows where it is. */
function printSample({ cases, rss_bytes, heap_bytes, descriptors }: Sample): void {
  say(
    `  after ${cases} cases: ${(rss_bytes / MIB).toFixed(1)} MiB resident, ` +
      `${(heap_bytes / MIB).toFixed(1)} MiB of objects, ${descriptors} descriptors`,
  );
}

async function main({ cases, seed, target: only }: Options): Promise<void> {
  const targets = TARGETS.filter(({ name }) => only === undefined || name === only);
  if (targets.length === 0)
    throw new Error(`no target "${only ?? ''}"; there are ${TARGETS.map(({ name }) => name).join(', ')}`);
  const heading = `${cases} cases for ${targets.map(({ name }) => name).join(', ')}, seed ${seed}`;
  say(heading);
  const report = await fuzz(targets, { cases, seed, onSample: printSample });
  print(report);
  const verdict =
    report.failure !== undefined ? 'failed' : isFlat(report) ? 'nothing found' : 'memory or descriptors grow';
  say(`${heading}: ${verdict}`);
  process.exitCode = verdict === 'nothing found' ? 0 : 1;
}

const command = new Command('fuzz')
  .description(
    'Feeds everything that takes bytes from outside with mutated ones, and checks what comes of them.',
  )
  .requiredOption('--cases <n>', 'how many cases', parseWhole)
  .option('--seed <n>', 'draws the cases; printed', parseWhole, 1 + Math.floor(Math.random() * MAX_SEED))
  .option('--target <name>', `only one of ${TARGETS.map(({ name }) => name).join(', ')}`);
await main(command.parse().opts<Options>());
