import {
  closedLoop,
  measureLoad,
  PIPELINED,
  troubles,
  type Measure,
  type Measured,
  warmCluster,
} from '../context.js';
import { over } from '../stats.js';

const SHAPES = [{ clients: 100, in_flight: 1 }, PIPELINED];

interface Row {
  readonly nodes: number;
  readonly shape: (typeof SHAPES)[number];
  readonly rounds: Measured[];
}

/** Clusters of several sizes, all on this machine. */
export const nodes: Measure = {
  name: 'nodes',
  title: 'Sizes of clusters',
  steps: ({ nodes: sizes, rounds }) => sizes.length * rounds * SHAPES.length,
  async run(context) {
    const { scale } = context;
    const rows: Row[] = scale.nodes.flatMap((size) =>
      SHAPES.map((shape) => ({ nodes: size, shape, rounds: [] })),
    );
    for (let round = 1; round <= scale.rounds; round++) {
      for (const size of scale.nodes) {
        // One cluster at a time: the nodes of several would take each other's processor.
        const cluster = await warmCluster(context, size);
        try {
          for (const row of rows.filter((each) => each.nodes === size)) {
            context.step(`${size} nodes, ${row.shape.clients} × ${row.shape.in_flight}, round ${round}`);
            row.rounds.push(await measureLoad(context, cluster, closedLoop(context, cluster, row.shape)));
          }
        } finally {
          await cluster.remove();
        }
      }
    }
    return {
      title: 'Sizes of clusters',
      text: [
        'A fresh cluster of each size in each round. All nodes share this machine, its processors and its disk.',
      ],
      tables: [
        {
          headings: [
            'nodes',
            'clients × in flight',
            'answers/s',
            'p50 ms',
            'p99 ms',
            'leader, CPU µs per request',
            'followers, together',
            'errors',
          ],
          rows: rows.map(({ nodes: size, shape, rounds }) => [
            String(size),
            `${shape.clients} × ${shape.in_flight}`,
            over(rounds, ({ result }) => result.per_second),
            over(rounds, ({ result }) => result.latency.p50_us / 1000),
            over(rounds, ({ result }) => result.latency.p99_us / 1000),
            over(rounds, ({ cost }) => cost.leader),
            over(rounds, ({ cost }) => cost.followers),
            troubles(rounds.map(({ result }) => result)),
          ]),
        },
      ],
      plots: [],
    };
  },
};
