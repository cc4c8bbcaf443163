import type { Socket } from 'node:net';

import type { Address } from '../core/address.js';
import { NO_REQUEST, type Request } from '../core/decree.js';
import { errorText, type ErrorCode } from '../core/errors.js';
import { entry, type ConnectionId } from '../core/ids.js';
import {
  MESSAGE_NAMES,
  MessageType,
  type AppResponse,
  type ClientApp,
  type ClientConnectRequest,
  type ClientRequest,
  type Done,
  type Message,
} from '../core/message.js';
import { encodeMessage, type Decoded } from '../wire/codec.js';
import { MessageReader } from '../wire/message-reader.js';
import { afterPolling } from './after-polling.js';
import type { InputSource, Intake } from './intake.js';
import { errorCode } from './listen-error.js';
import type { Log } from './logging.js';
import type { OutputBudget } from './output-budget.js';
import type { Together } from './together.js';
import type { Turn, TurnListener } from './turn.js';

/** Below this much waiting output a connection is `writable`: what one turn of a stream may add on top. */
const WRITABLE_BELOW_BYTES = 256 * 1024;

/** `onDrain` calls back when no more than this waits: enough to keep the kernel busy while the stream is woken. */
const DRAINED_AT_BYTES = 64 * 1024;

/** Output of one turn is joined into one write; a part this large does not wait for the turn's end. */
const WRITE_NOW_BYTES = 64 * 1024;

/** Texts that may wait for the node to take them in before the socket is read no further. */
const MAX_WAITING_TEXTS = 64;

/** How long a closing connection may take to get its last output out. */
const FLUSH_TIMEOUT_MS = 5_000;

/**
 * How long a connection that was closed here waits for the other side to close too. Input that nobody reads would
 * make the system reset the connection, and the reset may overtake the last answer on its way to the client.
 */
const LINGER_MS = 1_000;

/** The longest time a timer of the platform can run. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a client or an application may say. */
export type ClientMessage = ClientRequest | ClientConnectRequest | ClientApp | AppResponse | Done;

/** Why input was refused or a connection ended: the error that the client got, or `slow-reader`, who gets none. */
export type ClientRefusal = ErrorCode | 'slow-reader';

/** Limits of one connection; `Infinity` for none. */
export interface ConnectionLimits {
  /** Longest line, in bytes without its newline. */
  readonly max_line_bytes: number;
  /** A connection with nothing outstanding on which nothing went either way for this long is closed. */
  readonly idle_ms: number;
  /** Output that waits for a slow reader; past it the connection is cut. */
  readonly max_buffered_bytes: number;
}

/** Who is told what happens on a connection. Nothing is called after `onClosed`. */
export interface ConnectionHandlers {
  onMessage(connection: ClientConnection, message: ClientMessage): void;
  /** The other side has closed its sending direction, and all that it sent was handled; it may still read. */
  onEnded(connection: ClientConnection): void;
  /** The connection is gone; called once for each that was admitted. */
  onClosed(connection: ClientConnection): void;
  /** Input was refused, or the connection cut; for counting. */
  onRefused(code: ClientRefusal, connection?: ClientConnection): void;
  /** Whether answers are outstanding or a stream is running, so that silence is no reason to close. */
  isBusy?(connection: ClientConnection): boolean;
  /** Absent: everything is handled by itself. */
  readonly together?: Together;
}

/** What a connection needs to know beside its socket. */
export interface ConnectionContext {
  readonly id: ConnectionId;
  /** Stands as sender in what is sent. */
  readonly self: Address;
  readonly limits: ConnectionLimits;
  readonly allowed: ReadonlySet<MessageType>;
  readonly handlers: ConnectionHandlers;
  readonly budget: OutputBudget;
  readonly intake: Intake<ClientConnection>;
  readonly log: Log;
  readonly turn: Turn;
  readonly now_ms: () => number;
  /**
   * Asked once, with the first complete line (undefined: it was refused), whether the connection may stay; it gets
   * `too-many-connections` otherwise. Absent: it may.
   */
  readonly admit?: (message: Message | undefined) => boolean;
}

