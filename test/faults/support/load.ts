import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import {
  decodeKvAnswer,
  encodeKvRequest,
  RequestError,
  type Answer,
  type Client,
  type KvRequest,
} from '../../../clients/typescript/index.js';
import type { Cluster, LogEntry, TestNode } from '../../support/cluster.js';
import { eventually, PATIENCE_MS } from '../../support/process.js';
import { SeededRandom } from '../../support/random.js';
import { SEED, tellSeed } from './chance.js';
import { expectLinearizable, History, type Begun } from './history.js';

/** Longer than a cluster takes to recover from anything here: hardly any operation stays open. */
const OPERATION_TIMEOUT_MS = 30_000;

/** Between two requests of one client: many requests per fault, and logs that can be compared. */
const PACE_MS = 2;

/** Operations after which other keys are used: Porcupine's work grows with the square of a key's history. */
const GENERATION = 300;

const DEFAULT_CLIENTS = 4;
const DEFAULT_KEYS = 3;

/** A put is as likely as a get. */
const DEFAULT_PUT_SHARE = 0.5;

/** Quick to leave a node that says nothing: it may be stopped, or cut off. */
export const RESTLESS = { silence_ms: 500, greeting_ms: 500 } as const;

/** Longer than any operation may take. */
const PATIENT_SILENCE_MS = 40_000;

/** A request that was answered, and where it was in time. */
export interface Acknowledged {
  readonly value: string;
  readonly answer: Answer;
  readonly call: number;
  readonly return: number;
}

export interface LoadOptions {
  /** Makes the client with this number. */
  readonly client: (number: number) => Pick<Client, 'request'>;
  readonly clients?: number;
  /** How likely an operation is a put. */
  readonly put_share?: number;
  /** Keys in use at a time. */
  readonly keys?: number;
  readonly pace_ms?: number;
  /** For one operation, with all asking again. */
  readonly timeout_ms?: number;
  /** The nodes run no application and answer values with themselves; then there is no history, only the log. */
  readonly echo?: boolean;
  /** Bytes that are added to each value that is put. */
  readonly padding_bytes?: number;
}

/**
 * Clients that put unique values to few keys and get them, one operation at a time each, while whatever happens
 * happens. The nodes' application is `kvapp`. What isn't answered stays open in the history.
 */
export class Load {
  readonly history = new History();
  readonly acknowledged: Acknowledged[] = [];
  /** Values that certainly are in no log. */
  readonly refused: string[] = [];
  readonly #options: Required<LoadOptions>;
  readonly #loops: Promise<void>[];
  #failure: Error | undefined;
  #going = true;
  #begun = 0;

