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

/** Connections of the open loop, each with as many requests in flight as a node allows. */
const OPEN_LOOP = { clients: 10, in_flight: 128 };

/** Latency under half of the load that the cluster can take at most. */
export const half: Measure = {
  name: 'half',
  title: 'Half of the maximal load',
  steps: ({ rounds }) => 2 * rounds,
  async run(context) {
    const cluster = await warmCluster(context);
    const rounds: { readonly max: Measured; readonly open: Measured; readonly rate_per_s: number }[] = [];
    try {
      for (let round = 1; round <= context.scale.rounds; round++) {
        context.step(`maximal load, round ${round}`);
        const max = await measureLoad(context, cluster, closedLoop(context, cluster, PIPELINED));
        const rate_per_s = max.result.per_second / 2;
        context.step(`half of it, round ${round}`);
        const plan = { ...closedLoop(context, cluster, OPEN_LOOP), rate_per_s };
        rounds.push({ max, rate_per_s, open: await measureLoad(context, cluster, plan) });
      }
    } finally {
      await cluster.remove();
    }
    const latency = (pick: 'p50_us' | 'p99_us' | 'max_us'): string =>
      over(rounds, ({ open }) => open.result.latency[pick] / 1000);
    return {
      title: 'Latency under half of the maximal load',
      text: [
        `The maximal load is that of ${PIPELINED.clients} connections with ${PIPELINED.in_flight} requests in flight each. ` +
          'Then requests are due at half of that rate, whether earlier ones were answered or not; one that is held up is ' +
          'counted from when it was due.',
      ],
      tables: [
        {
          headings: [
            'maximal answers/s',
            'due per s',
            'answers/s',
            'p50 ms',
            'p99 ms',
            'max ms',
            'p99 ÷ p50',
            'errors',
          ],
          rows: [
            [
              over(rounds, ({ max }) => max.result.per_second),
              over(rounds, ({ rate_per_s }) => rate_per_s),
              over(rounds, ({ open }) => open.result.per_second),
              latency('p50_us'),
              latency('p99_us'),
              latency('max_us'),
              over(rounds, ({ open }) => open.result.latency.p99_us / open.result.latency.p50_us),
              troubles(rounds.map(({ open }) => open.result)),
            ],
          ],
        },
      ],
      plots: [],
    };
  },
};
