import type { Address } from '../core/address.js';
import type { Entry } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import { AppChild } from './app-child.js';
import { checkCommand, childEnvironment, listenerFlags, type CommandOptions } from './app-command.js';
import { LogReaders, type AppTrouble, type ReaderCallbacks } from './app-readers.js';
import type { AppSource } from './app-stream.js';
import type {
  ClientConnection,
  ClientMessage,
  ClientRefusal,
  ConnectionHandlers,
} from './client-connection.js';
import type { Together } from './together.js';
import { APP_MAX_LINE_BYTES, APP_TYPES, openClientListener } from './client-listener.js';
import type { Log } from './logging.js';

/** How long a new process may take until it asks for the log: interpreters and virtual machines start within it. */
export const APP_CONNECT_TIMEOUT_MS = 10_000;

/** How long the connection of a process that is gone is read on: its last answers have arrived already. */
const EXIT_DRAIN_MS = 1000;

/** How long the private listener waits for connections to close when the process is gone: descendants may hold one. */
const LISTENER_GRACE_MS = 200;

/** Connections of one application: its own, and room for a few that follow the log beside it. */
const MAX_APP_CONNECTIONS = 16;

/** A listener on the loopback, made for one process alone; `ClientListener` is one. */
export interface AppListener {
  readonly address: Address;
  /** How many connections are open. */
  readonly connections: number;
  /** Ends every connection and frees the port. */
  close(grace_ms?: number): Promise<void>;
}

/** Opens a listener on a free port of the loopback; who connects there is the application. */
export type OpenAppListener = (handlers: ConnectionHandlers, log: Log) => Promise<AppListener>;

const openAppListener: OpenAppListener = (handlers, log) =>
  openClientListener({
    ...handlers,
    address: { address: '127.0.0.1', port: '0' },
    limits: { max_line_bytes: APP_MAX_LINE_BYTES, max_connections: MAX_APP_CONNECTIONS },
    allowed: APP_TYPES,
    log,
  });

export interface AppTiming {
  readonly connect_ms: number;
  readonly grace_ms: number;
  readonly hang_ms: number;
}

/** What the private listener brings beside ClientApp and AppResponse; as of any client's connection. */
export interface AppClientCallbacks {
  onClientMessage(connection: ClientConnection, message: ClientMessage): void;
  onClientEnded(connection: ClientConnection): void;
  /** Told of every connection of the private listener, also of those that said nothing else. */
  onClientClosed(connection: ClientConnection): void;
  readonly together?: Together;
}

/** How a life ended. */
export interface AppLifeEnd {
  readonly reason: string;
  /** The entry whose answer was due when the application left; undefined if none was. */
  readonly entry: Entry | undefined;
  /** How long it last was connected; undefined if it never was. */
  readonly connected_ms: number | undefined;
}

export interface AppLifeOptions {
  readonly command: CommandOptions;
  /** A listener other than the usual one, for tests and simulations. */
  readonly openListener?: OpenAppListener | undefined;
  readonly source: AppSource;
  readonly timing: AppTiming;
  readonly log: Log;
  readonly callbacks: ReaderCallbacks & AppClientCallbacks;
  /** The process is gone and its listener closed, or it never started. Called exactly once. */
  readonly onOver: (end: AppLifeEnd) => void;
}

/**
 * One life of the application: a listener of its own, a process that is told to connect there, and the stream to it
 * (spec.md, "Applications"). It ends with the process, and the process ends with it.
 */
export class AppLife {
  readonly #options: AppLifeOptions;
  readonly #readers: LogReaders;
  #listener: AppListener | undefined;
  #child: AppChild | undefined;
  #connectTimer: NodeJS.Timeout | undefined;
  #drainTimer: NodeJS.Timeout | undefined;
  #attached_ms: number | undefined;
  #connected_ms: number | undefined;
  #due: Entry | undefined;
  /** Why the process is gone. */
  #gone: string | undefined;
  /** Why it was made to go. */
  #cause: string | undefined;
  #ending = false;
  #closing = false;

