import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { eventually, isOnPath } from '../support/process.js';
import { RawClient } from '../support/process-wire.js';
import { inside } from './support/inside.js';
import { judgedTitle } from './support/judge.js';
import { expectAlive, expectInLog, expectSound, load, sameLog } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';

const BETWEEN = 30;
const DAY_MS = 24 * 60 * 60 * 1000;

/** What the garbage collector may keep: about what spec.md, section 14, lets a node retain of values and answers. */
const HEAP_MIB = 96;
/** Beside the heap there are buffers and the program itself. */
/** Longer than nodes take to end for lack of memory, one after the other, and to come back. */
const REVIVAL_MS = 60_000;

const MAX_RESIDENT_MIB = 400;
const FLOODERS = 16;
/** Of nearly the largest value: together more than the heap. */
const REQUESTS_PER_FLOODER = 20;
/** For so long what the flood sent is left to the nodes. */
const FLOOD_MS = 1_000;
const FLOOD_ROUNDS = deep(1, 40);

/** A node keeps 256 of them for itself. */
const DESCRIPTORS = 290;
/** Its journal needs another file after some dozens of requests; a machine may have much else to do. */
const END_TIMEOUT_MS = 60_000;
/** Fewer than any process has open. */
const LOWEST_DESCRIPTORS = 3;
/** Connections to each node: more than there are descriptors for. */
const STORM = 320;
/** Small files: the journal needs new ones all the time. */
const SEGMENT_BYTES = 16 * 1024;

describe(judgedTitle('faults: clocks, memory and descriptors'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();

  it('row 10: the wall clocks of all jump by a day, back and forth: nothing happens', async () => {
    const all = await cluster({
      nodes: 3,
      app: 'kvapp',
      default_times: true,
      env: inside({ FAULT_CLOCK: String(DAY_MS) }),
    });
    const leader = await all.leader();
    const { promised_round } = (await leader.status())!;
    const work = load(all);
    await work.more(deep(400, 10_000), FAULTS_TIMEOUT_MS);
    await expectSound(all, work);
    for (const node of all.nodes) {
      const times = node.process.log().map(({ time }) => Number(time));
      for (const time of times) expect(Math.abs(time - Date.now()), 'the clock').to.be.above(0.9 * DAY_MS);
      expect((await node.status())!.promised_round).to.equal(promised_round);
    }
    expect((await all.leader()).name).to.equal(leader.name);
  });

  /** The most memory that a process has had, in MiB. */
  async function peak_mib(node: TestNode): Promise<number> {
    const status = await readFile(`/proc/${node.process.pid}/status`, 'latin1').catch(() => '');
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  }

  /** Clients that ask for much and read nothing; a node that has had enough of them cuts them off. */
  async function flood(all: Cluster): Promise<void> {
    const value = 'x'.repeat(60_000);
    const line = (no: number): string => `${JSON.stringify({ type: 7, request: { no, value } })}\n`;
    const connections: RawClient[] = [];
    for (const node of all.running) {
      for (let i = 0; i < FLOODERS; i++) {
        const raw = await RawClient.connect(node, { reading: false }).catch(() => undefined);
        if (raw === undefined) continue;
        connections.push(raw);
        raw.write('{"type":11}\n');
        for (let no = 1; no <= REQUESTS_PER_FLOODER; no++) raw.write(line(no));
      }
    }
    await pause(FLOOD_MS);
    for (const raw of connections) raw.close();
  }

  it(`row 11: nodes with a heap of ${HEAP_MIB} MiB are flooded: memory stays bounded, or they end and come back`, async () => {
    const all = await cluster({
      nodes: 3,
      app: 'kvapp',
      env: { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` },
    });
    const work = load(all);
    await work.more(BETWEEN);
    /** Whoever is alive has bounded memory; whoever is dead ran out of it, and nothing else, and comes back. */
    const revive = async (): Promise<void> => {
      for (const node of all.nodes) {
        if (node.running) {
          expect(await peak_mib(node), `memory of ${node.name}`).to.be.below(MAX_RESIDENT_MIB);
        } else {
          expect((await node.process.ended).signal, node.process.stderr).to.equal('SIGABRT');
          await node.start();
        }
      }
    };
    for (let round = 0; round < FLOOD_ROUNDS; round++) {
      await flood(all);
      const goal = work.acknowledged.length + BETWEEN;
      const answered = async (): Promise<true | undefined> => {
        await revive();
        return work.acknowledged.length >= goal ? true : undefined;
      };
      await eventually('answers after the flood', answered, { timeout_ms: REVIVAL_MS });
    }
    await expectSound(all, work);
  });

  const limited = isOnPath('prlimit') ? it : it.skip;

  /** Connections that say nothing, as many as the node takes. */
  async function storm(node: TestNode): Promise<() => void> {
    const connections = await Promise.all(
      Array.from({ length: STORM }, () => RawClient.connect(node).catch(() => undefined)),
    );
    return () => {
      for (const raw of connections) raw?.close();
    };
  }

  limited(
    'row 13: nodes with few descriptors refuse clients, and keep what their journals need',
    async () => {
      const all = await cluster({ nodes: 3, starting: [], segment_bytes: SEGMENT_BYTES });
      for (const node of all.nodes) {
        await node.launchUnder(['prlimit', `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`]).logged('started');
      }
      const leader = await all.leader();
      const work = load(all, { echo: true });
      await work.more(BETWEEN);
      for (let i = 0; i < deep(2, 50); i++) {
        const ends = await Promise.all(all.nodes.map(storm));
        await work.more(4 * BETWEEN);
        for (const end of ends) end();
      }
      await expectAlive(all);
      await work.stop();
      expectInLog(await sameLog(all), work.acknowledged, work.refused);
      for (const node of all.nodes) {
        expect(node.process.log('failed')).to.eql([]);
        expect((await node.status())!.journal.begun).to.be.above(2);
      }
      expect(leader.running).to.equal(true);
    },
  );

  limited(
    'row 13: a leader whose last descriptors are taken away ends by itself, and nothing is lost',
    async () => {
      const all = await cluster({ nodes: 3, segment_bytes: SEGMENT_BYTES });
      const leader = await all.leader();
      const work = load(all, { echo: true });
      await work.more(BETWEEN);
      const words = ['--pid', String(leader.process.pid), `--nofile=${LOWEST_DESCRIPTORS}:`];
      expect(spawnSync('prlimit', words).status).to.equal(0);
      await leader.process.over('its end, as no new file of its journal can be opened', END_TIMEOUT_MS);
      expect(await leader.process.ended).to.eql({ code: 1, signal: null });
      expect(leader.process.log('failed')[0]?.msg).to.contain('EMFILE');
      await work.more(BETWEEN);
      await leader.start();
      await work.more(BETWEEN);
      await work.stop();
      await expectAlive(all);
      expectInLog(await sameLog(all), work.acknowledged, work.refused);
    },
  );
});
