import type { BenchCluster, Roles } from '../cluster.js';
import { closedLoop, PIPELINED, type Context, type Measure } from '../context.js';
import type { BenchNode } from '../node.js';
import { figure } from '../stats.js';
import { BenchError, pause, until } from '../wait.js';

const FILL_TIMEOUT_MS = 1_800_000;
const CATCH_UP_TIMEOUT_MS = 1_800_000;

/** How often the node that catches up is asked how far it is. */
const POLL_MS = 100;

interface Phases {
  /** Answers per second with all nodes, before; without the one; while it catches up. */
  readonly before_per_s: number;
  readonly without_per_s: number;
  readonly during_per_s: number;
  /** Entries that the node lacked when it listened again. */
  readonly missed: number;
  /** From when it listened until it knew what had been chosen by then. */
  readonly seconds: number;
}

/** A node that missed many entries catches up while the load goes on. */
export const catchUp: Measure = {
  name: 'catch-up',
  title: 'Catching up',
  steps: () => 3,
  async run(context) {
    const cluster = await context.freshCluster();
    let phases: Phases;
    try {
      phases = await runPhases(context, cluster);
    } finally {
      await cluster.remove();
    }
    const { before_per_s, without_per_s, during_per_s, missed, seconds } = phases;
    return {
      title: 'Catching up',
      text: [
        `Under a load of ${PIPELINED.clients} × ${PIPELINED.in_flight}, a follower is killed, and started again when the others have ` +
          'gone on for so many entries. It has caught up when it knows all that was chosen when it began to listen.',
      ],
      tables: [
        {
          headings: [
            'entries missed',
            's',
            'entries/s',
            'answers/s with all nodes',
            'without the node',
            'while it catches up',
            '÷ with all nodes',
          ],
          rows: [
            [
              figure(missed),
              figure(seconds),
              figure(missed / seconds),
              figure(before_per_s),
              figure(without_per_s),
              figure(during_per_s),
              figure(during_per_s / before_per_s),
            ],
          ],
        },
      ],
      plots: [],
    };
  },
};

async function runPhases(context: Context, cluster: BenchCluster): Promise<Phases> {
  const { generator, scale } = context;
  const running = generator.run({ ...closedLoop(context, cluster, PIPELINED), measure_ms: Infinity });
  running.catch(() => undefined);
  const roles = await cluster.roles();
  const node = roles.followers[0];
  if (node === undefined) throw new BenchError('a cluster of one has nobody to catch up');
  context.step('with all nodes');
  await pause(scale.warm_up_ms);
  const before_per_s = await rateDuring(context, pause(scale.measure_ms));
  context.step('without the node');
  await node.end('SIGKILL');
  const goal = (await chosenAt(roles)) + scale.missed;
  const filling = until('the entries to be missed', FILL_TIMEOUT_MS, async () =>
    (await chosenAt(roles)) >= goal ? true : undefined,
  );
  const without_per_s = await rateDuring(context, filling);
  context.step('catching up');
  await node.start();
  const began_ms = performance.now();
  const [had, target] = [await chosenOf(node), await chosenAt(roles)];
  const catching_up = until(
    'a node that catches up',
    CATCH_UP_TIMEOUT_MS,
    async () => ((await chosenOf(node)) >= target ? performance.now() : undefined),
    POLL_MS,
  );
  const during_per_s = await rateDuring(context, catching_up);
  const seconds = ((await catching_up) - began_ms) / 1000;
  await generator.stop();
  await running;
  return { before_per_s, without_per_s, during_per_s, missed: target - had, seconds };
}

function chosenAt({ leader }: Roles): Promise<number> {
  return chosenOf(leader);
}

async function chosenOf(node: BenchNode): Promise<number> {
  return (await node.status())?.entries.chosen ?? 0;
}

/** Answers per second while something is waited for. */
async function rateDuring({ generator }: Context, waiting: Promise<unknown>): Promise<number> {
  const from = await generator.sample();
  await waiting;
  const to = await generator.sample();
  return ((to.answered - from.answered) * 1000) / (to.at_ms - from.at_ms);
}
