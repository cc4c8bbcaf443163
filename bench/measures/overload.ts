import { clusterRss } from '../cluster.js';
import { closedLoop, measureLoad, troubles, type Measure, warmCluster } from '../context.js';
import { figure } from '../stats.js';

/** Twenty times as many requests as a leader takes on at a time. */
const SHAPE = { clients: 1_000, in_flight: 100 };
const MIB = 2 ** 20;

/** Far more than the cluster can take, for a long time: is the leader kept, and is everybody told? */
export const overload: Measure = {
  name: 'overload',
  title: 'Overload',
  steps: () => 1,
  async run(context) {
    const cluster = await warmCluster(context);
    try {
      const before = await cluster.roles();
      context.step(`${SHAPE.clients} × ${SHAPE.in_flight}`);
      const plan = { ...closedLoop(context, cluster, SHAPE), measure_ms: context.scale.overload_ms };
      const { result } = await measureLoad(context, cluster, plan);
      const after = await cluster.roles();
      const rss = clusterRss(after);
      const rounds = after.status.promised_round - before.status.promised_round;
      const abdications = cluster.nodes.reduce((sum, node) => sum + node.abdications, 0);
      const refused = Object.values(result.refused).reduce((sum, count) => sum + count, 0);
      return {
        title: 'Overload',
        text: [
          `${SHAPE.clients} connections keep ${SHAPE.in_flight} requests each in flight for ${figure(context.scale.overload_ms / 1000)} s. ` +
            'Who is refused asks again after 10 ms.',
        ],
        tables: [
          {
            headings: [
              'answers/s',
              'p50 ms',
              'p99 ms',
              'refused/s',
              'refusal p99 ms',
              'leader changes',
              'abdications',
              'rounds',
              'leader, RSS MiB',
              'unanswered',
              'errors and reconnects',
            ],
            rows: [
              [
                figure(result.per_second),
                figure(result.latency.p50_us / 1000),
                figure(result.latency.p99_us / 1000),
                figure(refused / result.seconds),
                figure(result.refused_latency.p99_us / 1000),
                before.leader === after.leader && rounds === 0 ? '0' : 'at least 1',
                String(abdications),
                String(rounds),
                figure(rss.leader / MIB),
                String(result.totals.unanswered),
                troubles([result]),
              ],
            ],
          },
        ],
        plots: [],
      };
    } finally {
      await cluster.remove();
    }
  },
};
