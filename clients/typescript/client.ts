import { setTimeout as pause } from 'node:timers/promises';
import { greet, readRedirect, UNREACHABLE, type Connection, type Greeting } from './connection.js';
import { certaintyOf, DefiniteError, parseErrorText, requestError, type Asked } from './errors.js';
import type { Certainty, UnknownOutcomeError } from './errors.js';
import { isLoggable, MAX_VALUE_COST, valueCost } from './messages.js';
import { formatServer, MessageType, parseServers, type Received, type ServerAddress } from './messages.js';
import { backoff_ms, Pending, type Answer } from './pending.js';

export type { Answer } from './pending.js';

/** A session: the id that a node gave, and the number that the next new request will bear. */
export interface Session {
  readonly id: number;
  readonly no: number;
}

/** How a client is to work; only `servers` is needed. Times in milliseconds. */
export interface ClientOptions {
  /** `HOST:PORT` or `PORT`, as a list or separated by commas. */
  readonly servers: string | readonly string[];
  /** Go on with this session of an earlier client, instead of a new one. */
  readonly session?: Session;
  /** How long a request may take, with all reconnecting and asking again, unless it says otherwise. */
  readonly timeout_ms?: number;
  /** How long one node may take to accept a connection and answer the hello. */
  readonly greeting_ms?: number;
  /** A node that says nothing for so long while requests wait is left for another. */
  readonly silence_ms?: number;
  /** Requests on their way at once; further ones wait here. Nodes refuse more than 128. */
  readonly max_in_flight?: number;
}

/** How a single request differs from the client's others. */
export interface RequestOptions {
  /** How long it may take, with all reconnecting and asking again. */
  readonly timeout_ms?: number;
}

const DEFAULT_TIMEOUT_MS = 10_000;
/** A living node greets at once, or waits for an election, which another node may see end earlier. */
const DEFAULT_GREETING_MS = 2000;
/** Several times what an election takes. */
const DEFAULT_SILENCE_MS = 3000;
const DEFAULT_MAX_IN_FLIGHT = 64;
/** Redirects followed in a row; past it two nodes name each other, and the next server is asked. */
const MAX_REDIRECTS = 8;
/** A new number is at most so far above the oldest unanswered one: nodes remember a session's last 256. */
const NUMBER_WINDOW = 128;

/** Errors after which the same request is asked again on the same connection, a little later. */
const ASK_AGAIN = new Set(['overloaded', 'too-many-requests', 'timeout', 'app-left']);
/** Errors that tell of the node, not the request: another node is asked. */
const GO_ELSEWHERE = new Set(['no-leader', 'leadership-lost', 'stopping', 'not-connected']);
/** Errors by which the session is over. */
const SESSION_OVER = new Set(['no-such-session', 'session-expired', 'session-taken-over']);

/**
 * A client of a cluster (clients/README.md). It finds the leader, keeps one session over reconnections, and asks again
 * with the same number until the request's time is up, so that each request is executed at most once.
 */
export class Client {
  readonly #servers: readonly ServerAddress[];
  readonly #timeout_ms: number;
  readonly #greeting_ms: number;
  readonly #silence_ms: number;
  readonly #max_in_flight: number;
  #session: { id: number; no: number } | undefined;
  /** The session is over: nothing new is sent in it, and what is on its way may still be answered. */
  #retiring = false;
  #connection: Connection | undefined;
  #connecting = false;
  /** Attempts to connect since the last answer; they grow the back-off. */
  #attempts = 0;
  #turn = 0;
  /** Where the last ClientRedirect pointed. */
  #leader: ServerAddress | undefined;
  /** The last failure of each server since the last connection. */
  readonly #failures = new Map<string, { code: string; text: string }>();
  /** Requests that have no number yet. */
  readonly #waiting: Pending[] = [];
  /** Requests by their number. */
  readonly #numbered = new Map<number, Pending>();
  #silence: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();

  /** Throws RangeError when a server's name can't be read. Connects when the first request is made. */
  constructor(options: ClientOptions) {
    this.#servers = parseServers(options.servers);
    this.#session = options.session && { ...options.session };
    this.#timeout_ms = options.timeout_ms ?? DEFAULT_TIMEOUT_MS;
    this.#greeting_ms = options.greeting_ms ?? DEFAULT_GREETING_MS;
    this.#silence_ms = options.silence_ms ?? DEFAULT_SILENCE_MS;
    this.#max_in_flight = options.max_in_flight ?? DEFAULT_MAX_IN_FLIGHT;
  }

