import type { LatencySummary } from '../../src/cli/load/histogram.js';
import type { LoadResult } from '../../src/cli/load/plan.js';
import type { BenchCluster } from '../cluster.js';
import { closedLoop, measureLoad, PIPELINED, troubles, VALUE_BYTES, warmCluster } from '../context.js';
import type { Context, Measure } from '../context.js';
import { floorOfOneRequest_us } from '../floor.js';
import { LOOPBACK } from '../paths.js';
import type { Peer } from '../peer/peer.js';
import { lineChart, type Series } from '../plot.js';
import { cpu_us } from '../proc.js';
import type { Plot, Section, Table } from '../report.js';
import type { Scale } from '../scale.js';
import { figure, median, over } from '../stats.js';

/** So many clients with so many requests in flight each. */
export interface Shape {
  readonly name: string;
  readonly clients: number;
  readonly in_flight: number;
}

export function shapesOf(scale: Scale): Shape[] {
  const closed = scale.closed_clients.map((clients) => ({
    name: `closed-${clients}`,
    clients,
    in_flight: 1,
  }));
  return [...closed, { name: 'pipelined', ...PIPELINED }];
}

/** One shape put on one system once. CPU time in microseconds per request. */
interface Round {
  readonly per_second: number;
  readonly latency: LatencySummary;
  readonly cost: {
    readonly leader?: number;
    readonly followers?: number;
    readonly app?: number;
    readonly generator: number;
  };
  readonly result?: LoadResult;
  readonly errors?: number;
}

/** How long a load goes on. */
type Times = Pick<Scale, 'warm_up_ms' | 'measure_ms'>;

interface System {
  readonly name: string;
  run(shape: Shape, times: Times): Promise<Round>;
}

/** Rounds of a system under a shape. */
interface Row {
  readonly shape: Shape;
  readonly system: string;
  readonly rounds: Round[];
}

/** The closed loops: all systems and shapes in turn, again in each round. */
export function closedMeasure(
  shapes: readonly Shape[],
  peers: { readonly count: number; start(context: Context): Promise<readonly Peer[]> },
): Measure {
  return {
    name: 'closed',
    title: 'Closed loops',
    steps: ({ rounds }) => (1 + rounds) * shapes.length * (2 + peers.count),
    run: async (context) => {
      const others = await peers.start(context);
      try {
        const cluster = await warmCluster(context);
        try {
          const systems = [
            ours(context, cluster),
            ...others.map((other) => another(other)),
            ceiling(context),
          ];
          return report(context, await runRounds(context, shapes, systems), others);
        } finally {
          await cluster.remove();
        }
      } finally {
        await Promise.all(others.map((other) => other.stop()));
      }
    },
  };
}

async function runRounds(
  context: Context,
  shapes: readonly Shape[],
  systems: readonly System[],
): Promise<Row[]> {
  const { compile_ms, rounds, warm_up_ms, measure_ms } = context.scale;
  // What a process compiles depends on the load: few clients run other code than many do, and run it less often.
  await runRound(context, shapes, systems, 'unmeasured', { warm_up_ms: 0, measure_ms: compile_ms });
  const rows: Row[] = shapes.flatMap((shape) =>
    systems.map(({ name }) => ({ shape, system: name, rounds: [] })),
  );
  for (let round = 1; round <= rounds; round++) {
    const measured = await runRound(context, shapes, systems, `round ${round}`, { warm_up_ms, measure_ms });
    measured.forEach((each, i) => rows[i]?.rounds.push(each));
  }
  return rows;
}

/** Each shape on each system once. */
async function runRound(
  context: Context,
  shapes: readonly Shape[],
  systems: readonly System[],
  title: string,
  times: Times,
): Promise<Round[]> {
  const rounds: Round[] = [];
  for (const shape of shapes) {
    for (const system of systems) {
      context.step(`${system.name}, ${shape.clients} × ${shape.in_flight}, ${title}`);
      rounds.push(await system.run(shape, times));
    }
  }
  return rounds;
}

function ours(context: Context, cluster: BenchCluster): System {
  return {
    name: 'paxosd',
    run: async ({ clients, in_flight }, times) => {
      const plan = { ...closedLoop(context, cluster, { clients, in_flight }), ...times };
      const { result, cost } = await measureLoad(context, cluster, plan);
      return { per_second: result.per_second, latency: result.latency, cost, result };
    },
  };
}

function another(peer: Peer): System {
  return {
    name: peer.name,
    run: ({ clients, in_flight }, times) =>
      peer.run({ clients, in_flight, value_bytes: VALUE_BYTES, ...times }),
  };
}

/** The same load on a server that answers without doing anything. */
function ceiling({ echo, generator }: Context): System {
  return {
    name: 'no work',
    run: async ({ clients, in_flight }, times) => {
      const before = cpu_us(generator.pid);
      const servers = [{ address: LOOPBACK, port: String(echo.ports.answers) }];
      const result = await generator.run({
        servers,
        clients,
        in_flight,
        value_bytes: VALUE_BYTES,
        ...times,
      });
      const used = (cpu_us(generator.pid) - before) / Math.max(1, result.totals.answered);
      return { per_second: result.per_second, latency: result.latency, cost: { generator: used }, result };
    },
  };
}

