import type { BenchCluster, ClusterCpu } from '../cluster.js';
import { clusterCpu, clusterRss } from '../cluster.js';
import { closedLoop, measureLoad, PIPELINED, VALUE_BYTES, warmUp } from '../context.js';
import type { Context, HistoryPoint, Measure, Measured } from '../context.js';
import { disk_bytes } from '../proc.js';
import { lineChart, type Series } from '../plot.js';
import type { Plot, Table } from '../report.js';
import { figure, over } from '../stats.js';
import { pause } from '../wait.js';
import { killLeader } from './failover.js';

const SAMPLE_MS = 250;

/** Points over which the cost of an entry is taken; single ones would show the clock's ticks. */
const COST_POINTS = 40;

/** A longer one would make of a short history one that isn't. */
const MOST_WARM_UP_MS = 3_000;

const MIB = 2 ** 20;

/** Loads a cluster until its log has so many entries; resolves with how it was meanwhile. */
export async function fill(
  context: Context,
  cluster: BenchCluster,
  entries: number,
): Promise<HistoryPoint[]> {
  const { generator } = context;
  const roles = await cluster.roles();
  const points: HistoryPoint[] = [];
  const plan = { ...closedLoop(context, cluster, PIPELINED), warm_up_ms: 0, measure_ms: Infinity };
  const running = generator.run(plan);
  running.catch(() => undefined);
  for (let have = 0; have < entries;) {
    const status = await roles.leader.status();
    const now = { ...roles, status: status ?? roles.status };
    have = now.status.entries.chosen;
    points.push({ at_ms: performance.now(), entries: have, rss: clusterRss(now), cpu: clusterCpu(now) });
    await Promise.race([pause(SAMPLE_MS), running]);
  }
  await generator.stop();
  await running;
  return points;
}

/** The cost of an entry with a short history and with a long one, and what the long one takes in memory and on disk. */
export const history: Measure = {
  name: 'history',
  title: 'History',
  steps: ({ starts }) => 2 * starts + 1,
  async run(context) {
    const { scale } = context;
    const { cluster: long, series } = await context.longHistory();
    const entries = await long.settled();
    const disk = await Promise.all(long.nodes.map(({ directory }) => disk_bytes(directory)));
    const costs: Costs[] = [];
    for (let start = 1; start <= scale.starts; start++) {
      // Every load makes its history longer.
      const short = await context.freshCluster();
      try {
        await fill(context, short, scale.short_history);
        costs.push(await compare(context, { short, long }, start));
      } finally {
        await short.remove();
      }
    }
    context.step('failover with the long history');
    const outage_ms = await outageOf(context, long);
    const last = series.at(-1);
    return {
      title: 'History',
      text: [
        `Cost: the nodes of a fresh cluster with ${figure(scale.short_history)} entries and of one with ${figure(entries)} and ` +
          `more are started anew, so that their processes are of the same age, and get the same load ` +
          `(${PIPELINED.clients} × ${PIPELINED.in_flight}) in turn, now the one and now the other first; ${scale.starts} times. ` +
          `What compiles them first, and the load itself, make both histories longer.`,
        `Killed under load with ${figure(entries)} and more entries, the leader of the long history was succeeded, and a write ` +
          `answered, after ${figure(outage_ms)} ms; the new leader's application has replayed the whole log by then.`,
      ],
      tables: [costTable(costs), sizeTable(entries, disk, last)],
      plots: plots(series),
    };
  },
};

interface Cost extends Measured {
  /** In the log when the load began. */
  readonly entries: number;
}

/** What a start of the two clusters cost. */
interface Costs {
  readonly short: Cost;
  readonly long: Cost;
}

