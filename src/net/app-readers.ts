import type { Request } from '../core/decree.js';
import type { ErrorCode } from '../core/errors.js';
import type { ConnectionId, Entry } from '../core/ids.js';
import { fitsDatagram } from '../core/limits.js';
import { MessageType, type AppResponse, type ClientApp } from '../core/message.js';
import { AppStream, type AppSource } from './app-stream.js';
import { LogStream, type StreamSink } from './log-stream.js';
import type { Pace } from './pace.js';

/** How long an application may leave everything unanswered before it is reported: a client's own patience. */
export const APP_HANG_MS = 5000;

/** A connection on which the log can be streamed; `ClientConnection` is one. */
export interface ReaderConnection extends StreamSink {
  readonly id: ConnectionId;
  readonly remote: string;
  /** Answers with an Error; the connection lives. */
  refuse(code: ErrorCode, text: string, request: Request): void;
  /** Closes after what waits has been sent. */
  close(): void;
}

/** Something about the application that people should know. Never a reason for the node to stop. */
export interface AppTrouble {
  readonly kind:
    | 'out-of-order'
    | 'twice'
    | 'never-sent'
    | 'not-awaited'
    | 'answer-too-large'
    | 'hanging'
    | 'refused'
    | 'read-failed'
    | 'not-started'
    | 'never-connected'
    | 'exited'
    | 'failing';
  readonly text: string;
  /** The entry that it is about, where there is one. */
  readonly entry?: Entry;
}

export interface ReaderCallbacks {
  /** An application is there and will answer for every entry from `first` on. */
  onAttached(first: Entry): void;
  /** It left; `firstUnanswered` is the entry whose answer was due, if any was. */
  onDetached(firstUnanswered: Entry | undefined): void;
  /** The answer for an entry that was sent, in order. */
  onAnswer(entry: Entry, value: string): void;
  /** The entry was executed, and its answer can't be passed on (spec.md, "Limits"). */
  onAnswerTooLarge(entry: Entry): void;
  onTrouble(trouble: AppTrouble): void;
}

export interface LogReadersOptions {
  readonly source: AppSource;
  /** Whether the next ClientApp connection may become the application; asked only while there is none. */
  readonly mayRegister: () => boolean;
  readonly callbacks: ReaderCallbacks;
  /** What holds back one of those that only read. The application goes as fast as it can. */
  readonly newPace?: () => Pace;
  readonly hang_ms?: number;
}

interface Reader {
  readonly connection: ReaderConnection;
  stream: LogStream;
}

interface RegisteredApp {
  readonly id: ConnectionId;
  readonly bookkeeping: AppStream;
  readonly watch: NodeJS.Timeout;
  /** The entry at which it was reported hanging, until it moves on. */
  hanging: Entry | undefined;
}

/**
 * All that read the log on one port: at most one registered application, which answers, and any number of followers
 * and catching-up agents, which don't (spec.md, "Applications"). Each reads at its own pace.
 */
export class LogReaders {
  readonly #options: LogReadersOptions;
  readonly #readers = new Map<ConnectionId, Reader>();
  #app: RegisteredApp | undefined;

  constructor(options: LogReadersOptions) {
    this.#options = options;
  }

  /** How many connections read the log, the application included. */
  get size(): number {
    return this.#readers.size;
  }

  /** Whether this connection reads the log, and so may be silent for as long as it likes. */
  reads(id: ConnectionId): boolean {
    return this.#readers.has(id);
  }

