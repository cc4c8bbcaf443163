import { sharedNow_ms } from '../../src/cli/load/load.js';
import type { Measure } from '../context.js';
import { figure, over } from '../stats.js';
import { until } from '../wait.js';

const READY_TIMEOUT_MS = 120_000;

/** How long a node with the long history takes until it votes again. */
export const restart: Measure = {
  name: 'restart',
  title: 'Restart',
  steps: ({ restarts }) => restarts,
  async run(context) {
    const { cluster } = await context.longHistory();
    const entries = await cluster.settled();
    const rounds: { readonly voting_ms: number; readonly ready_ms: number }[] = [];
    for (let i = 1; i <= context.scale.restarts; i++) {
      context.step(`restart ${i}`);
      const { followers } = await cluster.roles();
      const node = followers[i % followers.length];
      if (node === undefined) break;
      await node.end('SIGKILL');
      const from_ms = sharedNow_ms();
      const voting_ms = await node.start();
      await until('a ready node', READY_TIMEOUT_MS, async () =>
        (await node.status())?.ready ? true : undefined,
      );
      rounds.push({ voting_ms, ready_ms: sharedNow_ms() - from_ms });
    }
    return {
      title: 'Restart with a long journal',
      text: [
        'A follower is killed and started again. It votes from when it listens, and is ready when it knows the leader ' +
          'and every entry that it has heard of. Seconds from the making of the process on.',
      ],
      tables: [
        {
          headings: ['entries', 'restarts', 's until it votes', 's until it is ready'],
          rows: [
            [
              figure(entries),
              String(rounds.length),
              over(rounds, ({ voting_ms }) => voting_ms / 1000),
              over(rounds, ({ ready_ms }) => ready_ms / 1000),
            ],
          ],
        },
      ],
      plots: [],
    };
  },
};
