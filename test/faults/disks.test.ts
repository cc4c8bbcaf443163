import { expect } from 'chai';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { endOf, lastSegment } from '../support/journal-files.js';
import { eventually } from '../support/process.js';
import { judgedTitle } from './support/judge.js';
import {
  expectAlive,
  expectDurableFirst,
  expectInLog,
  expectSound,
  load,
  sameLog,
  type Load,
} from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { ONE_DISK_THREAD, spread, STRACE, tamper, tracedTitle, under } from './support/strace.js';
import { moveToSmallDisk, whyNoMounts } from './support/small-disk.js';

/** Acknowledged requests between two faults. */
const BETWEEN = 30;

const NO_MOUNTS = whyNoMounts();

/** The first write of a life is the pid in the lock's file, which is for people only. */
const FIRST_JOURNAL_CALL = 1;

/** At which flush or write of a life the disk fails. */
const FAILING = deep([3, 12], spread(60, 60)).filter((n) => n > FIRST_JOURNAL_CALL);

const HANGS_MS = deep([200, 1_000], [200, 1_000, 10_000]);

/** The journal of a node on the small disk has some files of this size, until there is no room for the next. */
const SMALL_DISK_KIB = 256;
const SEGMENT_BYTES = 32 * 1024;

/** How often a lie is tried whose length may not be that of the next write. */
const MAX_LIES = 10;
/** No group of records is shorter. */
const MIN_GROUP_BYTES = 64;