/**
 * One TCP connection of a client, an application or a catching-up agent (spec.md, "Clients").
 *
 * Output of one turn is joined into one write, which leaves at the turn's end. A half-closed connection is served to
 * the end. Nothing that the other side sends or fails to read throws, or holds more memory than the limits say.
 */
export class ClientConnection implements InputSource, TurnListener {
  readonly id: ConnectionId;
  /** `ADDRESS:PORT` of the other side. */
  readonly remote: string;
  readonly loopback: boolean;

  readonly #socket: Socket;
  readonly #input: MessageReader;
  readonly #context: ConnectionContext;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #admit: ConnectionContext['admit'];
  #ended = false;
  #fresh = true;
  /** Whether nothing comes behind them. */
  #input_over = false;
  #pending: string[] = [];
  /** At least so many: a byte for each character. They are counted when they are written. */
  #pending_bytes = 0;
  #written_bytes = 0;
  /** Whether it hears of the turn's end. */
  #awaits_end = false;
  #drain_listeners: (() => void)[] = [];
  #active_ms: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, context: ConnectionContext) {
    this.#socket = socket;
    this.#context = context;
    this.#admit = context.admit;
    this.id = context.id;
    this.remote = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`;
    this.loopback = isLoopback(socket.remoteAddress ?? '');
    this.#active_ms = context.now_ms();
    context.budget.join();
    this.#input = new MessageReader({ max_line_bytes: context.limits.max_line_bytes });
    this.#listen();
    this.#watchIdle(context.limits.idle_ms);
  }

  /** Whether messages are still taken and sent. */
  get open(): boolean {
    return this.#state === 'open';
  }

  /** Whether the other side has closed its sending direction and everything it sent has been handled. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes of output that the system has not taken yet. */
  get buffered_bytes(): number {
    return this.#pending_bytes + this.#written_bytes;
  }

  /** Whether a stream may go on sending; otherwise it waits for `onDrain`. */
  get writable(): boolean {
    return this.#state === 'open' && this.buffered_bytes < WRITABLE_BELOW_BYTES;
  }

  /** Sends one message at the end of this turn. Returns `writable`; ignored once the connection is closing. */
  send(message: Message): boolean {
    return this.sendRaw(`${encodeMessage(message, this.#context.self)}\n`);
  }

  /** Sends complete lines, each with its newline, that the caller has encoded. As `send` otherwise. */
  sendRaw(lines: string): boolean {
    if (!this.#hold(lines.length)) return false;
    this.#pending.push(lines);
    this.#pending_bytes += lines.length;
    if (this.#pending_bytes >= WRITE_NOW_BYTES) this.flush();
    else this.#leaveSoon();
    return this.writable;
  }

  /** The same for many lines, which leave at once. They must not be changed any more. */
  sendBytes(lines: Buffer): boolean {
    this.flush();
    if (!this.#hold(lines.length)) return false;
    this.#written_bytes += lines.length;
    this.#socket.write(lines, (error) => this.#written(lines.length, error));
    return this.writable;
  }

  /** Counts what is to be sent. False if it isn't: the connection is closing, or its reader too slow. */
  #hold(bytes: number): boolean {
    if (this.#state !== 'open') return false;
    const own_bytes = this.buffered_bytes + bytes;
    const { limits, budget } = this.#context;
    if (own_bytes > limits.max_buffered_bytes || budget.exceededBy(own_bytes, bytes)) {
      this.#cutSlowReader();
      return false;
    }
    budget.hold(bytes);
    return true;
  }

  /** Lets what waits for the turn's end leave now. */
  flush(): void {
    if (this.#state !== 'open' || this.#pending.length === 0) return;
    const { limits, budget } = this.#context;
    const lines = this.#pending.join('');
    const bytes = Buffer.byteLength(lines);
    if (bytes > this.#pending_bytes) {
      budget.hold(bytes - this.#pending_bytes);
      this.#pending_bytes = bytes;
      const own_bytes = this.buffered_bytes;
      if (own_bytes > limits.max_buffered_bytes || budget.exceededBy(own_bytes, 0))
        return this.#cutSlowReader();
    }
    this.#pending = [];
    this.#pending_bytes = 0;
    this.#written_bytes += bytes;
    this.#socket.write(lines, 'utf8', (error) => this.#written(bytes, error));
  }

  #written(bytes: number, error: Error | null | undefined): void {
    if (!error && this.#state !== 'closed') this.#taken(bytes);
  }

  /** Answers with an Error message and counts the refusal; the connection lives. */
  refuse(code: ErrorCode, text: string, request: Request = NO_REQUEST): void {
    if (this.#state !== 'open') return;
    this.#context.log('debug', `client-${code}`, `refused input of ${this.remote}: ${text}`);
    this.send({ type: MessageType.Error, error: errorText(code, text), request, entry: entry(0) });
    this.#context.handlers.onRefused(code, this);
  }

  /** Calls back once, when the waiting output has shrunk; never if the connection closes before. */
  onDrain(listener: () => void): void {
    this.#drain_listeners.push(listener);
    if (this.buffered_bytes <= DRAINED_AT_BYTES) setImmediate(() => this.#tellDrained());
  }

  /** Sends what waits, then closes. Nothing is read or sent any more. */
  close(): void {
    if (this.#state !== 'open') return;
    this.flush();
    if (!this.open) return;
    this.#state = 'closing';
    this.#dropInput();
    this.#socket.once('finish', () => this.#destroyAfter(LINGER_MS));
    this.#destroyAfter(FLUSH_TIMEOUT_MS);
    this.#socket.end();
    this.#socket.resume();
  }

  /** Ends the connection at once, whatever waits. */
  destroy(): void {
    this.#socket.destroy();
  }

  #listen(): void {
    this.#socket.on('error', (error) => {
      this.#context.log(
        'debug',
        'connection-error',
        `the connection of ${this.remote} broke (${errorCode(error)})`,
      );
    });
    this.#socket.once('close', () => this.#closed());
    this.#socket.on('data', (chunk: Buffer) => {
      this.#input.put(chunk);
      this.#offer();
    });
    this.#socket.once('end', () => {
      this.#input_over = true;
      this.#input.end();
      this.#offer();
      if (this.waiting === 0) this.#inputEnded();
    });
  }

  /** Whether nothing that it said has been handled yet. */
  get fresh(): boolean {
    return this.#fresh;
  }

  /** Texts that wait to be taken in. */
  get waiting(): number {
    return this.#input.waiting;
  }

  /** Handles the oldest text that waits, and returns its length. */
  handOut(): number {
    const taken = this.#input.take();
    if (taken === undefined) return 0;
    this.#fresh = false;
    if (this.waiting === 0 && this.#socket.isPaused()) this.#socket.resume();
    this.#receive(taken.decoded);
    if (this.waiting === 0 && this.#input_over) this.#inputEnded();
    return taken.length;
  }

  #offer(): void {
    if (this.#state !== 'open') return this.#input.clear();
    if (this.waiting === 0) return;
    this.#context.intake.offer(this);
    if (this.waiting > MAX_WAITING_TEXTS) this.#socket.pause();
  }

  #dropInput(): void {
    this.#input.clear();
    this.#context.intake.leave(this);
  }

  #receive(decoded: Decoded): void {
    if (this.#state !== 'open') return;
    this.#active_ms = this.#context.turn.now_ms();
    if (!this.#admitted(decoded.ok ? decoded.message : undefined)) return;
    if (decoded.ok) this.#route(decoded.message);
    else this.refuse(decoded.code, decoded.text, decoded.request);
  }

  #admitted(message: Message | undefined): boolean {
    if (this.#admit === undefined || this.#admit(message)) {
      this.#admit = undefined;
      return true;
    }
    return false;
  }

  #route(message: Message): void {
    switch (message.type) {
      case MessageType.Empty:
        return;
      case MessageType.ClientRequest:
      case MessageType.ClientConnectRequest:
      case MessageType.ClientApp:
      case MessageType.AppResponse:
      case MessageType.Done:
        if (this.#context.allowed.has(message.type)) this.#context.handlers.onMessage(this, message);
        else this.#refuseType(message, 'not on this port');
        return;
      case MessageType.Prepare:
      case MessageType.Promise:
      case MessageType.Nack:
      case MessageType.AcceptRequest:
      case MessageType.Accepted:
      case MessageType.Heartbeat:
        this.#refuseType(message, 'agents say it to each other, over UDP');
        return;
      case MessageType.ClientResponse:
      case MessageType.ClientRedirect:
      case MessageType.ClientConn:
      case MessageType.LogResponse:
      case MessageType.Error:
        this.#refuseType(message, 'only a node says it');
        return;
    }
  }

  #refuseType(message: Message, why: string): void {
    const name = MESSAGE_NAMES[message.type] ?? 'a message';
    const request = 'request' in message ? message.request : NO_REQUEST;
    this.refuse('not-allowed', `${name} (type ${message.type}) may not be sent here: ${why}`, request);
  }

  #inputEnded(): void {
    if (this.#state !== 'open' || this.#ended) return;
    this.#ended = true;
    if (this.#admitted(undefined)) this.#context.handlers.onEnded(this);
  }

  #leaveSoon(): void {
    if (this.#awaits_end) return;
    this.#awaits_end = true;
    this.#context.turn.atEnd(this);
  }

  turnEnded(): void {
    this.#awaits_end = false;
    this.flush();
  }

  /** The system has taken `bytes` of the output. */
  #taken(bytes: number): void {
    this.#written_bytes -= bytes;
    this.#context.budget.release(bytes);
    this.#active_ms = this.#context.now_ms();
    this.#tellDrained();
  }

  #tellDrained(): void {
    if (this.#state !== 'open' || this.buffered_bytes > DRAINED_AT_BYTES) return;
    const listeners = this.#drain_listeners;
    this.#drain_listeners = [];
    for (const listener of listeners) listener();
  }

  #cutSlowReader(): void {
    const buffered_bytes = this.buffered_bytes;
    const text = `${this.remote} does not read its answers; closing it with ${buffered_bytes} bytes unsent`;
    this.#context.log('warn', 'slow-reader', text, { remote: this.remote, buffered_bytes });
    this.#state = 'closing';
    this.#dropInput();
    this.#socket.destroy();
    this.#context.handlers.onRefused('slow-reader', this);
  }

