import { sharedNow_ms, TIMELINE_BUCKET_MS } from '../../src/cli/load/load.js';
import type { LoadResult } from '../../src/cli/load/plan.js';
import type { BenchCluster } from '../cluster.js';
import { closedLoop, troubles, type Context, type Measure } from '../context.js';
import { lineChart } from '../plot.js';
import type { Plot } from '../report.js';
import { figure, quantile } from '../stats.js';
import { BenchError, pause } from '../wait.js';

/** Load under which leaders are killed: an open loop, so that the log is as long at each kill on every machine. */
const LOAD = { clients: 10, in_flight: 100 };
const RATE_PER_S = 1_000;

/** After a kill everything is let settle for this long, and up to as much again by chance, so that kills meet heartbeats at any phase. */
const SETTLE_MS = 1_000;

/**
 * After so many kills the cluster is replaced. A new leader's application replays the log before it answers, so that a
 * log that grew over all kills would be measured instead; what a long one costs is in `history`.
 */
const KILLS_PER_CLUSTER = 5;

const OUTAGE_TIMEOUT_MS = 60_000;

/** The part of the timeline that is drawn: before the kill, and after the outage. */
const DRAWN_BEFORE_MS = 500;
const DRAWN_AFTER_MS = 1_000;

interface Kill {
  readonly at_ms: number;
  readonly outage_ms: number;
  /** Entries that were chosen by then. */
  readonly entries: number;
}

/** What became of one cluster: the load on it, and its leaders' deaths. */
interface Series {
  readonly result: LoadResult;
  readonly kills: readonly Kill[];
}

/** Leaders killed with SIGKILL under load, again and again. */
export const failover: Measure = {
  name: 'failover',
  title: 'Failover',
  steps: ({ failovers }) => failovers,
  async run(context) {
    const { failovers } = context.scale;
    const all: Series[] = [];
    for (let first = 1; first <= failovers; first += KILLS_PER_CLUSTER) {
      all.push(await killSome(context, first, Math.min(first + KILLS_PER_CLUSTER - 1, failovers)));
    }
    const kills = all.flatMap(({ kills }) => kills);
    const results = all.map(({ result }) => result);
    const outages = kills.map(({ outage_ms }) => outage_ms);
    return {
      title: 'Failover',
      text: [
        `${kills.length} leaders are killed with SIGKILL, one after the other, under ${figure(RATE_PER_S)} requests per second ` +
          `over ${LOAD.clients} connections; default timers. An outage lasts from the kill until the first answer over a ` +
          `connection that was made after it. The killed node is started again before the next kill; after ${KILLS_PER_CLUSTER} ` +
          'kills the cluster is replaced, since the next application replays the whole log.',
      ],
      tables: [
        {
          headings: [
            'kills',
            'p50 ms',
            'p90 ms',
            'p99 ms',
            'min ms',
            'max ms',
            'entries at a kill, at most',
            'unanswered',
            'errors and reconnects',
          ],
          rows: [
            [
              String(kills.length),
              ...[0.5, 0.9, 0.99, 0, 1].map((share) => figure(quantile(outages, share))),
              figure(Math.max(...kills.map(({ entries }) => entries))),
              String(results.reduce((sum, { totals }) => sum + totals.unanswered, 0)),
              troubles(results),
            ],
          ],
        },
      ],
      plots: timeline(all),
    };
  },
};

/** Kills numbers `first` to `last`, on a cluster of their own. */
async function killSome(context: Context, first: number, last: number): Promise<Series> {
  const { generator } = context;
  const cluster = await context.freshCluster();
  try {
    const plan = { ...closedLoop(context, cluster, LOAD), rate_per_s: RATE_PER_S, measure_ms: Infinity };
    const running = generator.run(plan);
    // Whoever waits for it is told; until then a failure must not count as unhandled.
    running.catch(() => undefined);
    const kills: Kill[] = [];
    await pause(SETTLE_MS);
    for (let i = first; i <= last; i++) {
      context.step(`kill ${i}`);
      kills.push(await killLeader(context, cluster));
      await cluster.startAll();
      await pause(SETTLE_MS * (1 + Math.random()));
    }
    await generator.stop();
    return { result: await running, kills };
  } finally {
    await cluster.remove();
  }
}

/** Kills the leader while a load runs; resolves when writes are acknowledged again. */
export async function killLeader({ generator }: Context, cluster: BenchCluster): Promise<Kill> {
  const { leader, status } = await cluster.roles();
  const at_ms = sharedNow_ms();
  leader.kill();
  const answered = generator.firstAnswerAfter(at_ms);
  const gone = leader.end('SIGKILL');
  const timeout = pause(OUTAGE_TIMEOUT_MS).then(() => {
    throw new BenchError(`no answer within ${OUTAGE_TIMEOUT_MS} ms after the leader was killed`);
  });
  timeout.catch(() => undefined);
  const first_ms = await Promise.race([answered, timeout]);
  await gone;
  return { at_ms, outage_ms: first_ms - at_ms, entries: status.entries.chosen };
}

/** Answers per second around the kill whose outage was the middle one. */
function timeline(all: readonly Series[]): Plot[] {
  const sorted = all
    .flatMap(({ result, kills }) => kills.map((kill) => ({ result, kill })))
    .sort((a, b) => a.kill.outage_ms - b.kill.outage_ms);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) return [];
  const { result, kill } = middle;
  const kill_bucket = Math.floor((kill.at_ms - result.started_ms) / TIMELINE_BUCKET_MS);
  const first = Math.max(0, kill_bucket - DRAWN_BEFORE_MS / TIMELINE_BUCKET_MS);
  const last = kill_bucket + Math.ceil((kill.outage_ms + DRAWN_AFTER_MS) / TIMELINE_BUCKET_MS);
  const points: [number, number][] = [];
  for (let bucket = first; bucket <= last; bucket++) {
    const count = result.timeline[bucket] ?? 0;
    points.push([(bucket - kill_bucket) * TIMELINE_BUCKET_MS, (count * 1000) / TIMELINE_BUCKET_MS]);
  }
  const title = `A failover: answers around a leader's death`;
  const chart = lineChart({
    title,
    x: { label: 'milliseconds since the kill', min: -DRAWN_BEFORE_MS },
    y: { label: `answers per second, in steps of ${TIMELINE_BUCKET_MS} ms` },
    series: [{ name: 'answers', points }],
    marks: [
      { x: 0, text: 'killed' },
      { x: kill.outage_ms, text: `first answer, ${Math.round(kill.outage_ms)} ms` },
    ],
  });
  return [{ file: 'failover.svg', title, svg: chart }];
}