  /** The registered application's state; undefined while there is none. */
  get app():
    | {
        readonly id: ConnectionId;
        readonly next: Entry;
        readonly unanswered: number;
        readonly hanging?: Entry;
      }
    | undefined {
    if (this.#app === undefined) return undefined;
    const { id, bookkeeping, hanging } = this.#app;
    const state = { id, next: bookkeeping.next, unanswered: bookkeeping.unanswered };
    return hanging === undefined ? state : { ...state, hanging };
  }

  /** A ClientApp or AppResponse that has arrived on `connection`. */
  handle(connection: ReaderConnection, message: ClientApp | AppResponse): void {
    if (message.type === MessageType.ClientApp) this.#open(connection, message);
    else this.#answer(connection, message);
  }

  /** Every reader is sent what it lacks. To be called when `committed` has grown. */
  wake(): void {
    for (const { stream } of this.#readers.values()) stream.wake();
  }

  /**
   * The other side has closed its sending direction. It can't answer any more: an application leaves, and its
   * connection goes on as a follower's, since it may still be reading.
   */
  ended(id: ConnectionId): void {
    const reader = this.#readers.get(id);
    if (reader === undefined || this.#app?.id !== id) return;
    const first = reader.stream.next;
    reader.stream.stop();
    reader.stream = this.#stream(reader.connection, first, { kind: 'follower' });
    this.#detach();
  }

  /** The connection is gone. */
  closed(id: ConnectionId): void {
    const reader = this.#readers.get(id);
    if (reader === undefined) return;
    reader.stream.stop();
    this.#readers.delete(id);
    if (this.#app?.id === id) this.#detach();
  }

  /**
   * A line of this connection was too long to be read. Answers come in order, so where an application owes one, it
   * was that one: executed, and lost. Without this the entry would stay due, and with it all that come later.
   */
  lineTooLong(id: ConnectionId): void {
    if (this.#app?.id !== id) return;
    const entry = this.#app.bookkeeping.firstUnanswered;
    if (entry === undefined) return;
    this.#app.bookkeeping.forfeit();
    this.#answerTooLarge(entry);
    this.#onProgress();
    this.#readers.get(id)?.stream.wake();
  }

  /** Ends every stream and closes every reader's connection. */
  stop(): void {
    for (const { stream, connection } of this.#readers.values()) {
      stream.stop();
      connection.close();
    }
    this.#readers.clear();
    if (this.#app !== undefined) this.#detach();
  }

  #open(connection: ReaderConnection, message: ClientApp): void {
    if (this.#readers.has(connection.id)) {
      const text = 'this connection streams the log already; open another one for another stream';
      connection.refuse('not-allowed', text, message.request);
      return;
    }
    const first = message.entry;
    if (message.request.noset) {
      this.#add(connection, this.#stream(connection, first, { kind: 'raw' }));
    } else if (this.#app !== undefined || !this.#options.mayRegister()) {
      this.#add(connection, this.#stream(connection, first, { kind: 'follower' }));
    } else {
      this.#register(connection, first);
    }
  }

  #add(connection: ReaderConnection, stream: LogStream): void {
    this.#readers.set(connection.id, { connection, stream });
  }

  #register(connection: ReaderConnection, first: Entry): void {
    const bookkeeping = new AppStream(first, this.#options.source);
    const app = { id: connection.id, bookkeeping, watch: this.#watch(), hanging: undefined };
    this.#app = app;
    this.#options.callbacks.onAttached(first);
    if (this.#app === app)
      this.#add(connection, this.#stream(connection, first, { kind: 'app', stream: bookkeeping }));
  }

  #stream(
    connection: ReaderConnection,
    first: Entry,
    mode: ConstructorParameters<typeof LogStream>[0]['mode'],
  ): LogStream {
    const onFailed = (reason: string) => {
      const text = `the log can't be streamed to ${connection.remote}: ${reason}`;
      this.#options.callbacks.onTrouble({ kind: 'read-failed', text });
      connection.close();
      this.closed(connection.id);
    };
    const { source, newPace } = this.#options;
    const pace = mode.kind === 'app' ? undefined : newPace?.();
    return new LogStream({
      source,
      sink: connection,
      first,
      mode,
      onFailed,
      ...(pace !== undefined && { pace }),
    });
  }

  #answer(connection: ReaderConnection, message: AppResponse): void {
    const app = this.#app;
    if (app?.id !== connection.id) {
      const text = 'only the registered application answers; this connection is not it';
      connection.refuse('not-allowed', text, message.request);
      return;
    }
    const { callbacks } = this.#options;
    const { entry, value } = message;
    const judgement = app.bookkeeping.judge(message);
    if (judgement.verdict !== 'answered') {
      const text = `the application's answer is ignored: ${judgement.text}`;
      callbacks.onTrouble({ kind: judgement.verdict, text, entry });
    } else if (fitsDatagram(value)) {
      callbacks.onAnswer(entry, value);
    } else {
      this.#answerTooLarge(entry);
    }
    if (judgement.verdict === 'answered') this.#onProgress();
    this.#readers.get(connection.id)?.stream.wake();
  }

  #answerTooLarge(entry: Entry): void {
    const text = `the application's answer for entry ${entry} is too large to be passed on; its client is told`;
    this.#options.callbacks.onAnswerTooLarge(entry);
    this.#options.callbacks.onTrouble({ kind: 'answer-too-large', text, entry });
  }

  #detach(): void {
    const app = this.#app;
    if (app === undefined) return;
    clearInterval(app.watch);
    this.#app = undefined;
    this.#options.callbacks.onDetached(app.bookkeeping.firstUnanswered);
  }

  #onProgress(): void {
    if (this.#app !== undefined) this.#app.hanging = undefined;
  }

  /** Reports an application that owed the same answer, or left the same bytes unread, for a whole interval. */
  #watch(): NodeJS.Timeout {
    const { hang_ms = APP_HANG_MS } = this.#options;
    let before: Entry | undefined;
    const watch = setInterval(() => {
      const app = this.#app;
      if (app === undefined) return;
      const stuck = this.#readers.get(app.id)?.stream.stuck === true;
      const due = app.bookkeeping.firstUnanswered ?? (stuck ? app.bookkeeping.next : undefined);
      if (due !== undefined && due === before && app.hanging === undefined) this.#reportHanging(app, due);
      if (due !== before) app.hanging = undefined;
      before = due;
    }, hang_ms);
    return watch.unref();
  }

  #reportHanging(app: RegisteredApp, entry: Entry): void {
    app.hanging = entry;
    const { hang_ms = APP_HANG_MS } = this.#options;
    const text = `the application has not answered entry ${entry} for ${hang_ms} ms or more; it is left running`;
    this.#options.callbacks.onTrouble({ kind: 'hanging', text, entry });
  }
}
