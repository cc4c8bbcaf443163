import type { BenchCluster, ClusterCpu } from '../cluster.js';
import { clusterCpu, clusterRss } from '../cluster.js';
import { closedLoop, measureLoad, PIPELINED, VALUE_BYTES, warmUp } from '../context.js';
import type { Context, HistoryPoint, Measure, Measured } from '../context.js';
import { disk_bytes } from '../proc.js';
import { lineChart, type Series } from '../plot.js';
import type { Plot, Table } from '../report.js';
import { figure, median, over } from '../stats.js';
import { pause } from '../wait.js';
import { killLeader } from './failover.js';

const SAMPLE_MS = 250;

/** Points over which the cost of an entry is taken; single ones would show the clock's ticks. */
const COST_POINTS = 40;

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
  steps: ({ rounds }) => 2 * rounds + 1,
  async run(context) {
    const { scale } = context;
    const { cluster: long, series } = await context.longHistory();
    const entries = await long.settled();
    const disk = await Promise.all(long.nodes.map(({ directory }) => disk_bytes(directory)));
    const lengths = { short: scale.short_history, long: entries };
    const short = await context.freshCluster();
    const costs = { short: [] as Measured[], long: [] as Measured[] };
    try {
      await fill(context, short, scale.short_history);
      for (let round = 1; round <= scale.rounds; round++) {
        context.step(`after ${figure(lengths.short)} entries, round ${round}`);
        costs.short.push(await costAfterRestart(context, short));
        context.step(`after ${figure(lengths.long)} entries, round ${round}`);
        costs.long.push(await costAfterRestart(context, long));
      }
    } finally {
      await short.remove();
    }
    context.step('failover with the long history');
    const outage_ms = await outageOf(context, long);
    const last = series.at(-1);
    return {
      title: 'History',
      text: [
        `Cost: the nodes of a cluster with ${figure(lengths.short)} entries and of one with ${figure(lengths.long)} are started ` +
          `anew, so that their processes are of the same age, and get the same load (${PIPELINED.clients} × ${PIPELINED.in_flight}) in turn.`,
        `Killed under load with ${figure(lengths.long)} and more entries, the leader of the long history was succeeded, and a write ` +
          `answered, after ${figure(outage_ms)} ms; the new leader's application has replayed the whole log by then.`,
      ],
      tables: [costTable(lengths, costs), sizeTable(entries, disk, last)],
      plots: plots(series),
    };
  },
};

async function costAfterRestart(context: Context, cluster: BenchCluster): Promise<Measured> {
  await Promise.all(cluster.nodes.map((node) => node.end('SIGTERM')));
  await cluster.startAll();
  await cluster.replayed();
  await warmUp(context, cluster);
  return measureLoad(context, cluster, closedLoop(context, cluster, PIPELINED));
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

function costTable(
  lengths: { readonly short: number; readonly long: number },
  costs: { readonly short: readonly Measured[]; readonly long: readonly Measured[] },
): Table {
  const total = ({ cost }: Measured): number => cost.leader + cost.followers;
  const row = (entries: number, rounds: readonly Measured[]): string[] => [
    figure(entries),
    over(rounds, ({ result }) => result.per_second),
    over(rounds, ({ cost }) => cost.leader),
    over(rounds, ({ cost }) => cost.followers),
    figure(median(rounds, total) / median(costs.short, total)),
  ];
  return {
    headings: [
      'entries before',
      'answers/s',
      'leader, CPU µs per entry',
      'followers',
      'nodes ÷ those of the short history',
    ],
    rows: [row(lengths.short, costs.short), row(lengths.long, costs.long)],
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