/** Starts both anew, and loads one right after the other: so near to each other the machine is about the same. */
async function compare(
  context: Context,
  clusters: { readonly short: BenchCluster; readonly long: BenchCluster },
  start: number,
): Promise<Costs> {
  const order = start % 2 === 0 ? (['long', 'short'] as const) : (['short', 'long'] as const);
  for (const which of order) {
    context.step(`start ${start} with a ${which} history`);
    await startAnew(clusters[which]);
  }
  for (const which of order) await warmUp(context, clusters[which], MOST_WARM_UP_MS);
  const costs: Partial<Record<keyof Costs, Cost>> = {};
  for (const which of order) {
    const entries = await clusters[which].settled();
    const plan = closedLoop(context, clusters[which], PIPELINED);
    costs[which] = { entries, ...(await measureLoad(context, clusters[which], plan)) };
  }
  return costs as Costs;
}

async function startAnew(cluster: BenchCluster): Promise<void> {
  await Promise.all(cluster.nodes.map((node) => node.end('SIGTERM')));
  await cluster.startAll();
  await cluster.replayed();
}

async function outageOf(context: Context, cluster: BenchCluster): Promise<number> {
  const { generator, scale } = context;
  const running = generator.run({ ...closedLoop(context, cluster, PIPELINED), measure_ms: Infinity });
  running.catch(() => undefined);
  await pause(scale.warm_up_ms);
  const { outage_ms } = await killLeader(context, cluster);
  await generator.stop();
  await running;
  await cluster.startAll();
  return outage_ms;
}

function costTable(costs: readonly Costs[]): Table {
  const total = ({ cost }: Measured): number => cost.leader + cost.followers;
  const row = (which: keyof Costs): string[] => [
    over(costs, (start) => start[which].entries),
    over(costs, (start) => start[which].result.per_second),
    over(costs, (start) => start[which].cost.leader),
    over(costs, (start) => start[which].cost.followers),
    over(costs, (start) => total(start[which]) / total(start.short)),
  ];
  return {
    headings: [
      'entries before',
      'answers/s',
      'leader, CPU µs per entry',
      'followers',
      'nodes ÷ those of the short history, start by start',
    ],
    rows: [row('short'), row('long')],
  };
}

function sizeTable(entries: number, disk: readonly number[], last: HistoryPoint | undefined): Table {
  const mib = (bytes: number): string => figure(bytes / MIB);
  const each = disk.reduce((sum, bytes) => sum + bytes, 0) / disk.length / entries;
  return {
    headings: [
      'entries',
      'leader, RSS MiB',
      'largest follower',
      'application',
      'disk of a node MiB',
      'disk bytes per entry',
      'of those the value',
    ],
    rows: [
      [
        figure(entries),
        mib(last?.rss.leader ?? 0),
        mib(last?.rss.followers ?? 0),
        mib(last?.rss.app ?? 0),
        mib(Math.max(...disk)),
        figure(each),
        String(VALUE_BYTES),
      ],
    ],
  };
}

function plots(series: readonly HistoryPoint[]): Plot[] {
  const names: readonly (readonly [keyof ClusterCpu, string])[] = [
    ['leader', 'leader'],
    ['followers', 'followers'],
    ['app', 'application'],
  ];
  const memory = names.map(([key, name]) => ({
    name: key === 'followers' ? 'largest follower' : name,
    points: series.map(({ entries, rss }) => [entries, rss[key] / MIB] as const),
  }));
  const cost = names.map(([key, name]) => ({ name, points: costPoints(series, key) }));
  const x = { label: 'entries in the log' };
  const chart = (file: string, title: string, label: string, lines: Series[]): Plot => ({
    file,
    title,
    svg: lineChart({ title, x, y: { label }, series: lines }),
  });
  return [
    chart('memory.svg', 'Memory against history', 'resident memory, MiB', memory),
    chart('cost.svg', 'Cost against history', 'CPU microseconds per entry', cost),
  ];
}

function costPoints(series: readonly HistoryPoint[], key: keyof ClusterCpu): [number, number][] {
  const stride = Math.max(1, Math.floor(series.length / COST_POINTS));
  const points: [number, number][] = [];
  for (let i = stride; i < series.length; i += stride) {
    const [from, to] = [series[i - stride], series[i]];
    if (from === undefined || to === undefined || to.entries === from.entries) continue;
    points.push([to.entries, (to.cpu[key] - from.cpu[key]) / (to.entries - from.entries)]);
  }
  return points;
}
