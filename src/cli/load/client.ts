import { connect, type Socket } from 'node:net';
import type { Address } from '../../core/address.js';
import { ERROR_CODES } from '../../core/errors.js';
import { MAX_REQUESTS_PER_CLIENT } from '../../core/limits.js';
import { MessageType } from '../../core/message.js';
import { helloLine, parseMessage, ResponseReader, type NodeMessage, type RequestTemplate } from './lines.js';

/** Numbers that may lie between the oldest unanswered request and the next; a power of two above what is in flight. */
const WINDOW = 2 * MAX_REQUESTS_PER_CLIENT;

/** How long a client waits at least before it tries the next server, or asks again: little beside an election. */
const MIN_RETRY_MS = 5;

/** Attempts per millisecond of all clients together: more would be a load of their own. */
const MAX_ATTEMPTS_PER_MS = 2;

export function retryMs(clients: number): number {
  return Math.max(MIN_RETRY_MS, clients / MAX_ATTEMPTS_PER_MS);
}

/** A server that doesn't take a connection within this is as good as gone. */
const CONNECT_TIMEOUT_MS = 1_000;

export interface LoadClientOptions {
  readonly servers: readonly Address[];
  readonly template: RequestTemplate;
  /** How long to wait before the next attempt of any kind. */
  readonly retry_ms: number;
  readonly now_ms: () => number;
  /** The session is open and there is room for requests: for the first time, or again after a reconnect. */
  readonly onReady: (client: LoadClient, is_first: boolean) => void;
  /** A request was answered. */
  readonly onAnswered: (client: LoadClient, due_ms: number, now_ms: number) => void;
  /** A request was refused for good. */
  readonly onRefused: (client: LoadClient, code: string, due_ms: number, now_ms: number) => void;
  /** Something that doesn't end a request, by name: an answer to none, a reconnect, an Error after which it asks again. */
  readonly onNote: (name: string) => void;
  /** What was read at one time was handled; what it set free can be sent. */
  readonly onTurn: (client: LoadClient) => void;
}

/**
 * One client of a load: a session that follows the leader and keeps its unanswered requests over reconnects. Requests
 * are numbered from 1; those that are queued in one turn leave in one write.
 */
export class LoadClient {
  /** Requests that wait for an answer. */
  in_flight = 0;
  /** When the present connection was made. */
  connected_ms = 0;
  readonly #options: LoadClientOptions;
  readonly #numbers = new Float64Array(WINDOW);
  readonly #due_ms = new Float64Array(WINDOW);
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #server = 0;
  #redirects = 0;
  #had_session = false;
  #id = 0;
  #next_no = 1;
  #ready = false;
  #closed = false;
  #output = '';

  constructor(options: LoadClientOptions) {
    this.#options = options;
  }

  get ready(): boolean {
    return this.#ready;
  }

  start(): void {
    const server = this.#options.servers[this.#server % this.#options.servers.length];
    if (server !== undefined) this.#connect(server);
  }

