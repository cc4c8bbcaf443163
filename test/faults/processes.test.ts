import { expect } from 'chai';
import { useClusters } from '../support/cluster-hooks.js';
import { judgedTitle } from './support/judge.js';
import { executedIn, expectSound, load } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';

/** Kills of a leader, one after the other. */
const KILLS = deep(8, 200);

describe(judgedTitle('faults: processes that die'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();

  it(`row 1: kill -9 of the leader under load, ${KILLS} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    for (let kill = 0; kill < KILLS; kill++) {
      const leader = await all.leader();
      await work.more(50);
      await leader.kill();
      await work.more(4);
      await leader.start();
    }
    await work.more(50);
    const log = await expectSound(all, work);
    expect(executedIn(log).size).to.be.above(50 * KILLS);
  });
});
