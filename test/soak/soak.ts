import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeKvRequest } from '../../clients/typescript/index.js';
import { within } from '../net/support.js';
import { Cluster } from '../support/cluster.js';
import { PROJECT } from '../support/process.js';
import { SeededRandom } from '../support/random.js';
import { Audit, expectOnce, expectOrder } from './audit.js';
import { CLIENT_FAULTS } from './client-faults.js';
import { carriedOver, History, type Operation } from './judge.js';
import { Gate, KEY_NAMES, RecordedClient, Recording, STEADY_KEYS, SteadyWriter } from './load.js';
import { lane, World } from './nemesis.js';
import { must, type SoakOptions } from './options.js';
import { PROCESS_FAULTS } from './process-faults.js';
import { now_ns } from './record.js';
import { periodLine, Totals } from './report.js';
import { Doctor, type Vitals } from './vitals.js';

/** The key-value application that comes with the program. */
const KV_APP = `'${process.execPath}' '${PROJECT}dist/clients/typescript/kvapp.js'`;

/** Small, so that a minute fills several. */
const SEGMENT_BYTES = 1024 * 1024;

/** How long after healing every request must be answered: elections, catching up and the application's replay. */
const ANSWERED_TIMEOUT_MS = 30_000;

/** Faults of processes at the same time, on different nodes. */
const PROCESS_LANES = 2;

/** What one period brought. */
export interface Period {
  readonly number: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly acknowledged: number;
  readonly abandoned: number;
  readonly refused: number;
  readonly lost_sessions: number;
  /** From the end of all faults to a leader whom all follow, and to the first answer. */
  readonly leader_ms: number;
  readonly answer_ms: number;
  readonly vitals: Vitals;
  /** Entries chosen since the beginning, and among them no-ops and requests that had been executed before. */
  readonly entries: number;
  readonly no_ops: number;
  readonly duplicates: number;
}

/** A cluster under faults and load, checked again and again. */
class Soak {
  readonly #recording = new Recording();
  readonly #gate = new Gate();
  readonly #audit = new Audit();
  readonly #world: World;
  readonly #doctor: Doctor;
  readonly #randoms: SeededRandom[];
  readonly #probe: RecordedClient;
  readonly #load: Promise<unknown>;
  /** Puts that may still take effect, and the values that the keys had at the last check. */
  #open: Operation[] = [];
  #values = new Map<string, string>();
  #checked_ns = 0;