  constructor(options: LoadOptions) {
    this.#options = {
      clients: DEFAULT_CLIENTS,
      put_share: DEFAULT_PUT_SHARE,
      keys: DEFAULT_KEYS,
      pace_ms: PACE_MS,
      timeout_ms: OPERATION_TIMEOUT_MS,
      echo: false,
      padding_bytes: 0,
      ...options,
    };
    this.#loops = Array.from({ length: this.#options.clients }, (_, number) =>
      this.#run(number).catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
      }),
    );
  }

  /** Resolves when so many more operations have been acknowledged. */
  async more(count: number, timeout_ms = PATIENCE_MS): Promise<void> {
    const goal = this.acknowledged.length + count;
    const look = (): true | undefined => {
      if (this.#failure !== undefined) throw this.#failure;
      return this.acknowledged.length >= goal ? true : undefined;
    };
    await eventually(`${count} more acknowledged operations`, look, {
      timeout_ms,
      seen: () => this.acknowledged.length - goal + count,
    });
  }

  /** Lets the operations that have begun come to their ends. Rejects if an answer was no answer. */
  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#loops);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * Gets every key once, after `stop`: what was acknowledged and is lost shows in the history then, whatever was asked
   * before.
   */
  async readAll(): Promise<void> {
    if (this.#options.echo) return;
    const number = this.#options.clients;
    const client = this.#options.client(number);
    const keys = new Set(this.history.operations.map(({ key }) => key));
    for (const key of keys) await this.#ask(client, this.history.get(number, key), { op: 'get', key });
  }

  async #run(number: number): Promise<void> {
    const { echo, padding_bytes, pace_ms, put_share } = this.#options;
    // Each draws for itself, whatever the others' turns are.
    const random = new SeededRandom(SEED + number);
    const client = this.#options.client(number);
    for (let i = 0; this.#going; i++) {
      const key = this.#key(random);
      if (echo || random.chance(put_share)) {
        const value = `${number}.${i}${'.'.repeat(padding_bytes)}`;
        await this.#ask(client, this.history.put(number, key, value), { op: 'put', key, value });
      } else await this.#ask(client, this.history.get(number, key), { op: 'get', key });
      await pause(pace_ms);
    }
  }

  #key(random: SeededRandom): string {
    const generation = Math.floor(this.#begun++ / GENERATION);
    return `${generation}.${random.below(this.#options.keys)}`;
  }

  async #ask(client: Pick<Client, 'request'>, begun: Begun, request: KvRequest): Promise<void> {
    const value = encodeKvRequest(request);
    const call = this.history.now();
    try {
      const answer = await client.request(value, { timeout_ms: this.#options.timeout_ms });
      this.acknowledged.push({ value, answer, call, return: this.history.now() });
      if (this.#options.echo) expect(answer.value, 'the answer of no application').to.equal(value);
      begun.returned(this.#options.echo ? undefined : told(request, answer));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      // The test is over, and has closed its clients.
      if (error.code === 'closed') this.#going = false;
      // Executed without an answer: a put has returned, a get has said nothing.
      if (error.certainty === 'executed' && request.op === 'put') begun.returned();
      if (error.certainty !== 'definite') return;
      begun.refused();
      // Gets are alike, so that only a put can be told from others in the log.
      if (request.op === 'put') this.refused.push(value);
    }
  }
}

/** What a get found; throws if the answer isn't one to this request. */
export function told(request: KvRequest, { value }: Pick<Answer, 'value'>): string | undefined {
  const answer = decodeKvAnswer(value);
  const asked = JSON.stringify(request);
  if (answer?.ok !== true) {
    expect(answer, `the answer to ${asked}`).to.eql({ ok: false, error: 'not found' });
    expect(request.op, `the answer to ${asked} is "not found"`).to.equal('get');
    return undefined;
  }
  if (request.op === 'put') expect(answer.value, `the answer to ${asked}`).to.equal(request.value);
  return answer.value;
}

/** Load on a cluster through the product's own clients. */
export function load(all: Cluster, options: Partial<LoadOptions> = {}): Load {
  tellSeed(all);
  return new Load({ client: () => all.client(RESTLESS), ...options });
}

/** Half of the clients wait for a silent node: what they asked is still in its sockets when it goes on. */
export function halfPatient(all: Cluster): Partial<LoadOptions> {
  return { client: (number) => all.client(number % 2 === 0 ? RESTLESS : { silence_ms: PATIENT_SILENCE_MS }) };
}

/** The entries at which requests were executed, by `id:no`: repetitions and no-ops have no effect. */
export function executedIn(log: readonly LogEntry[]): Map<string, LogEntry> {
  const executed = new Map<string, LogEntry>();
  for (const one of log) {
    const key = `${one.id}:${one.no}`;
    if (one.id > 0 && !executed.has(key)) executed.set(key, one);
  }
  return executed;
}

/** Everything acknowledged is in the log once, where its answer said and in the order of time; nothing refused is. */
export function expectInLog(
  log: readonly LogEntry[],
  acknowledged: readonly Acknowledged[],
  refused: readonly string[] = [],
): void {
  const executed = executedIn(log);
  for (const { value, answer } of acknowledged) {
    const found = executed.get(`${answer.id}:${answer.no}`);
    expect({ entry: found?.entry, value: found?.value }, `request ${answer.id}:${answer.no}`).to.eql({
      entry: answer.entry,
      value,
    });
  }
  const values = new Set([...executed.values()].map(({ value }) => value));
  for (const value of refused) expect(values.has(value), `refused, and executed: ${value}`).to.equal(false);
  const puts = [...executed.values()].map(({ value }) => value).filter((value) => value.includes('"put"'));
  expect(new Set(puts).size, 'every put has one request').to.equal(puts.length);
  expectInOrder(acknowledged);
}

/** What was answered before another thing was asked stands before it in the log. */
export function expectInOrder(acknowledged: readonly Acknowledged[]): void {
  const byCall = [...acknowledged].sort((a, b) => a.call - b.call);
  const byReturn = [...acknowledged].sort((a, b) => a.return - b.return);
  let latest = -1;
  let next = 0;
  for (const { call, answer, value } of byCall) {
    for (let one = byReturn[next]; one !== undefined && one.return < call; one = byReturn[++next]) {
      latest = Math.max(latest, one.answer.entry);
    }
    expect(answer.entry, `${value} was asked after entry ${latest} was answered`).to.be.above(latest);
  }
}

/** The log of the running nodes, the same at each of them. */
export async function sameLog(all: Cluster, among: readonly TestNode[] = all.running): Promise<LogEntry[]> {
  const count = await all.settled(among);
  const [first, ...others] = await Promise.all(among.map((node) => all.log(node, count)));
  for (const [i, log] of others.entries()) {
    expect(log.length).to.equal(first!.length);
    // Entry by entry: a difference in thousands of them would take minutes to print.
    for (const [entry, one] of log.entries()) {
      expect(one, `entry ${entry} at ${among[i + 1]!.name}`).to.eql(first![entry]);
    }
  }
  return first!;
}

/**
 * Ends the load and checks what must hold after any fault: a new request is answered within a bounded time, all running
 * nodes have the same log, what was acknowledged is in it once, and the history is linearizable.
 */
export async function expectSound(
  all: Cluster,
  work: Load,
  among: readonly TestNode[] = all.running,
): Promise<LogEntry[]> {
  await expectAlive(all);
  await work.stop();
  await work.readAll();
  const log = await sameLog(all, among);
  expectInLog(log, work.acknowledged, work.refused);
  await expectLinearizable(work.history);
  return log;
}

/** What was asked and answered between two moments, while all disks took so long to flush, took no less. */
export function expectDurableFirst(work: Load, begun: number, ended: number, flush_ms: number): void {
  for (const { value, call, return: end } of work.acknowledged) {
    if (call < begun || end > ended) continue;
    // A clock may be read a little early or late.
    expect((end - call) / 1e6, `ms to the answer to ${value}`).to.be.above(0.95 * flush_ms);
  }
}

/** A client that nobody knows yet is answered. */
export async function expectAlive(all: Cluster): Promise<void> {
  const client = all.client(RESTLESS);
  const request = encodeKvRequest({ op: 'get', key: 'is anybody there?' });
  expect((await client.request(request)).value).to.not.equal('');
  client.close();
}
