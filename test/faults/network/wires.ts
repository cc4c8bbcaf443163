import { expect } from 'chai';
import { expectSound, load } from '../support/load.js';
import { deep } from '../support/mode.js';
import type { WireFaults } from '../support/namespaces.js';
import type { Rows, World } from '../support/rows.js';
import { expectCalm, expectSameReign, PATIENT } from './support.js';

/** One heartbeat in so long is lost. */
const LOSS_INTERVAL_MS = 1_000;

/** Heartbeats that are lost while the leader stays. */
const LOST_HEARTBEATS = deep(6, 200);

/** Requests that must be answered over each kind of bad wire. */
const REQUESTS = deep(60, 1_000);

/** Longer than so many requests take at seconds each. */
const PROGRESS_MS = deep(40_000, 1_800_000);

/** What comes seconds late is answered too late for those who wait for half a second. */
const UNHURRIED = { silence_ms: 10_000, greeting_ms: 10_000 };

/** Requests are answered over a wire like this, and everything holds. */
async function answersOver({ start }: World, faults: readonly WireFaults[]): Promise<void> {
  const { all, network } = await start({ nodes: 3, app: 'kvapp', flags: PATIENT });
  await all.leader();
  const work = load(all, { client: () => all.client(UNHURRIED), clients: 30 });
  for (const kind of faults) {
    await network.carryBadly(kind);
    await work.more(REQUESTS, PROGRESS_MS);
  }
  await network.carryBadly({});
  await expectSound(all, work);
}

/** Reigns whose datagrams come again in later ones. */
const REIGNS = deep(3, 60);

export const rows: Rows = {
  'row 15: a quarter and more than half of everything between nodes is lost': (world) =>
    answersOver(world, [{ loss: 0.25 }, { loss: 0.6 }]),
  'row 15: half of everything comes twice, and overtakes': (world) =>
    answersOver(world, [
      { doubling: 0.5, delay_ms: 50 },
      { doubling: 0.5, delay_ms: 200, loss: 0.1 },
    ]),
  'row 15: everything takes up to two seconds': (world) => answersOver(world, [{ delay_ms: 2_000 }]),

  'rows 21 to 23: half as many datagrams again are old ones, of any time and reign': async ({ start }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp' });
    await network.carryBadly({ replaying: 0.5, delay_ms: 2 });
    const work = load(all);
    for (let reign = 0; reign < REIGNS; reign++) {
      const leader = await all.leader();
      await work.more(REQUESTS, PROGRESS_MS);
      await leader.kill();
      await work.more(1);
      await leader.start();
    }
    await expectCalm(all.nodes, work);
    await expectSound(all, work);
  },

  'row 16: one heartbeat lost each second, by the base text’s own times, changes no leader': async ({
    start,
  }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp', default_times: true });
    const wire = await network.carryBadly({ lost_heartbeat_ms: LOSS_INTERVAL_MS });
    const leader = await all.leader();
    await expectSameReign(leader, async () => {
      const lost = (): number => wire.stdout.split('heartbeat lost').length - 1;
      await wire.until(
        'lost heartbeats',
        () => (lost() >= LOST_HEARTBEATS ? true : undefined),
        2 * LOST_HEARTBEATS * LOSS_INTERVAL_MS,
      );
    });
    const work = load(all);
    await work.more(REQUESTS, PROGRESS_MS);
    expect((await expectSound(all, work)).length).to.be.above(REQUESTS);
  },
};