  constructor(
    readonly cluster: Cluster,
    readonly options: SoakOptions,
    hasStrace: boolean,
  ) {
    const { seed, clients, steady_per_s } = options;
    const { servers } = cluster;
    this.#world = new World(cluster, hasStrace);
    this.#doctor = new Doctor(cluster);
    this.#randoms = Array.from({ length: PROCESS_LANES + 1 }, (_, i) => new SeededRandom(seed + i));
    const client = (i: number): RecordedClient =>
      new RecordedClient(i, servers, seed ^ ((i + 1) << 16), this.#recording, this.#gate);
    this.#probe = client(clients);
    this.#gate.close();
    const writer = new SteadyWriter(servers, steady_per_s, this.#recording, this.#gate);
    const running = [writer.run(), ...Array.from({ length: clients }, (_, i) => client(i).run())];
    this.#load = Promise.all(running);
    // Waited for at the end; what goes wrong before that is seen by the checks, too.
    this.#load.catch(() => undefined);
  }

  begin(): Promise<void> {
    return this.#doctor.begin();
  }

  async period(number: number): Promise<Period> {
    const faults = await this.#trouble();
    const { leader_ms, answer_ms } = await this.#healed();
    await this.#quiet();
    const recorded = await this.#check();
    const count = [...faults.values()].reduce((sum, each) => sum + each, 0);
    const { checked: entries, no_ops, duplicates, value_length } = this.#audit;
    const vitals = await this.#doctor.look(count, entries, value_length);
    await this.#readAll();
    const { abandoned, refused, lost_sessions } = recorded;
    const acknowledged = recorded.acknowledged.length;
    return {
      ...{ number, faults, acknowledged, abandoned, refused, lost_sessions, leader_ms, answer_ms },
      ...{ vitals, entries, no_ops, duplicates },
    };
  }

  /** Checks what was read last, and the logs from their beginning. */
  async finish(): Promise<void> {
    await this.#check();
    for (const node of this.cluster.nodes) await this.#audit.readAgain(this.cluster, node);
    this.#gate.end();
    await this.#load;
  }

  /** Faults of all kinds, each of which heals what it did. */
  async #trouble(): Promise<ReadonlyMap<string, number>> {
    const { period_ms, faults_per_period } = this.options;
    this.#world.begin();
    this.#gate.open();
    const timer = setTimeout(() => this.#world.end(), period_ms);
    const enough = (): boolean =>
      [...this.#world.counts.values()].reduce((sum, each) => sum + each, 0) >= faults_per_period;
    try {
      await Promise.all(
        this.#randoms.map((random, i) =>
          lane(this.#world, i < PROCESS_LANES ? PROCESS_FAULTS : CLIENT_FAULTS, random, enough),
        ),
      );
    } finally {
      clearTimeout(timer);
      this.#world.end();
    }
    return this.#world.counts;
  }

  /** Everybody is up, one leads, and requests are answered. */
  async #healed(): Promise<{ leader_ms: number; answer_ms: number }> {
    const began_ms = performance.now();
    this.#world.expectNoDeaths();
    const { nodes } = this.cluster;
    for (const node of nodes) must(node.running, `${node.name} does not run after all faults have ended`);
    await this.cluster.leader(nodes);
    const leader_ms = performance.now() - began_ms;
    const asked = encodeKvRequest({ op: 'get', key: 'probe' });
    await this.cluster.client().request(asked, { timeout_ms: ANSWERED_TIMEOUT_MS });
    return { leader_ms, answer_ms: performance.now() - began_ms };
  }

  /** Lets no new request begin, and waits for the answers of those that have begun. */
  async #quiet(): Promise<void> {
    this.#gate.close();
    await within(this.#gate.idle(), 'answers to all that was asked', ANSWERED_TIMEOUT_MS);
  }

  /** Holds the logs of all nodes, and what clients have seen, against each other. */
  async #check(): Promise<Recording> {
    const count = await this.cluster.settled(this.cluster.nodes);
    const recorded = this.#recording.take();
    const executed = await this.#audit.read(this.cluster, count);
    expectOnce(recorded.acknowledged, executed);
    expectOrder(recorded.acknowledged);
    const history = new History();
    const before = carriedOver(this.#values, this.#open, this.#checked_ns);
    for (const operation of [...before, ...recorded.operations]) history.add(operation);
    await this.options.judge(history);
    this.#carryOver(
      [...this.#open, ...recorded.operations],
      new Set([...executed.values()].map(({ asked }) => asked)),
    );
    this.#world.expectNoDeaths();
    return recorded;
  }

  /** What the next history begins with. */
  #carryOver(operations: readonly Operation[], executed: ReadonlySet<string>): void {
    this.#checked_ns = now_ns();
    this.#open = operations.filter(
      ({ op, key, value, return: end }) =>
        op === 'put' && end === undefined && !executed.has(encodeKvRequest({ op, key, value })),
    );
    this.#values = new Map();
    for (const key of [...KEY_NAMES, ...STEADY_KEYS]) {
      const value = this.#audit.valueOf(key);
      if (value !== undefined) this.#values.set(key, value);
    }
  }

  /** Asks for every key: the answers are checked with the next period's. */
  async #readAll(): Promise<void> {
    for (const key of [...KEY_NAMES, ...STEADY_KEYS]) await this.#probe.perform({ op: 'get', key });
  }

  close(): void {
    this.#world.end();
    this.#gate.end();
    this.#probe.close();
  }
}

/** Whether system calls can be made to fail here. */
export function hasStrace(): boolean {
  return spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;
}

/**
 * Runs a cluster under faults and load. Resolves with what was seen if all was well; otherwise rejects with the reason,
 * and leaves the nodes' files and logs where it says.
 */
export async function soak(options: SoakOptions): Promise<Totals> {
  const strace = hasStrace();
  if (!strace) options.say('skipped: slow-disk and failing-disk, for lack of strace');
  const flags = ['--segment-bytes', String(SEGMENT_BYTES)];
  const cluster = await Cluster.started({ nodes: options.nodes, app: KV_APP, default_times: true, flags });
  const endAll = (): void => cluster.running.forEach((node) => node.process.signal('SIGKILL'));
  process.once('exit', endAll);
  const run = new Soak(cluster, options, strace);
  const totals = new Totals();
  try {
    await cluster.leader();
    await run.begin();
    for (let number = 1; number <= options.periods; number++) {
      const period = await run.period(number);
      totals.add(period);
      options.say(periodLine(period));
    }
    await run.finish();
    run.close();
    await cluster.release();
    return totals;
  } catch (error) {
    run.close();
    await keepEvidence(cluster, error);
    options.say(`FAILED with seed ${options.seed}; the nodes' files and logs are in ${cluster.folder}`);
    throw error;
  } finally {
    process.removeListener('exit', endAll);
  }
}

/** Ends the nodes, and leaves their files with what they wrote. */
async function keepEvidence(cluster: Cluster, error: unknown): Promise<void> {
  const { output } = cluster;
  await cluster.release({ keeping_files: true });
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  await writeFile(join(cluster.folder, 'output.log'), output);
  await writeFile(join(cluster.folder, 'failure.txt'), `${reason}\n`);
}