  /** The session as it stands, to go on with in another client; undefined before the first connection. */
  get session(): Session | undefined {
    return this.#session && { ...this.#session };
  }

  /**
   * Logs `value` and resolves with the application's answer. Any number of requests may be made at once; they are
   * numbered, and executed, in the order of the calls as long as nothing fails. Rejects with DefiniteError,
   * UnknownOutcomeError or ExecutedError.
   */
  request(value: string, options: RequestOptions = {}): Promise<Answer> {
    if (!isLoggable(value)) {
      const text = `it costs ${valueCost(value)}, and at most ${MAX_VALUE_COST} can be logged`;
      return Promise.reject(new DefiniteError('value-too-large', text, { id: 0, no: 0, value }));
    }
    return this.#enqueue(new Pending(value, undefined), options);
  }

  /** The value chosen at an entry of the log. Changes nothing. `not-known-chosen`: the entry may be filled later. */
  query(entry: number, options: RequestOptions = {}): Promise<Answer> {
    return this.#enqueue(new Pending('', entry), options);
  }

  /**
   * Did it happen? Asks again with the id and number of a request whose outcome is unknown. If it had happened, its
   * first answer comes; if not, it happens now; in either case once. Rejects like `request`.
   */
  outcome(error: UnknownOutcomeError, options: RequestOptions = {}): Promise<Answer> {
    return this.askAgain(error.asked, options);
  }

  /** `outcome` for an id and number that were noted elsewhere, with the same value as then. */
  async askAgain(asked: Asked, options: RequestOptions = {}): Promise<Answer> {
    if (this.#stop.signal.aborted) throw requestError('unknown', 'closed', 'the client was closed', asked);
    if (asked.entry !== undefined) return this.query(asked.entry, options);
    if (this.#session?.id !== asked.id) return this.#askInItsSession(asked, options);
    const known = this.#numbered.get(asked.no);
    if (known !== undefined) return known.promise;
    const pending = new Pending(asked.value, undefined);
    pending.doubt = true;
    this.#number(pending, asked.no);
    return this.#start(pending, options);
  }

  /** Ends the connection. What is unanswered is rejected: unknown if it was sent, definite if not. */
  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#disconnect();
    for (const pending of [...this.#numbered.values(), ...this.#waiting]) {
      this.#reject(pending, pending.doubt ? 'unknown' : 'definite', 'closed', 'the client was closed');
    }
  }

  async #askInItsSession(asked: Asked, options: RequestOptions): Promise<Answer> {
    const other = new Client({
      servers: this.#servers.map(formatServer),
      session: { id: asked.id, no: asked.no + 1 },
      timeout_ms: this.#timeout_ms,
      greeting_ms: this.#greeting_ms,
      silence_ms: this.#silence_ms,
    });
    try {
      return await other.askAgain(asked, options);
    } finally {
      other.close();
    }
  }

  #enqueue(pending: Pending, options: RequestOptions): Promise<Answer> {
    if (this.#stop.signal.aborted) {
      return Promise.reject(new DefiniteError('closed', 'the client was closed', pending.asked));
    }
    this.#waiting.push(pending);
    return this.#start(pending, options);
  }

  #start(pending: Pending, options: RequestOptions): Promise<Answer> {
    const timeout_ms = options.timeout_ms ?? this.#timeout_ms;
    pending.timer = setTimeout(() => this.#expire(pending, timeout_ms), timeout_ms);
    this.#pump();
    return pending.promise;
  }

