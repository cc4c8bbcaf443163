import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { ExecutedError } from '../../clients/typescript/index.js';
import { TEST_APP, useClusters } from '../support/cluster-hooks.js';
import { chance } from './support/chance.js';
import { inside } from './support/inside.js';
import { judgedTitle } from './support/judge.js';
import { executedIn, expectSound, halfPatient, load, RESTLESS, sameLog } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { ONE_DISK_THREAD, STRACE, tamper, tracedTitle } from './support/strace.js';

/** Acknowledged requests between two faults. */
const BETWEEN = 30;

/** How long a leader stands still: about as long as it takes to be deposed, a little longer, much longer. */
const PAUSES_MS = deep([300, 500, 2_000], [300, 500, 2_000, 30_000]);

/** How often anybody is stopped or goes on. */
const TOGGLES = deep(25, 1_000);
const MAX_BETWEEN_TOGGLES_MS = 300;

/** Values and answers at the limit of what a datagram carries, and an answer that no line carries. */
const LARGE = 'large 60000';
const TOO_LARGE = 'large 20000000';
const LARGE_AT_ONCE = 100;

describe(tracedTitle(judgedTitle('faults: processes that stand still')), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();
  const traced = STRACE ? it : it.skip;

  for (const pause_ms of PAUSES_MS) {
    it(`row 5: SIGSTOP of the leader for ${pause_ms} ms, then SIGCONT: no stale answer`, async () => {
      const all = await cluster({ nodes: 3, app: 'kvapp' });
      const work = load(all, halfPatient(all));
      for (let i = 0; i < deep(pause_ms < 2_000 ? 2 : 1, 5); i++) {
        await work.more(BETWEEN);
        const leader = await all.leader();
        leader.process.signal('SIGSTOP');
        await pause(pause_ms);
        if (pause_ms >= 2_000) {
          const successor = await all.leader(all.nodes.filter((node) => node !== leader));
          expect(successor.name).to.not.equal(leader.name);
        }
        leader.process.signal('SIGCONT');
        await all.leader();
      }
      await work.more(BETWEEN);
      await expectSound(all, work);
    });
  }

  it('row 6: SIGSTOP of a follower while heartbeats and requests queue: it elects nobody when it goes on', async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp', default_times: true });
    const { leader, followers } = await all.roles();
    const work = load(all);
    await work.more(BETWEEN);
    const { promised_round } = (await leader.status())!;
    // Before there was a leader, others may have stood too.
    const stood = followers.map((follower) => follower.process.log('standing').length);
    for (const follower of followers) {
      follower.process.signal('SIGSTOP');
      // Several of its leader timeouts.
      await pause(1_500);
      await work.more(BETWEEN);
      follower.process.signal('SIGCONT');
      const { entries } = (await leader.status())!;
      await follower.until('what it missed', ({ entries: own }) => own.chosen >= entries.chosen);
    }
    await expectSound(all, work);
    for (const node of all.nodes) expect((await node.status())!.promised_round).to.equal(promised_round);
    expect(followers.map((follower) => follower.process.log('standing').length)).to.eql(stood);
  });

  for (const [where, calls, n] of [
    ['between flush and send', 'fdatasync', 10],
    ['between the arrival of a quorum and the reply', 'recvmsg,recvmmsg', 40],
    ['between two sends', 'sendmsg,sendmmsg', 40],
  ] as const) {
    traced(
      `row 7: a leader stopped ${where}, and deposed meanwhile, acknowledges nothing wrong`,
      async () => {
        const all = await cluster({ nodes: 3, app: 'kvapp', env: ONE_DISK_THREAD });
        const work = load(all, halfPatient(all));
        await work.more(BETWEEN);
        const leader = await all.leader();
        const strace = await tamper(all, leader, calls, `signal=STOP:when=${n}`);
        const others = all.nodes.filter((node) => node !== leader);
        const successor = await all.leader(others);
        expect(successor.name, 'the leader was stopped').to.not.equal(leader.name);
        await work.more(BETWEEN);
        await strace.end('SIGTERM');
        leader.process.signal('SIGCONT');
        await leader.process.logged('abdicated');
        await all.leader();
        await work.more(BETWEEN);
        await expectSound(all, work);
      },
    );
  }

  it(`row 8: any of them stopped and continued at random, ${TOGGLES} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all, halfPatient(all));
    await work.more(BETWEEN);
    const random = chance(all);
    const stopped = new Set<number>();
    for (let i = 0; i < TOGGLES; i++) {
      const index = random.below(all.nodes.length);
      all.nodes[index]!.process.signal(stopped.has(index) ? 'SIGCONT' : 'SIGSTOP');
      if (!stopped.delete(index)) stopped.add(index);
      await pause(random.next() * MAX_BETWEEN_TOGGLES_MS);
    }
    for (const node of all.nodes) node.process.signal('SIGCONT');
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it('row 9: the event loop of a leader stalls for a short and for a long time', async () => {
    const stall_ms = 1_000;
    const all = await cluster({ nodes: 3, app: 'kvapp', env: inside({ FAULT_STALL: String(stall_ms) }) });
    const work = load(all, halfPatient(all));
    for (let i = 1; i <= deep(3, 30); i++) {
      await work.more(BETWEEN);
      const leader = await all.leader();
      // Several in a row are one long one, but for the moment between them.
      for (let signals = 0; signals < 1 + (i % 2); signals++) leader.process.signal('SIGUSR2');
      const successor = await all.leader(all.nodes.filter((node) => node !== leader));
      expect(successor.name, 'the stalled one was deposed').to.not.equal(leader.name);
      await all.leader();
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it('row 9: many of the largest values and answers at once, and an answer beyond every limit', async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP });
    const client = all.client({ timeout_ms: 60_000, max_in_flight: LARGE_AT_ONCE });
    await client.request('first');
    const values = Array.from({ length: LARGE_AT_ONCE }, (_, i) => `${i}${'x'.repeat(60_000)}`);
    const echoed = values.map((value) => client.request(value));
    const answers = Array.from({ length: LARGE_AT_ONCE }, () => all.client(RESTLESS).request(LARGE));
    const beyond = client.request(TOO_LARGE).then(
      () => undefined,
      (error: unknown) => error,
    );
    for (const { value } of await Promise.all(answers)) expect(value).to.have.length(60_000);
    const places = (await Promise.all(echoed)).map(({ value }) => Number(value.split(':')[0]));
    expect(new Set(places).size, 'each has a place of its own').to.equal(values.length);
    expect(await beyond).to.be.instanceOf(ExecutedError);
    const last = await client.request('last');
    expect(last.value).to.equal(`${values.length + 2}:last`);
    const executed = [...executedIn(await sameLog(all)).values()].map(({ value }) => value);
    for (const value of values) expect(executed.filter((one) => one === value)).to.have.length(1);
  });
});
