import { setTimeout as pause } from 'node:timers/promises';
import {
  Client,
  DefiniteError,
  decodeKvAnswer,
  encodeKvRequest,
  ExecutedError,
  UnknownOutcomeError,
  type Answer,
  type KvRequest,
} from '../../clients/typescript/index.js';
import type { Operation } from '../faults/support/history.js';
import { SeededRandom } from '../support/random.js';
import { now_ns, type Acknowledged } from './record.js';

/** Few keys, so that clients meet on them; several, so that a judge can look at each by itself. */
const KEYS = 8;

/** How long a recorded client waits before it counts an outcome as unknown: longer than an election. */
const REQUEST_TIMEOUT_MS = 3_000;

/** A node that is silent for so long is left: it is stopped, or its disk hangs. */
const SILENCE_MS = 1_000;

/** The mean time between two operations of a recorded client. */
const THINKING_MS = 60;

/** How often a client of unknown outcome goes away for ever; otherwise it asks again until it knows. */
const ABANDONING = 0.15;

/** How often a client breaks its connection off while it waits, and goes on with its session on a new one. */
const BREAKING_OFF = 0.04;

/** How long a request waits at most before its client breaks off. */
const MAX_PATIENCE_MS = 30;

/** Requests of the steady writer on their way at once. */
const STEADY_IN_FLIGHT = 48;

/** Asking again at once would only find the same election. */
const RETRY_MS = 50;

/** What clients have seen since it was last taken. */
export class Recording {
  operations: Operation[] = [];
  acknowledged: Acknowledged[] = [];
  /** Requests whose clients went away without knowing. */
  abandoned = 0;
  refused = 0;
  /** Sessions that the cluster no longer knew; their open requests stay open. */
  lost_sessions = 0;

  /** Hands over what was recorded, and begins anew. */
  take(): Recording {
    const taken = Object.assign(new Recording(), this);
    Object.assign(this, new Recording());
    return taken;
  }

  note(asked: string, answer: Answer, called_ns: number): void {
    const { id, no, entry, value } = answer;
    this.acknowledged.push({ id, no, entry, asked, answer: value, called_ns, returned_ns: now_ns() });
  }
}

/** Keys that recorded clients use. */
export const KEY_NAMES: readonly string[] = Array.from({ length: KEYS }, (_, i) => `key-${i}`);

/** The steady writer's keys. */
export const STEADY_KEYS: readonly string[] = Array.from({ length: KEYS }, (_, i) => `steady-${i}`);

/** A gate that stops the load for a check. */
export class Gate {
  #opened: PromiseWithResolvers<void> | undefined;
  #busy = 0;
  #idle: (() => void) | undefined;
  ended = false;

  close(): void {
    this.#opened ??= withResolvers();
  }

  open(): void {
    this.#opened?.resolve();
    this.#opened = undefined;
  }

  end(): void {
    this.ended = true;
    this.open();
  }

