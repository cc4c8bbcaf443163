import { join } from 'node:path';
import type { Event } from '../core/event.js';
import type { AppResponse, ClientApp } from '../core/message.js';
import { MessageType } from '../core/message.js';
import { checkCommand, type CommandOptions } from '../net/app-command.js';
import { AppProcess, type AppProcessCallbacks } from '../net/app-process.js';
import { LogReaders, type ReaderCallbacks } from '../net/app-readers.js';
import type { AppSource } from '../net/app-stream.js';
import type { ClientConnection, ClientMessage } from '../net/client-connection.js';
import { READ_AHEAD_BYTES, SHORT_READ_AHEAD_ENTRIES } from '../net/log-stream.js';
import type { Log } from '../net/logging.js';
import { Pace } from '../net/pace.js';
import { OptionError } from './options.js';
import type { AppSummary } from './status.js';
import { packageFolder } from './version.js';

/** What the application's room needs of the driver. */
export interface Dispatcher {
  /** Requests of clients that wait here. */
  readonly open_requests: number;
  dispatch(event: Event): void;
  /** As `dispatch`, and perhaps together with what comes behind it at once. */
  dispatchSoon(event: Event): void;
  together(handle: () => void): void;
  dispatchClient(connection: ClientConnection, event: Event & { type: 'client' }): void;
  clientEnded(connection: ClientConnection): void;
  clientClosed(connection: ClientConnection): void;
}

export interface ApplicationOptions {
  /** The `--app` command; undefined: the first ClientApp connection on the client port is the application. */
  readonly command: string | undefined;
  /** How long an answer may be due before the application is reported hanging: as long as clients wait for it. */
  readonly hang_ms: number;
  readonly log: Log;
}

/**
 * Everything that reads the log: the application, as a process of ours or as a connection, and the followers and
 * catching-up agents beside it (spec.md, "Applications").
 */
export class Application {
  readonly #options: ApplicationOptions;
  #process: AppProcess | undefined;
  #readers: LogReaders | undefined;

  constructor(options: ApplicationOptions) {
    this.#options = options;
  }

  /** Refuses a command that can't be run, with an OptionError, before the node joins anything. */
  async check(): Promise<void> {
    const command = this.#command();
    if (command === undefined) return;
    const checked = await checkCommand(command);
    if (!checked.ok) throw new OptionError(checked.text);
  }

  /** Connects the log on one side with the driver on the other. */
  attach(source: AppSource, driver: Dispatcher): void {
    const { hang_ms, log } = this.#options;
    const command = this.#command();
    this.#readers = new LogReaders({
      source,
      mayRegister: () => command === undefined,
      callbacks: this.#readerCallbacks(driver),
      newPace: () => newPace(driver),
      hang_ms,
    });
    if (command === undefined) return;
    this.#process = new AppProcess({
      command,
      source,
      callbacks: processCallbacks(driver),
      log,
      timing: { hang_ms },
    });
  }

  get summary(): AppSummary {
    if (this.#process !== undefined) {
      const { status } = this.#process;
      const { next = null, failing_entry = null, hanging_entry = null } = status;
      return { ...status, next, failing_entry, hanging_entry };
    }
    const app = this.#readers?.app;
    if (app === undefined) return { state: 'none' };
    const { next, unanswered, hanging = null } = app;
    return { state: 'connected', next, unanswered, hanging_entry: hanging };
  }

  /** Leadership is gained: the application runs on the leader. */
  start(): void {
    this.#process?.start();
  }

  /** Leadership is lost. */
  stop(): void {
    void this.#process?.stop();
  }

  /** The commit index has moved. */
  wake(): void {
    this.#process?.wake();
    this.#readers?.wake();
  }

  reads(connection: ClientConnection): boolean {
    return this.#readers?.reads(connection.id) === true;
  }

  handle(connection: ClientConnection, message: ClientApp | AppResponse): void {
    this.#readers?.handle(connection, message);
  }

  ended(connection: ClientConnection): void {
    this.#readers?.ended(connection.id);
  }

  /** A line could not be read: if the application sent it, it was an answer. */
  lineTooLong(connection: ClientConnection): void {
    this.#readers?.lineTooLong(connection.id);
  }

  closed(connection: ClientConnection): void {
    this.#readers?.closed(connection.id);
  }

  /** The node stops: streams end, and the process is gone when this resolves. */
  async end(): Promise<void> {
    this.#readers?.stop();
    await this.#process?.stop();
  }

  #command(): CommandOptions | undefined {
    const { command } = this.#options;
    if (command === undefined) return undefined;
    const script = (name: string): string[] => [
      process.execPath,
      join(packageFolder(), 'dist', 'clients', 'typescript', `${name}.js`),
    ];
    const ownCommands = { kvapp: script('kvapp'), printapp: script('printapp') };
    return { command, ownCommands, env: process.env };
  }

  #readerCallbacks(driver: Dispatcher): ReaderCallbacks {
    return {
      onAttached: (first) => driver.dispatch({ type: 'app-attached', first }),
      onDetached: () => driver.dispatch({ type: 'app-detached', expected: false }),
      onAnswer: (entry, value) => driver.dispatchSoon({ type: 'app-response', entry, value }),
      onAnswerTooLarge: (entry) => driver.dispatchSoon({ type: 'app-response', entry, value: undefined }),
      onTrouble: ({ kind, text, entry }) => {
        this.#options.log('warn', `app-${kind}`, text, entry === undefined ? {} : { entry });
      },
    };
  }
}

function newPace(driver: Dispatcher): Pace {
  const whole = { entries: SHORT_READ_AHEAD_ENTRIES, bytes: READ_AHEAD_BYTES };
  return new Pace(whole, { isBusy: () => driver.open_requests > 0, now_ms: () => performance.now() });
}

function processCallbacks(driver: Dispatcher): AppProcessCallbacks {
  return {
    onAttached: (first) => driver.dispatch({ type: 'app-attached', first }),
    // Whether it was stopped or died: an application of ours is always to be expected again.
    onDetached: () => driver.dispatch({ type: 'app-detached', expected: true }),
    onAnswer: (entry, value) => driver.dispatchSoon({ type: 'app-response', entry, value }),
    onAnswerTooLarge: (entry) => driver.dispatchSoon({ type: 'app-response', entry, value: undefined }),
    onTrouble: () => undefined, // the process has written its line already
    onClientMessage: (connection, message) => relay(driver, connection, message),
    onClientEnded: (connection) => driver.clientEnded(connection),
    onClientClosed: (connection) => driver.clientClosed(connection),
    together: (handle) => driver.together(handle),
  };
}

/** The application says hello as a client does, and may ask as one. */
function relay(driver: Dispatcher, connection: ClientConnection, message: ClientMessage): void {
  if (message.type !== MessageType.ClientRequest && message.type !== MessageType.ClientConnectRequest) return;
  driver.dispatchClient(connection, { type: 'client', connection: connection.id, message });
}
