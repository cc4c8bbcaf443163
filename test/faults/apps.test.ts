import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentStatus } from '../../src/server/status.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { eventually, gone, PROJECT, type Program } from '../support/process.js';
import { errorCode, type RawClient } from '../support/process-wire.js';
import { chance, SEED } from './support/chance.js';
import { judgedTitle } from './support/judge.js';
import { expectSound, halfPatient, load } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';

/** Acknowledged requests between two faults. */
const BETWEEN = 30;

/** Deaths of applications: after each in a row a node waits longer until it starts the next one. */
const APP_KILLS = deep(3, 60);
const HANGS = deep(2, 40);
const ODD_KILLS = deep(2, 40);

/** Leaders that end in good order, as somebody has said Done. */
const DONES = deep(2, 60);

/** Leaders that are deposed while their applications are at work. */
const LOSSES = deep(2, 40);

/** Forged answers, each for some entries in a row. */
const FORGERIES = deep(600, 40_000);
const FORGED_AHEAD = 4;

/** A node says of an application that it hangs, and tells clients to ask again, after this. */
const HASTY = ['--request-timeout-ms', '500'];

const KVAPP = [process.execPath, `${PROJECT}dist/clients/typescript/kvapp.js`];
const PRINTAPP = [process.execPath, `${PROJECT}dist/clients/typescript/printapp.js`];
const ODD_KVAPP = [process.execPath, `${PROJECT}dist/test/faults/support/odd-kvapp.js`];

/** What a node says of an application that answers oddly. */
const ODDITIES = ['app-refused', 'app-twice', 'app-never-sent', 'app-out-of-order'];

/** A leader whose application works, and that process. */
interface Working {
  readonly leader: TestNode;
  readonly pid: number;
}

/** The leader with its application, once there are both; it isn't one of those that were `seen`. */
function working(all: Cluster, seen: ReadonlySet<number> = new Set()): Promise<Working> {
  let last: unknown;
  const look = async (): Promise<Working | undefined> => {
    const leader = await all.leader();
    const status = await leader.status();
    last = [status?.role, status?.app];
    const pid = status?.app.state === 'connected' && 'pid' in status.app ? status.app.pid : undefined;
    const isNew = pid !== undefined && !seen.has(pid);
    return isNew && status?.role === 'leader' ? { leader, pid } : undefined;
  };
  return eventually('a leader with an application', look, { timeout_ms: 60_000, seen: () => last });
}

/** Signals an application, which may have been ended by its node meanwhile. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether `test` comes to hold while this node leads; false once it doesn't lead any more. */
async function whileLeading(
  { leader, pid }: Working,
  what: string,
  test: (status: AgentStatus) => boolean,
): Promise<boolean> {
  const { role, app } = await leader.until(
    what,
    (status) => test(status) || status.role !== 'leader' || !('pid' in status.app) || status.app.pid !== pid,
  );
  return role === 'leader' && 'pid' in app && app.pid === pid;
}

/** Sends a node answers to what clients ask, as somebody who is no application. */
class Forger {
  #sent = 0;
  readonly #raw: RawClient;

  constructor(raw: RawClient) {
    this.#raw = raw;
  }

  /** For this entry, and for some behind it. */
  forge(entry: number): void {
    for (let ahead = 0; ahead < FORGED_AHEAD; ahead++) {
      this.#raw.send({ type: 14, request: {}, entry: entry + ahead, value: '{"ok":true,"value":"forged"}' });
      this.#sent++;
    }
  }