  /** Sends what may be sent, and connects if that is needed. */
  #pump(): void {
    if (this.#stop.signal.aborted) return;
    const connection = this.#connection;
    if (connection === undefined) {
      if (!this.#connecting && this.#numbered.size + this.#waiting.length > 0) void this.#connect();
      return;
    }
    for (const pending of this.#numbered.values()) if (pending.isReady) this.#send(pending, connection);
    while (this.#waiting.length > 0 && this.#mayNumber()) {
      const pending = this.#waiting.shift();
      if (pending === undefined || this.#session === undefined) break;
      this.#number(pending, this.#session.no);
      this.#send(pending, connection);
    }
    this.#watch();
  }

  #mayNumber(): boolean {
    if (this.#retiring || this.#session === undefined || this.#numbered.size >= this.#max_in_flight)
      return false;
    // Requests stand in the map in the order of their numbers, but for those asked again from before.
    const oldest = first(this.#numbered, (pending) => !pending.isOld)?.no ?? this.#session.no;
    return this.#session.no < oldest + NUMBER_WINDOW;
  }

  #number(pending: Pending, no: number): void {
    if (this.#session === undefined) return;
    pending.id = this.#session.id;
    pending.no = no;
    pending.isOld = no < this.#session.no;
    this.#session.no = Math.max(this.#session.no, no + 1);
    this.#numbered.set(no, pending);
  }

  #send(pending: Pending, connection: Connection): void {
    pending.sent();
    const { id, no, value, entry } = pending;
    const request = entry === undefined ? { id, no, value } : { id, no, noset: true, entry };
    connection.send({ type: MessageType.ClientRequest, request });
  }

  /** A node that is silent while requests wait is left: it may be stopped, or cut off. */
  #watch(): void {
    const waits = this.#connection && first(this.#numbered, (pending) => pending.inFlight);
    if (waits === undefined) {
      clearTimeout(this.#silence);
      this.#silence = undefined;
    } else
      this.#silence ??= setTimeout(() => this.#lost(`silent for ${this.#silence_ms} ms`), this.#silence_ms);
  }

  /** Tries servers until one greets, or nobody waits any more. Nothing is thrown here. */
  async #connect(): Promise<void> {
    this.#connecting = true;
    let redirects = 0;
    let again: ServerAddress | undefined;
    while (this.#numbered.size + this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      const wait_ms = backoff_ms(this.#attempts++ - this.#servers.length);
      if (wait_ms > 0) await pause(wait_ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      const server = again ?? this.#nextServer();
      again = undefined;
      const asked = this.#session?.id ?? 0;
      const greeting = await greet(server, asked, this.#greeting_ms, this.#stop.signal);
      if (greeting.kind === 'connected') {
        this.#connecting = false;
        this.#adopt(greeting, asked);
        return;
      }
      if (greeting.kind === 'redirected') {
        redirects++;
        if (redirects % MAX_REDIRECTS !== 0) this.#leader = greeting.leader;
        else this.#note(server, UNREACHABLE, `${redirects} redirects in a row`);
      } else {
        this.#note(server, greeting.code, greeting.text);
        if (asked > 0 && SESSION_OVER.has(greeting.code)) {
          this.#loseSession(greeting.code, greeting.text);
          again = server;
        }
      }
    }
    this.#connecting = false;
    this.#pump();
  }

  #nextServer(): ServerAddress {
    const leader = this.#leader;
    this.#leader = undefined;
    return leader ?? (this.#servers[this.#turn++ % this.#servers.length] as ServerAddress);
  }

  #note(server: ServerAddress, code: string, text: string): void {
    this.#failures.set(formatServer(server), { code, text });
  }

  #adopt(greeting: Extract<Greeting, { kind: 'connected' }>, asked: number): void {
    const { connection, id, no } = greeting;
    if (this.#stop.signal.aborted) return connection.drop();
    this.#failures.clear();
    if (asked > 0 && id !== asked)
      this.#loseSession('session-lost', `a node gave session ${id} instead of ${asked}`);
    this.#session = { id, no: Math.max(no, this.#session?.no ?? 1) };
    this.#connection = connection;
    connection.handOver(
      (message) => this.#take(message),
      (reason) => this.#lost(reason),
    );
    this.#pump();
  }

  #take(message: Received): void {
    this.#silence?.refresh();
    switch (message.type) {
      case MessageType.ClientResponse:
        return this.#answered(message);
      case MessageType.Error:
        return this.#refused(message);
      case MessageType.ClientRedirect:
        return this.#redirected(message);
      default:
        return;
    }
  }

  #answered(message: Received): void {
    const pending = this.#find(message);
    if (pending === undefined) return;
    this.#attempts = 0;
    this.#forget(pending);
    pending.resolve({ value: message.value, entry: message.entry, id: pending.id, no: pending.no });
    this.#settled();
  }

  /** The request that a message speaks of. A query's answer may carry the number of the request that it found. */
  #find(message: Received): Pending | undefined {
    if (message.id > 0 && message.id !== this.#session?.id) return this.#findQuery(message);
    const pending = this.#numbered.get(message.no);
    if (pending?.inFlight && (pending.entry === undefined) === !message.noset) return pending;
    return message.noset ? this.#findQuery(message) : undefined;
  }

  #findQuery(message: Received): Pending | undefined {
    return first(this.#numbered, (pending) => pending.inFlight && pending.entry === message.entry);
  }

  #redirected(message: Received): void {
    const target = readRedirect(message);
    if (target.kind === 'redirected') this.#leader = target.leader;
    this.#lost('redirected');
  }

