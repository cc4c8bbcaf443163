import { expect } from 'chai';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { encodeKvRequest, type Answer } from '../../clients/typescript/index.js';
import { freePorts, LOOPBACK } from '../support/cluster-ports.js';
import { useClusters } from '../support/cluster-hooks.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { eventually, gone, isOnPath, PROJECT, type Program } from '../support/process.js';
import { errorCode } from '../support/process-wire.js';
import { PATIENT } from './network/support.js';
import { History } from './support/history.js';
import { judgedTitle } from './support/judge.js';
import {
  executedIn,
  expectInLog,
  expectSound,
  load,
  RESTLESS,
  sameLog,
  type Acknowledged,
} from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { descriptors, residentBytes } from './support/watch.js';

const BASH = isOnPath('bash');

/** Large values that pile up where nobody reads. */
const LARGE_LENGTH = 60_000;
const LARGE_REQUESTS = deep(200, 12_000);

/** Requests on their way at once, below what one connection may have. */
const MAX_IN_FLIGHT = 100;

/** Clients that fill what waits for an application with that many each. */
const SESSIONS = deep(3, 30);

/** Of so large answers a node keeps more than this. */
const KEPT_ANSWERS = 250;

/** Queries for large values whose answers are many times what may wait. */
const QUERIES = 120;

/** What may wait for a reader, by flag. */
const MAX_BUFFERED_BYTES = 1_000_000;

/**
 * What a node may grow by meanwhile: what waits for a disk that is behind, the values and answers that are kept, and
 * what waits to be collected. The long form asks for several times as much.
 */
const MAX_GROWTH_BYTES = deep(160, 400) * 1024 * 1024;

/** How long somebody reads a byte a second. */
const SLOW_MS = deep(3_000, 60_000);

/** Connections that break off. */
const BREAKS = deep(200, 5_000);

/** Changes of the leader, about as quick as the times below let them be. */
const CHANGES = deep(20, 500);
const HASTY = ['--heartbeat-ms', '20', '--leader-timeout-ms', '60'];

const MAX_MORE_DESCRIPTORS = 8;

function put(key: string, value: string): string {
  return encodeKvRequest({ op: 'put', key, value });
}

/** Connects, says this, and reads a byte a second. */
function slowReader(all: Cluster, { address, port }: TestNode, opening: readonly object[]): Program {
  const script = 'exec 3<>"/dev/tcp/$1/$2"; printf "%s\\n" "$3" >&3; while sleep 1; do read -rN1 -u3 _; done';
  return all.run('slow reader', [
    ...['bash', '-c', script, 'slow-reader', address, port],
    opening.map((message) => JSON.stringify(message)).join('\n'),
  ]);
}

/** An application that reads a byte a second, until a file of this name is there: then one that works. */
async function slowApp(folder: string): Promise<{ command: string; quick: string }> {
  const [command, quick] = [join(folder, 'slow-app'), join(folder, 'quick')];
  const lines = [
    '#!/usr/bin/env bash',
    `[ -e '${quick}' ] && exec '${process.execPath}' '${PROJECT}dist/clients/typescript/kvapp.js' "$@"`,
    'exec 3<>"/dev/tcp/$PAXOS_ADDR/$PAXOS_PORT"',
    `printf '{"type":11}\\n{"type":13}\\n' >&3`,
    'while sleep 1; do read -rN1 -u3 _; done',
  ];
  await writeFile(command, `${lines.join('\n')}\n`);
  await chmod(command, 0o755);
  return { command, quick };
}

/** Someone who sends everybody to the next of these places, whatever they say. */
async function redirector(port: number, to: number): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    const answer = { type: 9, leaderaddress: LOOPBACK, leaderport: String(to) };
    socket.on('data', () => socket.write(`${JSON.stringify(answer)}\n`));
  });
  await new Promise<void>((resolve) => server.listen(port, LOOPBACK, resolve));
  return server;
}

/** The pid of the application at `node`, once it is connected. */
async function appPid(node: TestNode, but = 0): Promise<number> {
  const { app } = await node.until(
    'an application',
    (status) => status.app.state === 'connected' && 'pid' in status.app && status.app.pid !== but,
  );
  return 'pid' in app ? (app.pid ?? 0) : 0;
}

