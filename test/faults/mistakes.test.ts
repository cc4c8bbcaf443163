import { expect } from 'chai';
import { useClusters } from '../support/cluster-hooks.js';
import { inside } from './support/inside.js';
import { expectLinearizable } from './support/history.js';
import { judgedTitle, judgeMissing } from './support/judge.js';
import { expectDurableFirst, expectInLog, load, sameLog } from './support/load.js';
import { FAULTS_TIMEOUT_MS } from './support/mode.js';
import { STRACE, tamper, tracedTitle } from './support/strace.js';

const BETWEEN = 40;
const FLUSH_MS = 300;

/** What something failed with. */
function failure(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: unknown) => String(error),
  );
}

describe(tracedTitle(judgedTitle('faults: deliberate mistakes at real nodes')), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();
  const traced = STRACE ? it : it.skip;

  it('half of the agents for a quorum: each half acknowledges by itself, and the checks refuse it', async () => {
    const all = await cluster({ nodes: 4, app: 'kvapp', env: inside({ FAULT_MUTANTS: 'quorum_one_short' }) });
    const work = load(all, { put_share: 1 });
    await work.more(BETWEEN);
    const halves = [all.nodes.slice(0, 2), all.nodes.slice(2)] as const;
    await Promise.all(halves[1].map((node) => node.kill()));
    await work.more(BETWEEN);
    await work.stop();
    await Promise.all(halves[0].map((node) => node.kill()));
    await all.start(halves[1]);
    // Without a put in between: most of what was put last was begun when this half was dead already.
    await work.readAll();
    // Both nets by themselves: what is in the log, and what clients saw.
    const log = await sameLog(all);
    expect(() => expectInLog(log, work.acknowledged)).to.throw(/request \d+:\d+/);
    if (judgeMissing() === undefined) {
      expect(await failure(expectLinearizable(work.history))).to.contain('is not linearizable');
    }
  });

  traced(
    'an Accepted that leaves before its record is durable: answers come before any flush has ended',
    async () => {
      const all = await cluster({
        nodes: 3,
        default_times: true,
        env: inside({ FAULT_MUTANTS: 'acceptance_not_durable' }),
      });
      const work = load(all, { echo: true });
      await work.more(BETWEEN);
      await all.leader();
      const how = `delay_enter=${FLUSH_MS * 1000}`;
      await Promise.all(all.nodes.map((node) => tamper(all, node, 'fdatasync', how)));
      const begun = work.history.now();
      await work.more(BETWEEN);
      const check = (): void => expectDurableFirst(work, begun, work.history.now(), FLUSH_MS);
      expect(check).to.throw('ms to the answer');
      await work.stop();
      await sameLog(all);
    },
  );
});