const title = tracedTitle(judgedTitle('faults: disks'));
describe(NO_MOUNTS === undefined ? title : `${title} (partly skipped: ${NO_MOUNTS})`, function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();
  const traced = STRACE ? it : it.skip;

  /** What must hold where no application runs. */
  async function expectKept(all: Cluster, work: Load): Promise<void> {
    await expectAlive(all);
    await work.stop();
    expectInLog(await sameLog(all), work.acknowledged, work.refused);
  }

  /** Two of three nodes, so that each acknowledgement needs the disk at fault; the third joins at the end. */
  async function withOneNeeded(
    fault: (node: TestNode, work: Load, all: Cluster) => Promise<void>,
    options: { segment_bytes?: number } = {},
  ): Promise<void> {
    const all = await cluster({ nodes: 3, starting: [0, 1], env: ONE_DISK_THREAD, ...options });
    const [node] = all.nodes as [TestNode];
    const work = load(all, { echo: true, padding_bytes: 500 });
    await work.more(BETWEEN);
    await fault(node, work, all);
    await all.start();
    await work.more(BETWEEN);
    await expectKept(all, work);
  }

  for (const [row, call, how, reason] of [
    ['29', 'fdatasync', 'error=EIO', /EIO/],
    ['31', 'pwrite64', 'error=ENOSPC', /ENOSPC/],
    ['32', 'pwrite64', 'error=EIO', /EIO/],
  ] as const) {
    traced(`row ${row}: ${call} with ${how}, once, early and late in lives whose votes are needed`, () =>
      withOneNeeded(
        async (node, work) => {
          for (const n of FAILING) {
            await node.process.end();
            const program = node.launchUnder(under(call, `${how}:when=${n}`));
            const end = await eventually('its end', () => (program.running ? undefined : program.ended));
            expect(end, program.stderr).to.eql({ code: 1, signal: null });
            // At the start the reason is on the last line, later in the log.
            expect(program.stderr).to.match(reason);
            await node.start();
            await work.more(4);
          }
        },
        { segment_bytes: SEGMENT_BYTES },
      ),
    );
  }

  for (const hang_ms of HANGS_MS) {
    for (const who of ['the leader', 'a follower', 'all'] as const) {
      traced(
        `row 30: flushes that take ${hang_ms} ms at ${who}: nothing is answered before it is durable`,
        async () => {
          const all = await cluster({ nodes: 3, app: 'kvapp', default_times: true });
          const { leader, followers } = await all.roles();
          const work = load(all);
          await work.more(BETWEEN);
          const slow = { 'the leader': [leader], 'a follower': [followers[0]!], all: all.nodes }[who];
          const how = `delay_enter=${hang_ms * 1000}`;
          const tampering = await Promise.all(slow.map((node) => tamper(all, node, 'fdatasync', how)));
          const begun = work.history.now();
          if (who === 'all') {
            // With long delays nobody may be able to lead, so that no answer can be waited for.
            await pause(3 * hang_ms);
            expectDurableFirst(work, begun, work.history.now(), hang_ms);
          } else await work.more(BETWEEN, 60_000);
          if (who === 'a follower') expect(leader.process.log('abdicated')).to.eql([]);
          await Promise.all(tampering.map((strace) => strace.end('SIGTERM')));
          await work.more(BETWEEN);
          await expectSound(all, work);
        },
      );
    }
  }

  const mounted = NO_MOUNTS === undefined ? it : it.skip;
  mounted(
    'row 31: a full disk ends the node, and with room again it recovers; the others go on',
    async () => {
      const all = await cluster({ nodes: 3, segment_bytes: SEGMENT_BYTES });
      const { follower } = await all.roles();
      const work = load(all, { echo: true, padding_bytes: 500 });
      await work.more(BETWEEN);
      await follower.kill();
      const disk = await moveToSmallDisk(all, follower, SMALL_DISK_KIB);
      const program = follower.launchUnder(disk.prefix);
      expect(await program.over('its end on the full disk'), program.stderr).to.eql({
        code: 1,
        signal: null,
      });
      expect(program.stderr).to.match(/ENOSPC|short write/);
      expect(program.log('journal-preparation'), 'it was told in time').to.have.length.above(0);
      // Without room it ends again, at once or a little later.
      expect((await follower.launchUnder(disk.prefix).over('its end on the full disk')).code).to.equal(1);
      await work.more(BETWEEN);
      await disk.remount(`size=${256 * SMALL_DISK_KIB}k`);
      await follower.launchUnder(disk.prefix).logged('started');
      await work.more(BETWEEN);
      await expectKept(all, work);
    },
  );

  /** The lengths of the writes to a node's journal while something is asked for. */
  async function writtenLengths(
    all: Cluster,
    node: TestNode,
    ask: () => Promise<unknown>,
  ): Promise<number[]> {
    const file = join(all.folder, 'writes');
    const words = ['-f', '-o', file, '-e', 'trace=pwrite64', '-p', String(node.process.pid)];
    const strace = all.run('strace', ['strace', ...words]);
    await strace.until('its hold of the node', () => /attached/.test(strace.stderr) || undefined);
    await ask();
    await strace.end('SIGTERM');
    const lines = (await readFile(file, 'latin1')).split('\n');
    return lines.flatMap((line) => Number(/pwrite64\(.*, (\d+), \d+\) = \1$/.exec(line)?.[1] ?? []));
  }

  traced(
    'row 32: what a lying disk swallowed is missed as soon as another write stands behind it',
    async () => {
      const all = await cluster({ nodes: 3 });
      const { follower } = await all.roles();
      const client = all.client();
      // Values of equal length, one at a time, make groups of equal length: the lie has to name it.
      let requests = 0;
      const ask = async (): Promise<void> => {
        for (let i = 0; i < 5; i++) await client.request(`value ${1000 + requests++}`);
        await all.settled();
      };
      await ask();
      for (let tries = 0; tries < MAX_LIES; tries++) {
        const lengths = await writtenLengths(all, follower, ask);
        const length = lengths.sort((a, b) => a - b)[Math.floor(lengths.length / 2)]!;
        const file = await lastSegment(follower);
        const strace = await tamper(all, follower, 'pwrite64', `retval=${length}:when=1`);
        await ask().catch(() => undefined);
        await strace.end('SIGTERM');
        const fate = await fateOf(follower, file);
        if (fate === 'swallowed') break;
        if (fate === 'ended') await follower.start();
      }
      await ask();
      const file = await lastSegment(follower);
      expect(await isSwallowed(file), 'the disk has lied').to.equal(true);
      await follower.kill();
      const { code, text } = await follower.refusal();
      expect(code, text).to.equal(1);
      expect(text)
        .to.contain(file)
        .and.match(/offset \d+/);
      expect((await client.request('the others go on')).value).to.equal('the others go on');
      expectInLog(await sameLog(all), []);
    },
  );
});

/** For so long a node that was lied to may go on before it ends. */
const END_MS = 3_000;

/**
 * What came of a lie: told a wrong length, the node knows that it was not served, and ends, which takes it a moment;
 * told the right one, it doesn't know. A write that wasn't of a group is only made again.
 */
function fateOf(node: TestNode, file: string): Promise<'swallowed' | 'ended' | 'served'> {
  return eventually(
    'what came of the lie',
    async () => {
      if (!node.running) return 'ended' as const;
      return (await isSwallowed(file)) ? ('swallowed' as const) : undefined;
    },
    { timeout_ms: END_MS },
  ).catch(() => 'served');
}

/** Whether zeros stand between records, where a group was to be. */
async function isSwallowed(file: string): Promise<boolean> {
  const written = (await readFile(file)).subarray(0, await endOf(file));
  return written.includes(Buffer.alloc(MIN_GROUP_BYTES));
}
