import type { BenchCluster, Roles } from '../cluster.js';
import { closedLoop, PIPELINED, warmCluster, type Context, type Measure } from '../context.js';
import type { BenchNode } from '../node.js';
import type { Table } from '../report.js';
import { over } from '../stats.js';
import { BenchError, pause, until } from '../wait.js';

const FILL_TIMEOUT_MS = 1_800_000;
const CATCH_UP_TIMEOUT_MS = 1_800_000;

/** How often the node that catches up is asked how far it is. */
const POLL_MS = 100;

/** Answers per second of a cluster, and what its node did. */
interface Phases {
  /** With all nodes, before the one was killed. */
  readonly before_per_s: number;
  readonly without_per_s: number;
  readonly during_per_s: number;
  /** With all nodes again. */
  readonly after_per_s: number;
  /** Entries that the node lacked when it listened again. */
  readonly missed: number;
  /** From when it listened until it knew what had been chosen by then. */
  readonly seconds: number;
}

/** A node that missed many entries catches up while the load goes on. */
export const catchUp: Measure = {
  name: 'catch-up',
  title: 'Catching up',
  steps: ({ rounds }) => 4 * rounds,
  async run(context) {
    const rounds: Phases[] = [];
    for (let round = 1; round <= context.scale.rounds; round++) {
      const cluster = await warmCluster(context);
      try {
        rounds.push(await runPhases(context, cluster));
      } finally {
        await cluster.remove();
      }
    }
    return {
      title: 'Catching up',
      text: [
        `Under a load of ${PIPELINED.clients} × ${PIPELINED.in_flight}, a follower of a fresh cluster is killed, and started again when ` +
          'the others have gone on for so many entries. It has caught up when it knows all that was chosen when it began to listen. ' +
          'What the cluster answers meanwhile is divided by the mean of what it answers with all nodes before and after, as the ' +
          'machine may be faster or slower a minute later.',
      ],
      tables: [phasesTable(rounds)],
      plots: [],
    };
  },
};

function phasesTable(rounds: readonly Phases[]): Table {
  const columns: [string, (phases: Phases) => number][] = [
    ['entries missed', ({ missed }) => missed],
    ['s', ({ seconds }) => seconds],
    ['entries/s', ({ missed, seconds }) => missed / seconds],
    ['answers/s with all nodes, before', ({ before_per_s }) => before_per_s],
    ['without the node', ({ without_per_s }) => without_per_s],
    ['while it catches up', ({ during_per_s }) => during_per_s],
    ['with all nodes, after', ({ after_per_s }) => after_per_s],
    ['÷ with all nodes', (phases) => (2 * phases.during_per_s) / (phases.before_per_s + phases.after_per_s)],
  ];
  return {
    headings: columns.map(([heading]) => heading),
    rows: [columns.map(([, pick]) => over(rounds, pick))],
  };
}

async function runPhases(context: Context, cluster: BenchCluster): Promise<Phases> {
  const { generator, scale } = context;
  const running = generator.run({ ...closedLoop(context, cluster, PIPELINED), measure_ms: Infinity });
  running.catch(() => undefined);
  const roles = await cluster.roles();
  const node = roles.followers[0];
  if (node === undefined) throw new BenchError('a cluster of one has nobody to catch up');
  context.step('with all nodes');
  const before_per_s = await rateSoon(context);
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
  const catching_up = untilItKnows(node, target);
  const during_per_s = await rateDuring(context, catching_up);
  const seconds = ((await catching_up) - began_ms) / 1000;
  context.step('with all nodes again');
  await untilItKnows(node, await chosenAt(roles));
  const after_per_s = await rateSoon(context);
  await generator.stop();
  await running;
  return { before_per_s, without_per_s, during_per_s, after_per_s, missed: target - had, seconds };
}

/** Resolves with when it did. */
function untilItKnows(node: BenchNode, target: number): Promise<number> {
  return until(
    'a node that catches up',
    CATCH_UP_TIMEOUT_MS,
    async () => ((await chosenOf(node)) >= target ? performance.now() : undefined),
    POLL_MS,
  );
}

function chosenAt({ leader }: Roles): Promise<number> {
  return chosenOf(leader);
}

async function chosenOf(node: BenchNode): Promise<number> {
  return (await node.status())?.entries.chosen ?? 0;
}

/** Answers per second, once the load goes on as ever. */
async function rateSoon(context: Context): Promise<number> {
  const { warm_up_ms, measure_ms } = context.scale;
  await pause(warm_up_ms);
  return rateDuring(context, pause(measure_ms));
}

/** Answers per second while something is waited for. */
async function rateDuring({ generator }: Context, waiting: Promise<unknown>): Promise<number> {
  const from = await generator.sample();
  await waiting;
  const to = await generator.sample();
  return ((to.answered - from.answered) * 1000) / (to.at_ms - from.at_ms);
}