  constructor(options: AppLifeOptions) {
    this.#options = options;
    const callbacks: ReaderCallbacks = {
      ...options.callbacks,
      onAttached: (first) => this.#onAttached(first),
      onDetached: (firstUnanswered) => this.#onDetached(firstUnanswered),
    };
    this.#readers = new LogReaders({
      source: options.source,
      mayRegister: () => !this.#ending,
      callbacks,
      hang_ms: options.timing.hang_ms,
    });
    void this.#begin();
  }

  get pid(): number | undefined {
    return this.#gone === undefined ? this.#child?.pid : undefined;
  }

  /** The registered application; undefined until it has asked for the log. */
  get app(): LogReaders['app'] {
    return this.#readers.app;
  }

  /** To be called when `committed` has grown. */
  wake(): void {
    this.#readers.wake();
  }

  /** Detaches the application at once, closes its connection and makes the process end. `onOver` follows. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    clearTimeout(this.#connectTimer);
    this.#readers.stop();
    this.#child?.terminate();
  }

  /** Never rejects. Every step looks again whether it is still wanted. */
  async #begin(): Promise<void> {
    const { callbacks, command, openListener = openAppListener, timing, log } = this.#options;
    try {
      this.#listener = await openListener(this.#handlers(), log);
      if (this.#hasEnded()) {
        this.#onGone('not wanted any more');
        return;
      }
      const checked = await checkCommand(command);
      if (this.#hasEnded()) {
        this.#onGone('not wanted any more');
        return;
      }
      if (!checked.ok) {
        callbacks.onTrouble({ kind: 'not-started', text: checked.text });
        this.#onGone(checked.text);
        return;
      }
      const { address } = this.#listener;
      this.#child = new AppChild({
        file: checked.file,
        args: [...checked.args, ...listenerFlags(address)],
        env: childEnvironment(command, address),
        grace_ms: timing.grace_ms,
        log,
        onGone: (reason) => this.#onGone(reason),
      });
      this.#awaitConnection();
      const pid = this.#child.pid;
      if (pid !== undefined) log('info', 'app-started', `started ${command.command}`, { pid });
    } catch (error) {
      const text = `its listener could not be opened: ${error instanceof Error ? error.message : String(error)}`;
      callbacks.onTrouble({ kind: 'not-started', text });
      this.#onGone(text);
    }
  }

  /** In a method, as the compiler takes a field for unchanged across an await. */
  #hasEnded(): boolean {
    return this.#ending;
  }

  #handlers(): ConnectionHandlers {
    const { callbacks } = this.#options;
    return {
      onMessage: (connection, message) => {
        if (this.#ending) return;
        if (message.type === MessageType.ClientApp || message.type === MessageType.AppResponse) {
          this.#readers.handle(connection, message);
        } else {
          callbacks.onClientMessage(connection, message);
        }
      },
      onEnded: (connection) => {
        const isApp = this.#readers.app?.id === connection.id;
        this.#readers.ended(connection.id);
        callbacks.onClientEnded(connection);
        if (isApp) connection.close();
      },
      onClosed: (connection) => {
        this.#readers.closed(connection.id);
        callbacks.onClientClosed(connection);
      },
      onRefused: (code, connection) => this.#onRefused(code, connection),
      // Who connects here may be silent for as long as there is nothing to execute.
      isBusy: () => true,
      ...(callbacks.together && { together: callbacks.together }),
    };
  }

  #onRefused(code: ClientRefusal, connection: ClientConnection | undefined): void {
    const text = `the application sent what can't be taken (${code}); it was told what and why`;
    this.#options.callbacks.onTrouble({ kind: 'refused', text });
    if (code === 'line-too-long' && connection !== undefined) this.#readers.lineTooLong(connection.id);
  }

  #onAttached(first: Entry): void {
    clearTimeout(this.#connectTimer);
    this.#attached_ms = performance.now();
    this.#due = undefined;
    this.#options.callbacks.onAttached(first);
  }

  #onDetached(firstUnanswered: Entry | undefined): void {
    this.#connected_ms = performance.now() - (this.#attached_ms ?? performance.now());
    this.#due = firstUnanswered;
    this.#options.callbacks.onDetached(firstUnanswered);
    if (this.#gone !== undefined) void this.#close();
    else if (!this.#ending) this.#awaitConnection();
  }

  /** A process without a connection is of no use: it connects in time, again if need be, or is replaced. */
  #awaitConnection(): void {
    const { connect_ms } = this.#options.timing;
    clearTimeout(this.#connectTimer);
    this.#connectTimer = setTimeout(() => {
      const text = `the application has not connected and asked for the log for ${connect_ms} ms; it is ended`;
      this.#cause = `did not connect within ${connect_ms} ms`;
      this.#options.callbacks.onTrouble({ kind: 'never-connected', text } satisfies AppTrouble);
      this.#child?.terminate();
    }, connect_ms);
  }

  #onGone(reason: string): void {
    this.#gone = this.#cause ?? reason;
    clearTimeout(this.#connectTimer);
    if (this.#readers.app === undefined) {
      void this.#close();
      return;
    }
    // Its last answers may still be on their way through the loopback; the end of the connection follows them.
    this.#drainTimer = setTimeout(() => void this.#close(), EXIT_DRAIN_MS);
  }

  /** Never rejects. */
  async #close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#ending = true;
    clearTimeout(this.#drainTimer);
    this.#readers.stop();
    try {
      await this.#listener?.close(LISTENER_GRACE_MS);
    } catch (error) {
      const text = `the application's listener did not close: ${error instanceof Error ? error.message : String(error)}`;
      this.#options.log('warn', 'app-listener', text);
    }
    this.#options.onOver({
      reason: this.#gone ?? 'ended',
      entry: this.#due,
      connected_ms: this.#connected_ms,
    });
  }
}
