import { maxValueBytes } from '../../src/cli/load/lines.js';
import {
  closedLoop,
  measureLoad,
  troubles,
  VALUE_BYTES,
  type Measure,
  type Measured,
  warmCluster,
} from '../context.js';
import { figure, median, over } from '../stats.js';

const SHAPE = { clients: 10, in_flight: 10 };
const SIZES = [VALUE_BYTES, 1024, 16 * 1024, maxValueBytes(`bench-${SHAPE.clients}`)];
const MB = 1_000_000;

/** Values of several sizes, up to the largest. */
export const values: Measure = {
  name: 'values',
  title: 'Sizes of values',
  steps: ({ rounds }) => rounds * SIZES.length,
  async run(context) {
    const cluster = await warmCluster(context);
    const rows = SIZES.map((size) => ({ size, rounds: [] as Measured[] }));
    try {
      for (let round = 1; round <= context.scale.rounds; round++) {
        for (const row of rows) {
          context.step(`${figure(row.size)} bytes, round ${round}`);
          const plan = closedLoop(context, cluster, { ...SHAPE, value_bytes: row.size });
          row.rounds.push(await measureLoad(context, cluster, plan));
        }
      }
    } finally {
      await cluster.remove();
    }
    const disk = context.floor.write_bytes_per_s;
    return {
      title: 'Sizes of values',
      text: [
        `${SHAPE.clients} connections with ${SHAPE.in_flight} requests in flight each; the last size is the largest that a node takes. ` +
          `A file written from front to end gets ${figure(disk / MB)} MB/s on this disk, which three journals share.`,
      ],
      tables: [
        {
          headings: [
            'value bytes',
            'answers/s',
            'MB/s of values',
            '÷ disk, three journals',
            'p50 ms',
            'p99 ms',
            'errors',
          ],
          rows: rows.map(({ size, rounds }) => [
            figure(size),
            over(rounds, ({ result }) => result.per_second),
            over(rounds, ({ result }) => (result.per_second * size) / MB),
            figure((cluster.nodes.length * median(rounds, ({ result }) => result.per_second) * size) / disk),
            over(rounds, ({ result }) => result.latency.p50_us / 1000),
            over(rounds, ({ result }) => result.latency.p99_us / 1000),
            troubles(rounds.map(({ result }) => result)),
          ]),
        },
      ],
      plots: [],
    };
  },
};