  async pass(): Promise<void> {
    while (this.#opened !== undefined) await this.#opened.promise;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work();
    } finally {
      if (--this.#busy === 0) this.#idle?.();
    }
  }

  /** Resolves when nobody works any more. */
  async idle(): Promise<void> {
    while (this.#busy > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function withResolvers(): PromiseWithResolvers<void> {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** One request after the other on shared keys; every call and return is recorded. */
export class RecordedClient {
  readonly #random: SeededRandom;
  readonly #options: { servers: string; timeout_ms: number; silence_ms: number; greeting_ms: number };
  #client: Client;
  #count = 0;

  constructor(
    readonly index: number,
    servers: string,
    seed: number,
    readonly recording: Recording,
    readonly gate: Gate,
  ) {
    this.#random = new SeededRandom(seed);
    const timeout_ms = REQUEST_TIMEOUT_MS;
    this.#options = { servers, timeout_ms, silence_ms: SILENCE_MS, greeting_ms: SILENCE_MS };
    this.#client = new Client(this.#options);
  }

  async run(): Promise<void> {
    while (!this.gate.ended) {
      await this.gate.pass();
      await this.gate.during(() => this.#operate());
      await pause(this.#random.next() * 2 * THINKING_MS);
    }
    this.#client.close();
  }

  async #operate(): Promise<void> {
    const key = this.#random.pick(KEY_NAMES);
    const value = `${this.index}:${this.#count++}`;
    await this.perform(this.#random.chance(0.5) ? { op: 'put', key, value } : { op: 'get', key });
  }

  /** Does one operation, as far as it can be known, and records it. */
  async perform(request: KvRequest): Promise<void> {
    const asked = encodeKvRequest(request);
    const called_ns = now_ns();
    const { op, key } = request;
    const value = request.op === 'put' ? request.value : '';
    const open: Operation = { client: this.index, op, key, value, found: false, call: called_ns };
    const { operations } = this.recording;
    try {
      const answer = await this.#untilKnown(asked);
      if (answer === undefined) {
        this.recording.abandoned++;
        operations.push(open);
        return;
      }
      this.recording.note(asked, answer, called_ns);
      operations.push({ ...open, ...(op === 'get' && foundIn(answer.value)), return: now_ns() });
    } catch (error) {
      if (error instanceof DefiniteError) this.recording.refused++;
      else if (error instanceof ExecutedError) operations.push(open);
      else throw error;
    }
  }

  close(): void {
    this.#client.close();
  }

  /** The answer; undefined if it is given up. */
  async #untilKnown(asked: string): Promise<Answer | undefined> {
    const timer = this.#random.chance(BREAKING_OFF)
      ? setTimeout(() => this.#breakOff(), this.#random.next() * MAX_PATIENCE_MS)
      : undefined;
    let doubt: UnknownOutcomeError;
    try {
      return await this.#client.request(asked);
    } catch (error) {
      if (!(error instanceof UnknownOutcomeError)) throw error;
      doubt = error;
    } finally {
      clearTimeout(timer);
    }
    if (doubt.code !== 'closed' && this.#random.chance(ABANDONING)) {
      this.#leave();
      return;
    }
    for (;;) {
      try {
        return await this.#client.outcome(doubt);
      } catch (error) {
        if (!(error instanceof UnknownOutcomeError)) throw error;
        if (isOver(error.code)) this.recording.lost_sessions++;
        if (isOver(error.code) || this.gate.ended) {
          this.#leave();
          return;
        }
        await pause(RETRY_MS);
      }
    }
  }

  /** The same session on another connection. */
  #breakOff(): void {
    const { session } = this.#client;
    this.#client.close();
    this.#client = new Client({ ...this.#options, ...(session && { session }) });
  }

  #leave(): void {
    this.#client.close();
    this.#client = new Client(this.#options);
  }
}

/** What a get found, as the application told it. */
function foundIn(text: string): { value: string; found: boolean } {
  const answer = decodeKvAnswer(text);
  return answer?.ok === true ? { value: answer.value, found: true } : { value: '', found: false };
}

function isOver(code: string): boolean {
  return code === 'session-expired' || code === 'no-such-session' || code === 'session-lost';
}

/** One client that writes at an even pace, many requests on their way, and never gives up. */
export class SteadyWriter {
  readonly #client: Client;
  #count = 0;

  constructor(
    servers: string,
    readonly per_s: number,
    readonly recording: Recording,
    readonly gate: Gate,
  ) {
    this.#client = new Client({ servers, timeout_ms: REQUEST_TIMEOUT_MS, silence_ms: SILENCE_MS });
  }

  async run(): Promise<void> {
    const running = new Set<Promise<void>>();
    while (!this.gate.ended) {
      await this.gate.pass();
      if (running.size >= STEADY_IN_FLIGHT) await Promise.race(running);
      const one: Promise<void> = this.gate.during(() => this.#write()).finally(() => running.delete(one));
      running.add(one);
      await pause(1000 / this.per_s);
    }
    await Promise.all(running);
    this.#client.close();
  }

  async #write(): Promise<void> {
    const n = this.#count++;
    const asked = encodeKvRequest({ op: 'put', key: STEADY_KEYS[n % KEYS] ?? '', value: `steady:${n}` });
    const called_ns = now_ns();
    try {
      this.recording.note(asked, await this.#untilKnown(asked), called_ns);
    } catch (error) {
      if (error instanceof DefiniteError) this.recording.refused++;
      else if (error instanceof UnknownOutcomeError) this.recording.lost_sessions++;
      else if (!(error instanceof ExecutedError)) throw error;
    }
  }

  async #untilKnown(asked: string): Promise<Answer> {
    let doubt: UnknownOutcomeError | undefined;
    for (;;) {
      try {
        return await (doubt === undefined ? this.#client.request(asked) : this.#client.outcome(doubt));
      } catch (error) {
        if (!(error instanceof UnknownOutcomeError) || isOver(error.code) || this.gate.ended) throw error;
        doubt = error;
        await pause(RETRY_MS);
      }
    }
  }
}
