import { expect } from 'chai';
import { join } from 'node:path';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { eventually } from '../support/process.js';
import { expectAlive, expectInLog, load, sameLog, type Load } from './support/load.js';
import { DEEP, deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { countCalls, recording, spread, STRACE, tracedTitle, under } from './support/strace.js';

/** What a node does to its disk, and how it speaks: everything that leaves a trace outside of it. */
const DISK_CALLS = ['openat', 'pwrite64', 'fdatasync', 'fsync', 'rename'];
const WIRE_CALLS = ['write', 'sendmsg'];

/** Deaths per kind of call in the short form; the deep one has them all. */
const SAMPLES = 3;

/** After so many acknowledged requests a life that was to end at a later call is ended. */
const REQUESTS_PER_LIFE = deep(30, 60);

/** A segment is full after about this many values, so that changes of segments are among what is interrupted. */
const VALUES_PER_SEGMENT = 4;
const PADDING_BYTES = 1_000;
const SEGMENT_BYTES = 2 * VALUES_PER_SEGMENT * PADDING_BYTES;

/** Its many small files make each recovery longer than the one before. */
const LIVES_PER_CLUSTER = 50;

/** The call at which a life ends, and how often it has made it then. */
type Death = readonly [call: string, n: number];

/** How a life went: it died at the call where it was to die, or outlived it. */
type Outcome = 'died' | 'outlived';

/** Waits until `node` has died or enough was acknowledged; ends it then. */
async function live(node: TestNode, work: Load): Promise<Outcome> {
  const goal = work.acknowledged.length + REQUESTS_PER_LIFE;
  const outcome = await eventually<Outcome>('death, or enough requests', () => {
    if (!node.process.running) return 'died';
    return work.acknowledged.length >= goal ? 'outlived' : undefined;
  });
  const end = await (outcome === 'died' ? node.process.ended : node.kill());
  expect(end, node.process.stderr).to.eql({ code: null, signal: 'SIGKILL' });
  return outcome;
}

describe(tracedTitle('faults: death at every call'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();
  const traced = STRACE ? it : it.skip;

  /** Of three nodes one never runs until the end: nothing is acknowledged without the one that dies. */
  async function pair(): Promise<{
    all: Cluster;
    victim: TestNode;
    work: Load;
    finish: () => Promise<void>;
  }> {
    const all = await cluster({ nodes: 3, starting: [0, 1], segment_bytes: SEGMENT_BYTES });
    const [victim] = all.nodes as [TestNode];
    const work = load(all, { echo: true, padding_bytes: PADDING_BYTES });
    await work.more(5);
    await victim.kill();
    const finish = async (): Promise<void> => {
      await victim.start();
      await work.more(5);
      await all.nodes[2]!.start();
      await work.stop();
      await expectAlive(all);
      expectInLog(await sameLog(all), work.acknowledged, work.refused);
      await Promise.all(all.running.map((node) => node.kill()));
    };
    return { all, victim, work, finish };
  }

  /** Which calls of a life are to be its last. */
  function wantedOf(calls: readonly string[], counted: ReadonlyMap<string, number>): Death[] {
    expect([...counted.keys()]).to.include.members([...calls]);
    return calls.flatMap((call) => {
      const last = counted.get(call) ?? 0;
      return spread(last, DEEP ? last : SAMPLES).map((n): Death => [call, n]);
    });
  }

  /** How often a node makes each call from its start to the first requests. */
  async function callsOf(all: Cluster, node: TestNode, work: Load): Promise<Map<string, number>> {
    const file = join(all.folder, 'calls');
    node.launchUnder(recording([...DISK_CALLS, ...WIRE_CALLS].join(','), file));
    expect(await live(node, work)).to.equal('outlived');
    return countCalls(file);
  }

  for (const [what, calls] of [
    ['the disk', DISK_CALLS],
    ['sockets and pipes', WIRE_CALLS],
  ] as const) {
    traced(`row 2: one of the two whose votes are needed dies at every n-th call to ${what}`, async () => {
      let wanted: Death[] | undefined;
      let deaths = 0;
      for (let done = 0; wanted === undefined || done < wanted.length; done += LIVES_PER_CLUSTER) {
        const { all, victim, work, finish } = await pair();
        wanted ??= wantedOf(calls, await callsOf(all, victim, work));
        for (const [call, n] of wanted.slice(done, done + LIVES_PER_CLUSTER)) {
          // The life after a death is the next that dies, so that recoveries are interrupted as well.
          victim.launchUnder(under(call, `signal=KILL:when=${n}`));
          if ((await live(victim, work)) === 'died') deaths++;
        }
        await finish();
      }
      // How many calls a life makes is not the same each time, so that the last ones may not be reached.
      expect(deaths, `deaths of ${wanted.length}`).to.be.at.least(wanted.length / 2);
    });
  }
});
