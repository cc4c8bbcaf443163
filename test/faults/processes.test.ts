import { expect } from 'chai';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { endOf, lastSegment } from '../support/journal-files.js';
import { eventually, paxosd } from '../support/process.js';
import { insideOnce } from './support/inside.js';
import { judgedTitle } from './support/judge.js';
import { executedIn, expectAlive, expectInLog, expectSound, load, sameLog } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { spread, STRACE, tracedTitle, under } from './support/strace.js';

/** Kills of a leader, one after the other. */
const KILLS = deep(8, 200);

/** Acknowledged requests between two faults. */
const BETWEEN = 30;

/** Deaths of one node before it gets through its recovery. */
const RECOVERIES = deep(8, 60);

/** Calls of a kind that a recovery may come to. */
const MAX_STEP = 6;

/** After this a node may have recovered: it is killed at some time before. */
const RECOVERY_MS = 400;

/** Processes that want one directory. */
const RIVALS = 4;

/** All orders of some things. */
function orders<T>(things: readonly T[]): T[][] {
  if (things.length < 2) return [[...things]];
  return things.flatMap((thing, i) =>
    orders([...things.slice(0, i), ...things.slice(i + 1)]).map((others) => [thing, ...others]),
  );
}

describe(tracedTitle(judgedTitle('faults: processes that die')), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();
  const traced = STRACE ? it : it.skip;

  it(`row 1: kill -9 of the leader under load, ${KILLS} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    for (let kill = 0; kill < KILLS; kill++) {
      const leader = await all.leader();
      await work.more(BETWEEN);
      await leader.kill();
      await work.more(4);
      await leader.start();
    }
    await work.more(BETWEEN);
    const log = await expectSound(all, work);
    expect(executedIn(log).size).to.be.above(BETWEEN * KILLS);
  });

  it('row 3: a follower, two of three, and all are killed under load, and restarted in one order and another', async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    const everyOrder = orders([0, 1, 2]);
    const chosen = deep([[2, 0, 1]], everyOrder);
    for (const order of chosen) {
      for (const count of [1, 2, 3]) {
        await work.more(BETWEEN);
        const { leader, followers } = await all.roles();
        // A follower first; then the leader with it; then all.
        const dying = [followers[0]!, leader, followers[1]!].slice(0, count);
        await Promise.all(dying.map((node) => node.kill()));
        if (count === 1) await work.more(BETWEEN);
        for (const i of order) if (!all.nodes[i]!.running) await all.nodes[i]!.start();
      }
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  /** A cluster in which one node is down with a torn journal, while the two others are kept busy. */
  async function torn(): Promise<{ all: Cluster; victim: TestNode; finish: () => Promise<void> }> {
    const all = await cluster({ nodes: 3, segment_bytes: 64 * 1024 });
    const { follower: victim } = await all.roles();
    const work = load(all, { echo: true, pace_ms: 20 });
    await work.more(BETWEEN);
    await victim.kill();
    return {
      all,
      victim,
      finish: async () => {
        await victim.start();
        await expectAlive(all);
        await work.stop();
        expectInLog(await sameLog(all), work.acknowledged, work.refused);
      },
    };
  }

  /** Takes the end of the last record away, as a crash in mid-write would. The two others hold it. */
  async function tear(node: TestNode): Promise<void> {
    const file = await lastSegment(node);
    await truncate(file, (await endOf(file)) - 1);
  }

  it(`row 4: killed ${RECOVERIES} times in a row at any time of its recovery from a torn write`, async () => {
    const { victim, finish } = await torn();
    await tear(victim);
    for (const moment of spread(RECOVERY_MS, RECOVERIES)) {
      const program = victim.launch();
      // The moment is what is tried here, so that there is no event to wait for.
      await pause(moment);
      expect(await program.end()).to.eql({ code: null, signal: 'SIGKILL' });
    }
    await finish();
  });

  traced('row 4: dead at every step of its recovery from a torn write, time and again', async () => {
    const { victim, finish } = await torn();
    // The first steps are part of every such recovery; of the others a node that gets further is killed.
    const first: [call: string, n: number][] = [
      ['ftruncate', 1],
      ['pwrite64', 2],
      ['fsync', 1],
      ['rename', 1],
      ['fsync', 2],
    ];
    const more = ['pwrite64', 'fsync', 'fdatasync', 'rename'].flatMap((call) =>
      spread(MAX_STEP, MAX_STEP).map((n): [string, number] => [call, n]),
    );
    let deaths = 0;
    for (const [call, n] of deep(first, [...first, ...more])) {
      await tear(victim);
      const program = victim.launchUnder(under(call, `signal=KILL:when=${n}`));
      const over = (): true | undefined => !program.running || program.log('started').length > 0 || undefined;
      await eventually('its death, or the end of its recovery', over);
      if (program.running) await program.end();
      else deaths++;
      expect(await program.ended, program.stderr).to.eql({ code: null, signal: 'SIGKILL' });
    }
    expect(deaths).to.be.at.least(first.length);
    await finish();
  });

  for (const [where, at] of [
    ['before a datagram is handled', 'datagram:40'],
    ['in the midst of sending', 'send:40'],
    ['in the midst of answering clients', 'answer:20'],
    ['in a timer', 'timer:8'],
  ] as const) {
    it(`row 12: an error thrown ${where} ends the process, once, and nothing is half done`, async () => {
      const all = await cluster({ nodes: 3 });
      const leader = await all.leader();
      const work = load(all, { echo: true });
      await work.more(4);
      await leader.kill();
      // The restarted one takes part, and is made the leader by the death of the one that leads meanwhile.
      const program = leader.launchUnder(
        insideOnce({ FAULT_THROW: at, FAULT_ONCE: join(all.folder, 'thrown') }),
      );
      await program.logged('started');
      await eventually('its death', async () => {
        if (!program.running) return true;
        const leading = all.running.find((node) => node !== leader && node.process.log('leading').length > 0);
        const status = await leading?.status();
        if (status?.role !== 'leader') return undefined;
        await leading!.kill();
        await leading!.start();
        return undefined;
      });
      expect(await program.ended).to.eql({ code: 1, signal: null });
      expect([...program.log('uncaught'), ...program.log('failed')]).to.have.length(1);
      expect(program.stderr).to.contain('thrown on purpose');
      await leader.start();
      await work.more(BETWEEN);
      await expectAlive(all);
      await work.stop();
      expectInLog(await sameLog(all), work.acknowledged, work.refused);
      expect(leader.process.log('uncaught')).to.eql([]);
    });
  }

  it(`row 14: of ${RIVALS} processes started at once on one directory one runs, and the others say why not`, async () => {
    const all = await cluster({ nodes: 1 });
    const [node] = all.nodes as [TestNode];
    const { entry } = await all.client().request('before');
    await node.kill();
    const command = paxosd('start', '--data-dir', node.directory, '--log-format', 'json');
    const rivals = Array.from({ length: RIVALS }, (_, i) => all.run(`rival ${i}`, command));
    await eventually('one that is left', () =>
      rivals.filter(({ running }) => running).length === 1 ? true : undefined,
    );
    const winner = rivals.find(({ running }) => running)!;
    await winner.logged('started');
    for (const rival of rivals.filter((one) => one !== winner)) {
      expect((await rival.ended).code).to.equal(1);
      // For a moment the winner has the lock and hasn't yet said who it is.
      expect(rival.stderr).to.match(new RegExp(`in use by (process ${winner.pid}|another process)`));
      expect(rival.stderr).to.contain(node.directory);
    }
    // What it had accepted before, it chooses anew once it leads; what comes after is answered after that.
    expect((await all.client().request('after')).value).to.equal('after');
    expect((await all.client().query(entry)).value).to.equal('before');
  });
});
