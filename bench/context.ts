import type { LoadPlan, LoadResult } from '../src/cli/load/plan.js';
import { clusterCpu, type BenchCluster, type ClusterCpu, type Roles } from './cluster.js';
import type { EchoProcess } from './echo-process.js';
import type { Floor } from './floor.js';
import type { Generator } from './generator.js';
import { cpu_us } from './proc.js';
import type { Section } from './report.js';
import type { Scale } from './scale.js';

/** What the measurements share. */
export interface Context {
  readonly scale: Scale;
  /** Where nodes leave profiles when they end; undefined: they run without the profiler. */
  readonly profile_folder: string | undefined;
  readonly floor: Floor;
  readonly echo: EchoProcess;
  readonly generator: Generator;
  /** Says what is done now; called as often as `steps` says. */
  readonly step: (text: string) => void;
  /** A fresh cluster, which the measurement removes. */
  readonly freshCluster: (nodes?: number) => Promise<BenchCluster>;
  /** The cluster with the long history, made when it is first asked for, and how it grew. */
  readonly longHistory: () => Promise<LongHistory>;
}

export interface LongHistory {
  readonly cluster: BenchCluster;
  readonly series: readonly HistoryPoint[];
}

/** How a cluster was when it had so many entries. */
export interface HistoryPoint {
  readonly at_ms: number;
  readonly entries: number;
  readonly rss: ClusterCpu;
  readonly cpu: ClusterCpu;
}

/** One line of `--only`. */
export interface Measure {
  readonly name: string;
  readonly title: string;
  /** How often it calls `step`. */
  steps(scale: Scale): number;
  run(context: Context): Promise<Section>;
}

export const VALUE_BYTES = 64;

/** The largest throughput: 10 connections with 50 requests in flight each. */
export const PIPELINED = { clients: 10, in_flight: 50 };

/** The plan of a closed loop. */
export function closedLoop(
  context: Context,
  cluster: BenchCluster,
  load: { readonly clients: number; readonly in_flight: number; readonly value_bytes?: number },
): LoadPlan {
  const { warm_up_ms, measure_ms } = context.scale;
  return { servers: cluster.servers, value_bytes: VALUE_BYTES, warm_up_ms, measure_ms, ...load };
}

/** A fresh cluster whose processes have compiled what they need under load. */
export async function warmCluster(context: Context, nodes?: number): Promise<BenchCluster> {
  const cluster = await context.freshCluster(nodes);
  try {
    await warmUp(context, cluster);
    return cluster;
  } catch (error) {
    await cluster.remove();
    throw error;
  }
}

/** Loads a cluster that has just been started, without measuring. */
export async function warmUp(context: Context, cluster: BenchCluster, most_ms = Infinity): Promise<void> {
  const measure_ms = Math.min(context.scale.compile_ms, most_ms);
  const plan = { ...closedLoop(context, cluster, PIPELINED), warm_up_ms: 0, measure_ms };
  await context.generator.run(plan);
}

/** CPU time per answered request, in microseconds, by process. */
export interface RequestCost extends ClusterCpu {
  readonly generator: number;
}

export interface Measured {
  readonly result: LoadResult;
  readonly cost: RequestCost;
}

/** Runs a load on a cluster whose leader stays, and counts what it cost. */
export async function measureLoad(
  context: Context,
  cluster: BenchCluster,
  plan: LoadPlan,
): Promise<Measured> {
  const { generator } = context;
  const before: Roles = await cluster.roles();
  const cpu_before = clusterCpu(before);
  const generator_before = cpu_us(generator.pid);
  const result = await generator.run(plan);
  const cpu_after = clusterCpu(before);
  const each = 1 / Math.max(1, result.totals.answered);
  const cost = {
    leader: (cpu_after.leader - cpu_before.leader) * each,
    followers: (cpu_after.followers - cpu_before.followers) * each,
    app: (cpu_after.app - cpu_before.app) * each,
    generator: (cpu_us(generator.pid) - generator_before) * each,
  };
  return { result, cost };
}

/** What went wrong for a load's requests, as a cell; a dash if nothing did. */
export function troubles(results: readonly LoadResult[]): string {
  const sums = new Map<string, number>();
  for (const { refused, notes, totals } of results) {
    const { unanswered } = totals;
    const all = { ...refused, ...notes, ...(unanswered > 0 && { unanswered }) };
    for (const [name, count] of Object.entries(all)) {
      sums.set(name, (sums.get(name) ?? 0) + count);
    }
  }
  return sums.size === 0 ? '–' : [...sums].map(([name, count]) => `${name} ${count}`).join(', ');
}