function report(context: Context, rows: readonly Row[], peers: readonly Peer[]): Section {
  return {
    title: 'Closed loops',
    text: [
      `Clients put values of ${VALUE_BYTES} bytes; each has a connection of its own and keeps so many requests in flight. ` +
        'Every system gets every load in turn, in each round, and once before the first without being measured. Medians ' +
        'over the rounds, with the least and the greatest.',
      '"no work" is the same load on a process that answers every line without doing anything: what the load ' +
        'generator itself can do.',
      ...peers.map(({ name, description }) => `${name}: ${description}.`),
    ],
    tables: [
      latencyTable(context, rows),
      costTable(rows),
      ...peers.map(({ name }) => ratioTable(rows, name)),
    ],
    plots: plots(rows),
  };
}

function latencyTable({ floor }: Context, rows: readonly Row[]): Table {
  const floor_us = floorOfOneRequest_us(floor);
  return {
    headings: [
      'clients × in flight',
      'system',
      'answers/s',
      'p50 ms',
      'p99 ms',
      'p50 ÷ floor',
      'errors and reconnects',
    ],
    rows: rows.map(({ shape, system, rounds }) => [
      `${shape.clients} × ${shape.in_flight}`,
      system,
      over(rounds, ({ per_second }) => per_second),
      over(rounds, ({ latency }) => latency.p50_us / 1000),
      over(rounds, ({ latency }) => latency.p99_us / 1000),
      shape.clients === 1 ? over(rounds, ({ latency }) => latency.p50_us / floor_us) : '',
      errorsOf(rounds),
    ]),
  };
}

function errorsOf(rounds: readonly Round[]): string {
  const errors = rounds.reduce((sum, round) => sum + (round.errors ?? 0), 0);
  return errors > 0 ? String(errors) : troubles(rounds.flatMap(({ result }) => result ?? []));
}

function costTable(rows: readonly Row[]): Table {
  const cell = (rounds: readonly Round[], pick: (round: Round) => number | undefined): string =>
    rounds.some((round) => pick(round) === undefined) ? '' : over(rounds, (round) => pick(round) ?? 0);
  return {
    headings: [
      'CPU µs per request',
      'system',
      'leader',
      'followers, together',
      'application',
      'load generator',
    ],
    rows: rows.map(({ shape, system, rounds }) => [
      `${shape.clients} × ${shape.in_flight}`,
      system,
      cell(rounds, ({ cost }) => cost.leader),
      cell(rounds, ({ cost }) => cost.followers),
      cell(rounds, ({ cost }) => cost.app),
      cell(rounds, ({ cost }) => cost.generator),
    ]),
  };
}

/** Ours divided by the peer's, and by the peer's best. */
function ratioTable(rows: readonly Row[], peer: string): Table {
  const theirs = rows.filter(({ system }) => system === peer);
  const best = Math.max(...theirs.map(({ rounds }) => median(rounds, ({ per_second }) => per_second)));
  const own = rows.filter(({ system }) => system === 'paxosd');
  return {
    headings: [`paxosd ÷ ${peer}`, 'answers/s', `answers/s ÷ ${peer}'s best`, 'p50', 'p99'],
    rows: own.map(({ shape, rounds }) => {
      const other = theirs.find((row) => row.shape === shape)?.rounds ?? [];
      const ratio = (pick: (round: Round) => number): string =>
        figure(median(rounds, pick) / median(other, pick));
      return [
        `${shape.clients} × ${shape.in_flight}`,
        ratio(({ per_second }) => per_second),
        figure(median(rounds, ({ per_second }) => per_second) / best),
        ratio(({ latency }) => latency.p50_us),
        ratio(({ latency }) => latency.p99_us),
      ];
    }),
  };
}

function plots(rows: readonly Row[]): Plot[] {
  const closed = rows.filter(({ shape }) => shape.in_flight === 1);
  if (closed.length === 0) return [];
  const systems = [...new Set(closed.map(({ system }) => system))];
  const series = (pick: (round: Round) => number, more: (i: number) => Partial<Series>): Series[] =>
    systems.map((name, i) => ({
      name,
      points: closed
        .filter(({ system }) => system === name)
        .map(({ shape, rounds }) => [shape.clients, median(rounds, pick)] as const),
      ...more(i),
    }));
  const x = { label: 'clients, one request in flight each', log: true };
  const throughput = series(
    ({ per_second }) => per_second,
    (colour) => ({ colour }),
  );
  const p50 = series(
    ({ latency }) => latency.p50_us / 1000,
    (colour) => ({ colour }),
  );
  const p99 = series(
    ({ latency }) => latency.p99_us / 1000,
    (colour) => ({ colour, dashed: true }),
  );
  const latency = [
    ...p50.map((each) => ({ ...each, name: `${each.name} p50` })),
    ...p99.map((each) => ({ ...each, name: `${each.name} p99` })),
  ];
  const chart = (file: string, title: string, label: string, lines: Series[]): Plot => ({
    file,
    title,
    svg: lineChart({ title, x, y: { label, log: true }, series: lines }),
  });
  return [
    chart('throughput.svg', 'Throughput against load', 'answers per second', throughput),
    chart('latency.svg', 'Latency against load', 'milliseconds', latency),
  ];
}