  async expectRefused(): Promise<void> {
    const refused = (): number => this.#raw.all.filter((line) => errorCode(line) === 'not-allowed').length;
    await this.#raw.until('every refusal', () => refused() >= this.#sent);
    expect(refused()).to.equal(this.#sent);
  }
}

describe(judgedTitle('faults: applications'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();

  it(`row 62: kill -9 of the leader's application under load, ${APP_KILLS} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    const killed = new Set<number>();
    for (let kill = 0; kill < APP_KILLS; kill++) {
      const { pid } = await working(all, killed);
      await work.more(BETWEEN);
      signal(pid, 'SIGKILL');
      killed.add(pid);
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it(`row 62: an application that hangs until its clients ask again, ${HANGS} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp', flags: HASTY });
    const work = load(all);
    for (let hangs = 0; hangs < HANGS;) {
      await work.more(BETWEEN);
      const one = await working(all);
      signal(one.pid, 'SIGSTOP');
      const hung = await whileLeading(
        one,
        'a hanging application',
        ({ app }) => 'hanging_entry' in app && app.hanging_entry !== null,
      );
      signal(one.pid, 'SIGCONT');
      if (hung) hangs++;
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it('row 62: an application that answers twice, out of order, for nothing, for others, and garbage', async () => {
    const app = [...ODD_KVAPP, String(SEED), 'lives', 'well'].map((word) => `'${word}'`).join(' ');
    const all = await cluster({ nodes: 3, app });
    chance(all);
    const work = load(all);
    const killed = new Set<number>();
    // Each life answers the whole log once more, in large pieces, and at another leader.
    for (let kill = 0; kill < ODD_KILLS; kill++) {
      await work.more(BETWEEN);
      const { leader, pid } = await working(all, killed);
      killed.add(pid);
      if (kill % 2 === 0) signal(pid, 'SIGKILL');
      else {
        await leader.kill();
        await work.more(BETWEEN);
        await leader.start();
      }
    }
    await work.more(BETWEEN);
    for (const oddity of ODDITIES) {
      await eventually(`a node that says ${oddity}`, () =>
        all.nodes.some(({ lives }) => lives.some((life) => life.log(oddity).length > 0)) ? true : undefined,
      );
    }
    // Then every answer comes, and all keys can be read.
    await writeFile(join(all.folder, 'well'), '');
    await expectSound(all, work);
  });

  it('row 62: two applications register at each node: one answers, and does so too where the next leader is', async () => {
    const all = await cluster({ nodes: 3 });
    const register = (node: TestNode, name: string, command: readonly string[]): Program =>
      all.run(name, command, { PAXOS_ADDR: node.address, PAXOS_PORT: node.port });
    for (const node of all.nodes) {
      register(node, 'first application', KVAPP);
      await node.until('the first application', ({ app }) => app.state === 'connected');
    }
    const seconds = all.nodes.map((node) => register(node, 'second application', PRINTAPP));
    const work = load(all);
    await work.more(BETWEEN);
    for (const second of seconds) await second.until('the log', () => second.stdout !== '' || undefined);
    await (await all.leader()).kill();
    await work.more(BETWEEN);
    // What only listens may leave.
    for (const second of seconds) await second.end();
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it(`row 63: ${FORGERIES} forged answers of those who only follow the log, and of those who don't, are refused`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    await work.more(BETWEEN);
    const forgers: Forger[] = [];
    for (const node of all.nodes) {
      const [follower, stranger] = [await all.connect(node), await all.connect(node)];
      follower.send({ type: 13 });
      forgers.push(new Forger(follower), new Forger(stranger));
    }
    for (let sent = 0; sent < FORGERIES; sent += forgers.length * FORGED_AHEAD) {
      const { answer } = work.acknowledged.at(-1)!;
      for (const forger of forgers) forger.forge(answer.entry);
      await work.more(1);
    }
    for (const forger of forgers) await forger.expectRefused();
    await expectSound(all, work);
  });

  it(`row 63: Done from a client ends the leader under load, ${DONES} times: in good order, and another leads`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    for (let done = 0; done < DONES; done++) {
      await work.more(BETWEEN);
      const { leader, pid } = await working(all);
      const raw = await all.connect(leader);
      raw.send({ type: 15 });
      expect(await leader.process.over('its end')).to.eql({ code: 0, signal: null });
      await gone(pid);
      await work.more(BETWEEN);
      await leader.start();
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it(`row 64: a leader is deposed while its application works, ${LOSSES} times: what waited is answered once`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all, halfPatient(all));
    for (let losses = 0; losses < LOSSES;) {
      await work.more(BETWEEN);
      const one = await working(all);
      const { leader, pid } = one;
      signal(pid, 'SIGSTOP');
      const atWork = await whileLeading(
        one,
        'an application at work',
        ({ app }) => 'unanswered' in app && app.unanswered > 0,
      );
      leader.process.signal('SIGSTOP');
      await all.leader(all.nodes.filter((node) => node !== leader));
      await work.more(BETWEEN);
      leader.process.signal('SIGCONT');
      // Its node ends it, though it stands still.
      await gone(pid);
      if (atWork) losses++;
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });
});