  #refused(message: Received): void {
    const { code, text } = parseErrorText(message.error);
    const pending = message.no > 0 ? this.#numbered.get(message.no) : this.#onlyOneInFlight(code);
    if (pending === undefined || (message.id > 0 && message.id !== this.#session?.id)) {
      if (message.no === 0) this.#connectionRefused(code, text);
      return;
    }
    pending.refused(certaintyOf(code), code, text);
    if (GO_ELSEWHERE.has(code)) return this.#lost(`${code}: ${text}`);
    if (ASK_AGAIN.has(code)) return this.#askAgainLater(pending);
    if (SESSION_OVER.has(code)) this.#retiring = true;
    const certainty = certaintyOf(code);
    this.#reject(pending, certainty === 'definite' && pending.doubt ? 'unknown' : certainty, code, text);
    this.#settled();
  }

  /** An unreadable request is refused without its number; alone on its way, it is known all the same. */
  #onlyOneInFlight(code: string): Pending | undefined {
    if (code !== 'malformed' && code !== 'line-too-long' && code !== 'value-too-large') return undefined;
    const inFlight = [...this.#numbered.values()].filter((pending) => pending.inFlight);
    return inFlight.length === 1 ? inFlight[0] : undefined;
  }

  #connectionRefused(code: string, text: string): void {
    const connection = this.#connection;
    if (connection !== undefined) this.#note(connection.server, code, text);
    this.#disconnect();
    if (SESSION_OVER.has(code)) this.#loseSession(code, text);
    this.#pump();
  }

  #askAgainLater(pending: Pending): void {
    pending.retry(() => {
      this.#pump();
    });
    this.#watch();
  }

  /** The connection is of no more use; its requests are asked again elsewhere. */
  #lost(reason: string): void {
    if (this.#connection !== undefined) this.#note(this.#connection.server, UNREACHABLE, reason);
    this.#disconnect();
    this.#pump();
  }

  #disconnect(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#connection?.drop();
    this.#connection = undefined;
    for (const pending of this.#numbered.values()) pending.disconnected();
  }

  /** What was sent in the session can't be known any more; what was not gets a number of the next one. */
  #loseSession(code: string, text: string): void {
    this.#session = undefined;
    this.#retiring = false;
    const unsent: Pending[] = [];
    for (const pending of [...this.#numbered.values()]) {
      if (pending.doubt && pending.entry === undefined) this.#reject(pending, 'unknown', code, text);
      else unsent.push(pending);
    }
    this.#numbered.clear();
    for (const pending of unsent) pending.renumbered();
    this.#waiting.unshift(...unsent);
  }

  #settled(): void {
    if (this.#retiring && this.#numbered.size === 0) {
      this.#disconnect();
      this.#session = undefined;
      this.#retiring = false;
    }
    this.#pump();
  }

  #forget(pending: Pending): void {
    pending.stopTimers();
    if (this.#numbered.get(pending.no) === pending) this.#numbered.delete(pending.no);
    const place = pending.no === 0 ? this.#waiting.indexOf(pending) : -1;
    if (place >= 0) this.#waiting.splice(place, 1);
  }

  #reject(pending: Pending, certainty: Certainty, code: string, text: string): void {
    this.#forget(pending);
    pending.reject(requestError(certainty, code, text, pending.asked));
  }

  #expire(pending: Pending, timeout_ms: number): void {
    if (pending.doubt || pending.inFlight) {
      this.#reject(pending, 'unknown', 'timeout', `no answer within ${timeout_ms} ms`);
    } else {
      const { code, text } = this.#whyUnsent(pending);
      this.#reject(pending, 'definite', code, `${text} (given up after ${timeout_ms} ms)`);
    }
    this.#settled();
  }

  #whyUnsent(pending: Pending): { code: string; text: string } {
    if (pending.refusal !== undefined) return pending.refusal;
    if (this.#connection !== undefined)
      return { code: 'overloaded', text: 'earlier requests are unanswered' };
    const failures = [...this.#failures.values()];
    const told = failures.find(({ code }) => code !== UNREACHABLE);
    if (told !== undefined) return told;
    const reasons = failures.map(({ text }) => text).join('; ');
    return { code: UNREACHABLE, text: reasons === '' ? 'no server has answered' : reasons };
  }
}

function first(requests: Map<number, Pending>, test: (pending: Pending) => boolean): Pending | undefined {
  for (const pending of requests.values()) if (test(pending)) return pending;
  return undefined;
}