describe(
  judgedTitle(`faults: clients and applications${BASH ? '' : ' (partly skipped: no bash)'}`),
  function () {
    this.timeout(FAULTS_TIMEOUT_MS);
    const cluster = useClusters();
    const slow = BASH ? it : it.skip;
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'paxosd-clients-'));
    });
    afterEach(() => rm(folder, { recursive: true, force: true }));

    slow('row 27: a client and a follower that read a byte a second: their buffers are bounded', async () => {
      const flags = [...PATIENT, '--max-buffered-bytes', String(MAX_BUFFERED_BYTES)];
      const all = await cluster({ nodes: 3, app: 'kvapp', flags });
      const work = load(all);
      const leader = await all.leader();
      const client = all.client({ timeout_ms: FAULTS_TIMEOUT_MS });
      const { entry } = await client.request(put('large', 'x'.repeat(LARGE_LENGTH)));
      const before = residentBytes(leader);
      slowReader(all, leader, [{ type: 13, request: { noset: true } }]);
      const query = { type: 7, request: { noset: true, entry } };
      slowReader(
        all,
        leader,
        Array.from({ length: QUERIES }, () => query),
      );
      await leader.process.logged('slow-reader');
      for (let i = 0; i < LARGE_REQUESTS; i += MAX_IN_FLIGHT) {
        const batch = Array.from({ length: MAX_IN_FLIGHT }, (_, k) =>
          client.request(put('large', `${i + k}${'x'.repeat(LARGE_LENGTH)}`)),
        );
        await Promise.all(batch);
      }
      await work.more(100);
      expect(residentBytes(leader) - before, 'growth in bytes').to.be.below(MAX_GROWTH_BYTES);
      await expectSound(all, work);
    });

    slow(
      'row 27: an application that reads a byte a second is sent no more than it takes; others go on',
      async () => {
        const { command, quick } = await slowApp(folder);
        await writeFile(quick, '');
        const all = await cluster({ nodes: 3, app: command, flags: PATIENT });
        const work = load(all);
        await work.more(50);
        const leader = await all.leader();
        const first = await appPid(leader);
        await rm(quick);
        process.kill(first, 'SIGKILL');
        const second = await appPid(leader, first);
        const before = {
          chosen: (await leader.until('its status', () => true)).entries.chosen,
          bytes: residentBytes(leader),
        };
        const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => all.session()));
        for (const { raw, id } of sessions) {
          for (let no = 1; no <= MAX_IN_FLIGHT; no++)
            raw.request(no, put(`${id}/${no}`, 'x'.repeat(LARGE_LENGTH)));
        }
        // It is chosen all the same, and everybody who doesn't need the application is served.
        const asked = SESSIONS * MAX_IN_FLIGHT;
        const { entries } = await leader.until(
          'all of it chosen',
          (status) => status.entries.chosen >= before.chosen + asked,
          FAULTS_TIMEOUT_MS,
        );
        expect(entries.applied! - before.chosen, 'entries that wait in buffers').to.be.below(asked / 2);
        await pause(SLOW_MS);
        await all.settled();
        const last = await Promise.all(
          all.nodes.map(({ name }) => all.client({ servers: name }).query(entries.chosen - 1)),
        );
        for (const { value } of last) expect(value).to.equal(last[0]!.value).and.not.equal('');
        expect(residentBytes(leader) - before.bytes, 'growth in bytes').to.be.below(MAX_GROWTH_BYTES);
        await writeFile(quick, '');
        process.kill(second, 'SIGKILL');
        await gone(second);
        await work.more(50);
        let answered = 0;
        for (const { id } of sessions) {
          const { raw } = await all.session(id);
          for (let no = 1; no <= MAX_IN_FLIGHT; no++) raw.request(no, put(`${id}/${no}`, 'something else'));
          for (const answer of await raw.take(MAX_IN_FLIGHT)) {
            // Of the oldest it is known only that they were executed, as their answers are too many to keep.
            if (errorCode(answer) === 'answer-forgotten') continue;
            expect([answer.type, answer.value?.includes('xxx')]).to.eql([8, true]);
            answered++;
          }
        }
        expect(answered, 'answers that are kept').to.be.at.least(Math.min(asked, KEPT_ANSWERS));
        const log = await expectSound(all, work);
        expect([...executedIn(log).values()].filter(({ value }) => value.includes('xxx'))).to.have.length(
          asked,
        );
      },
    );

    it(`row 28: ${BREAKS} connections reset, closed or half closed in the middle of a request`, async () => {
      const all = await cluster({ nodes: 3, app: 'kvapp' });
      const work = load(all);
      await work.more(50);
      const leader = await all.leader();
      const open = descriptors(leader);
      let answered = 0;
      for (let i = 0; i < BREAKS; i++) {
        const lines = [
          '{"type":11}',
          JSON.stringify({ type: 7, request: { no: 1, value: put('broken', `${i}`) } }),
        ];
        const text = lines.join('\n');
        const cut = Math.floor((i * (text.length + 1)) / BREAKS);
        const raw = await all.connect(leader);
        raw.write(text.slice(0, cut));
        if (i % 3 === 0) raw.socket.resetAndDestroy();
        else if (i % 3 === 1) raw.close();
        else {
          raw.socket.end();
          await raw.ended();
          const expected = [...(cut >= lines[0]!.length ? [10] : []), ...(cut >= text.length ? [8] : [])];
          expect(raw.all.map(({ type }) => type).filter((type) => type !== 16)).to.eql(expected);
          answered += expected.length;
        }
      }
      expect(answered).to.be.above(0);
      await leader.until('them gone', () => descriptors(leader) <= open + MAX_MORE_DESCRIPTORS);
      await work.more(50);
      await expectSound(all, work);
    });

    it(`row 61: the leader is stopped as soon as it leads, ${CHANGES} times`, async () => {
      const all = await cluster({ nodes: 3, flags: HASTY });
      const history = new History();
      const acknowledged: Acknowledged[] = [];
      let going = true;
      const ask = async (number: number): Promise<void> => {
        const client = all.client(RESTLESS);
        for (let i = 0; going; i++) {
          const [value, call] = [put(`${number}`, `${number}.${i}`), history.now()];
          const answer: Answer = await client.request(value, { timeout_ms: FAULTS_TIMEOUT_MS });
          expect(answer.value).to.equal(value);
          acknowledged.push({ value, answer, call, return: history.now() });
          await pause(1);
        }
      };
      const clients = Promise.all(Array.from({ length: 6 }, (_, number) => ask(number)));
      let stopped: TestNode | undefined;
      const leaders = new Set<string>();
      for (let change = 0; change < CHANGES; change++) {
        const others = all.nodes.filter((node) => node !== stopped);
        const leader = await eventually('a leader', async () => {
          for (const node of others) if ((await node.status())?.role === 'leader') return node;
          return undefined;
        });
        stopped?.process.signal('SIGCONT');
        leader.process.signal('SIGSTOP');
        leaders.add(leader.name);
        stopped = leader;
      }
      stopped?.process.signal('SIGCONT');
      going = false;
      await clients;
      expect(leaders.size).to.be.above(1);
      expectInLog(await sameLog(all), acknowledged);
    });

    it('row 61: redirects in a circle, and to the dead', async () => {
      const all = await cluster({ nodes: 3, app: 'kvapp' });
      const work = load(all);
      const [one, two] = await freePorts(2);
      const circle = [await redirector(one!, two!), await redirector(two!, one!)];
      try {
        const { leader, follower } = await all.roles();
        const lost = all.client({ ...RESTLESS, servers: [`${LOOPBACK}:${one!}`, follower.name] });
        await lost.request(put('asked in a circle', 'once'));
        // Its servers are one that leads into the circle, and one that names the dead at first.
        await leader.kill();
        const led = all.client({ ...RESTLESS, servers: [`${LOOPBACK}:${two!}`, follower.name] });
        await led.request(put('asked of the dead', 'once'));
        await leader.start();
        await work.more(50);
        await expectSound(all, work);
      } finally {
        for (const server of circle) server.close();
      }
    });
  },
);