  /** Queues a request that was due at `due_ms`; false if there is no room for it now. */
  queue(due_ms: number): boolean {
    const slot = this.#next_no % WINDOW;
    if (!this.#ready || this.#numbers[slot] !== 0) return false;
    const no = this.#next_no++;
    this.#numbers[slot] = no;
    this.#due_ms[slot] = due_ms;
    this.in_flight++;
    const { before, after } = this.#options.template;
    this.#output += before + String(no) + after;
    return true;
  }

  /** Sends what is queued. */
  flush(): void {
    if (this.#output === '') return;
    const output = this.#output;
    this.#output = '';
    if (this.#ready) this.#socket?.write(output, 'latin1');
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#ready = false;
    this.#output = '';
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #connect(server: Address): void {
    this.#drop();
    const socket = connect({ host: server.address, port: Number(server.port), noDelay: true });
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#tryNext(), CONNECT_TIMEOUT_MS);
    const reader = new ResponseReader({
      onResponse: (no) => this.#onResponse(no),
      onOther: (text) => {
        if (this.#socket === socket) this.#onMessage(parseMessage(text));
      },
    });
    socket.once('connect', () => {
      clearTimeout(this.#timer);
      this.connected_ms = this.#options.now_ms();
      socket.write(helloLine(this.#id));
    });
    socket.on('data', (chunk) => {
      if (this.#socket !== socket) return;
      this.#now_ms = this.#options.now_ms();
      reader.push(chunk);
      if (this.#ready) this.#options.onTurn(this);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (this.#socket === socket) this.#tryNext();
    });
  }

  /** When the chunk arrived that is being read. */
  #now_ms = 0;

  #tryNext(): void {
    this.#drop();
    if (this.#closed) return;
    this.#options.onNote(this.#had_session ? 'reconnect' : 'no-connection');
    this.#server++;
    this.#timer = setTimeout(() => this.start(), this.#options.retry_ms);
  }

  #onResponse(no: number): void {
    const due_ms = this.#release(no);
    if (due_ms === undefined) this.#options.onNote('answer-to-none');
    else this.#options.onAnswered(this, due_ms, this.#now_ms);
  }

  /** Ends a request; undefined if there is none of this number. */
  #release(no: number): number | undefined {
    const slot = no % WINDOW;
    if (no === 0 || this.#numbers[slot] !== no) return undefined;
    this.#numbers[slot] = 0;
    this.in_flight--;
    return this.#due_ms[slot];
  }

  #onMessage(message: NodeMessage | undefined): void {
    switch (message?.type) {
      case MessageType.ClientConn:
        return this.#onSession(message.id);
      case MessageType.ClientRedirect:
        return this.#follow({ address: message.leader_host, port: String(message.leader_port) });
      case MessageType.Error:
        return this.#onError(message);
      default:
        this.#options.onNote('unreadable');
        return this.#tryNext();
    }
  }

  /** Two nodes that take each other for the leader would send a client to and fro: then it waits a little. */
  #follow(leader: Address): void {
    if (++this.#redirects > this.#options.servers.length) {
      this.#redirects = 0;
      this.#tryNext();
    } else this.#connect(leader);
  }

  /** The session is open, perhaps again: what is unanswered is asked once more, under the same numbers. */
  #onSession(id: number): void {
    const is_first = !this.#had_session;
    this.#had_session = true;
    this.#redirects = 0;
    this.#id = id;
    this.#ready = true;
    const open = [...this.#numbers].filter((no) => no !== 0).sort((a, b) => a - b);
    const { before, after } = this.#options.template;
    this.#output = open.map((no) => before + String(no) + after).join('');
    this.#options.onReady(this, is_first);
    this.flush();
  }

  #onError({ no, code }: NodeMessage): void {
    const certainty = Object.hasOwn(ERROR_CODES, code)
      ? ERROR_CODES[code as keyof typeof ERROR_CODES]
      : 'unknown';
    if (no === 0 || code === 'not-connected') return this.#onTrouble(code);
    if (certainty === 'unknown') return this.#askAgain(no, code);
    const due_ms = this.#release(no);
    if (due_ms !== undefined) this.#options.onRefused(this, code, due_ms, this.#now_ms);
    else this.#options.onNote('answer-to-none');
  }

  /** An Error about the connection: a session that is lost can't be gone on with, and its requests end unknown. */
  #onTrouble(code: string): void {
    this.#options.onNote(code);
    if (code === 'session-expired' || code === 'no-such-session') {
      for (const no of [...this.#numbers].filter((each) => each !== 0)) {
        const due_ms = this.#release(no);
        if (due_ms !== undefined) this.#options.onRefused(this, code, due_ms, this.#now_ms);
      }
      this.#id = 0;
    }
    this.#tryNext();
  }

  /** It may have happened: the same number again tells. On a connection that is redirected, the answer is a redirect. */
  #askAgain(no: number, code: string): void {
    this.#options.onNote(code);
    const socket = this.#socket;
    setTimeout(() => {
      if (this.#socket !== socket || !this.#ready || this.#numbers[no % WINDOW] !== no) return;
      const { before, after } = this.#options.template;
      socket?.write(before + String(no) + after, 'latin1');
    }, this.#options.retry_ms);
  }
}
