import type { Command } from 'commander';
import { MAX_REQUESTS_PER_CLIENT } from '../core/limits.js';
import { formatAddress, type Address } from '../index.js';
import { Exit } from './failure.js';
import { maxValueBytes } from './load/lines.js';
import { Load } from './load/load.js';
import type { LoadPlan, LoadResult } from './load/plan.js';
import { targetOf, wholeNumber } from './values.js';

interface BenchFlags {
  readonly clients: number;
  readonly inFlight: number;
  readonly valueBytes: number;
  readonly seconds: number;
  readonly json?: true;
}

const EXAMPLES = `
Examples:
  paxosd bench 7001 7002 7003                              bare ports are those of this machine
  paxosd bench 10.0.0.1:7000 --clients 100 --seconds 30    one node is enough: clients follow it to the leader
  paxosd bench 7001 --clients 10 --in-flight 50 --json

Each request logs a put for the key-value application (kvapp), under keys "bench-0", "bench-1" and so on: don't load a
cluster whose application must not see them. A cluster without an application answers too. The requests stay in the
log. Exit codes: 0 measured, 1 no request was answered, or the cluster can't be reached.`;

/** Sessions that are still told apart by a cluster: more would push each other out of its table. */
const MAX_CLIENTS = 4000;
const MAX_SECONDS = 86_400;

/** Answers before this don't count: connections and compilers get warm. */
const WARM_UP_MS = 1_000;

/** How often a person who waits is told how far it is. */
const TELL_EVERY_MS = 1_000;

const MAX_VALUE_BYTES = maxValueBytes(`bench-${MAX_CLIENTS}`);

/** `paxosd bench`: loads a cluster and measures it. */
export function addBench(program: Command): void {
  program
    .command('bench')
    .summary('load a cluster and measure it')
    .description('Puts a load of key-value requests on a running cluster, and shows throughput and latency.')
    .argument('<host:port...>', 'client addresses, or ports of this machine', targetOf('bench'))
    .option('--clients <n>', 'connections, each with a session', wholeNumber(1, MAX_CLIENTS), 10)
    .option(
      '--in-flight <n>',
      'requests that each client has out at a time',
      wholeNumber(1, MAX_REQUESTS_PER_CLIENT),
      1,
    )
    .option('--value-bytes <n>', 'size of each value', wholeNumber(1, MAX_VALUE_BYTES), 64)
    .option(
      '--seconds <n>',
      'how long to measure, after a second of warm-up',
      wholeNumber(1, MAX_SECONDS),
      10,
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (servers: readonly Address[], flags: BenchFlags) => {
      process.exitCode = await bench(servers, flags);
    });
}

async function bench(servers: readonly Address[], flags: BenchFlags): Promise<Exit> {
  const plan: LoadPlan = {
    servers,
    clients: flags.clients,
    in_flight: flags.inFlight,
    value_bytes: flags.valueBytes,
    warm_up_ms: WARM_UP_MS,
    measure_ms: flags.seconds * 1000,
  };
  const load = new Load(plan);
  const teller = process.stderr.isTTY ? tellProgress(load) : undefined;
  try {
    const result = await load.run();
    process.stdout.write(flags.json ? asJson(plan, result) : asText(plan, result));
    return result.answered > 0 ? Exit.Ok : Exit.Failed;
  } finally {
    teller?.();
  }
}

/** One line on the terminal, written anew; returns what ends it. */
function tellProgress(load: Load): () => void {
  let before = load.sample();
  const timer = setInterval(() => {
    const now = load.sample();
    const rate = ((now.answered - before.answered) * 1000) / (now.at_ms - before.at_ms);
    before = now;
    process.stderr.write(
      `\r${Math.round(rate)} answers/s, ${now.answered} in all, ${now.refused} refused\x1b[K`,
    );
  }, TELL_EVERY_MS);
  return () => {
    clearInterval(timer);
    process.stderr.write('\r\x1b[K');
  };
}

function asJson(
  { servers, ...plan }: LoadPlan,
  { timeline: _, started_ms: __, ...result }: LoadResult,
): string {
  return `${JSON.stringify({ servers: servers.map(formatAddress), ...plan, ...result }, undefined, 2)}\n`;
}

function asText(plan: LoadPlan, result: LoadResult): string {
  const { latency, totals } = result;
  const ms = (us: number): string => `${(us / 1000).toFixed(2)} ms`;
  const quantiles = [
    ['p50', latency.p50_us],
    ['p90', latency.p90_us],
    ['p99', latency.p99_us],
    ['max', latency.max_us],
  ] as const;
  const troubles = [...Object.entries(result.refused), ...Object.entries(result.notes)];
  const unanswered = totals.unanswered > 0 ? [`unanswered ${totals.unanswered}`] : [];
  return [
    `${plan.clients} clients × ${plan.in_flight} in flight, values of ${plan.value_bytes} bytes, ${result.seconds.toFixed(0)} s`,
    `answers   ${result.answered} (${Math.round(result.per_second)}/s)`,
    `latency   ${quantiles.map(([name, us]) => `${name} ${ms(us)}`).join('  ')}`,
    ...troubles.map(([name, count]) => `${name} ${count}`),
    ...unanswered,
    '',
  ].join('\n');
}