  #watchIdle(delay_ms: number): void {
    if (!Number.isFinite(delay_ms)) return;
    const wait_ms = Math.min(Math.max(1, Math.ceil(delay_ms)), MAX_TIMER_MS);
    this.#timer = setTimeout(() => afterPolling(() => this.#judgeIdle()), wait_ms);
  }

  /** The time is up, and what had arrived was read: is the connection idle? (spec.md, "Limits") */
  #judgeIdle(): void {
    if (this.#state !== 'open') return;
    const { limits, handlers, now_ms } = this.#context;
    if (this.waiting > 0 || handlers.isBusy?.(this) === true) this.#active_ms = now_ms();
    const left_ms = this.#active_ms + limits.idle_ms - now_ms();
    if (left_ms > 0) {
      this.#watchIdle(left_ms);
      return;
    }
    this.refuse('idle', `no complete line for ${limits.idle_ms} ms and nothing outstanding; connect again`);
    this.close();
  }

  #destroyAfter(delay_ms: number): void {
    clearTimeout(this.#timer);
    if (this.#state !== 'closed') this.#timer = setTimeout(() => this.#socket.destroy(), delay_ms);
  }

  #closed(): void {
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#context.budget.leave(this.buffered_bytes);
    this.#pending = [];
    this.#pending_bytes = 0;
    this.#written_bytes = 0;
    this.#drain_listeners = [];
    this.#dropInput();
    this.#context.handlers.onClosed(this);
  }
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}
