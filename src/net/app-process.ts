import type { Entry } from '../core/ids.js';
import { STOP_GRACE_MS } from './app-child.js';
import type { CommandOptions } from './app-command.js';
import {
  APP_CONNECT_TIMEOUT_MS,
  AppLife,
  type AppClientCallbacks,
  type AppLifeEnd,
  type AppTiming,
  type OpenAppListener,
} from './app-life.js';
import { APP_HANG_MS, type AppTrouble } from './app-readers.js';
import type { AppSource } from './app-stream.js';
import { limitedLog, type Log } from './logging.js';

/** The first wait before a restart: short beside a failover, long enough that a crash loop leaves the machine usable. */
export const RESTART_MIN_MS = 100;

/** The longest wait before a restart: a repaired program is picked up soon enough. */
export const RESTART_MAX_MS = 5000;

/** An application connected for this long was well: the next restart waits as little as the first. */
export const APP_STEADY_MS = 10_000;

/** Deaths in a row at one entry after which it is named: one can be chance, two a coincidence. */
export const FAILING_DEATHS = 3;

export interface AppProcessTiming extends AppTiming {
  readonly restart_min_ms: number;
  readonly restart_max_ms: number;
  readonly steady_ms: number;
}

export const DEFAULT_APP_TIMING: AppProcessTiming = {
  connect_ms: APP_CONNECT_TIMEOUT_MS,
  grace_ms: STOP_GRACE_MS,
  hang_ms: APP_HANG_MS,
  restart_min_ms: RESTART_MIN_MS,
  restart_max_ms: RESTART_MAX_MS,
  steady_ms: APP_STEADY_MS,
};

export interface AppProcessCallbacks extends AppClientCallbacks {
  /** The application is there and will answer for every entry from `first` on. */
  onAttached(first: Entry): void;
  /** It left. `expected`: it is being restarted, and answers are still to come. */
  onDetached(expected: boolean): void;
  /** The answer for an entry, in order. */
  onAnswer(entry: Entry, value: string): void;
  /** The entry was executed, and its answer can't be passed on. */
  onAnswerTooLarge(entry: Entry): void;
  /** For counting; a line of the log has been written already, at a limited rate. */
  onTrouble(trouble: AppTrouble): void;
}

export interface AppProcessOptions {
  readonly command: CommandOptions;
  /** A listener other than the usual one, for tests. */
  readonly openListener?: OpenAppListener;
  readonly source: AppSource;
  readonly callbacks: AppProcessCallbacks;
  readonly log: Log;
  readonly timing?: Partial<AppProcessTiming>;
}

/**
 * `stopped`: not wanted, or ending. `starting`: the process runs and has not asked for the log. `connected`: it
 * executes entries. `restarting`: it has ended and is started again soon. `failing`: it has died at the same entry
 * again and again; it is still restarted, and the state lasts until it has answered that entry.
 */
export type AppState = 'stopped' | 'starting' | 'connected' | 'restarting' | 'failing';

export interface AppStatus {
  readonly state: AppState;
  readonly command: string;
  readonly pid: number | undefined;
  /** How often it was started again after it had ended by itself. */
  readonly restarts: number;
  /** The first entry that it has not been sent; undefined while it isn't connected. */
  readonly next: Entry | undefined;
  /** How many answers are awaited. */
  readonly unanswered: number;
  /** The entry that kills it, in state `failing`. */
  readonly failing_entry: Entry | undefined;
  /** The entry whose answer is overdue. */
  readonly hanging_entry: Entry | undefined;
  /** Why it ended last; empty if it never did. */
  readonly last_end: string;
}

/**
 * The `--app` program: started when wanted, restarted with a growing back-off whenever it ends, ended when it isn't
 * wanted any more (spec.md, "Applications"). Nothing that it does or fails to do reaches further than the callbacks.
 */
export class AppProcess {
  readonly #options: AppProcessOptions;
  readonly #timing: AppProcessTiming;
  readonly #log: Log;
  #life: AppLife | undefined;
  #wanted = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #restarts = 0;
  /** Ends since it was last well. */
  #badEnds = 0;
  #deathEntry: Entry | undefined;
  #deaths = 0;
  #lastEnd = '';
  #stopListeners: (() => void)[] = [];

  constructor(options: AppProcessOptions) {
    this.#options = options;
    this.#timing = { ...DEFAULT_APP_TIMING, ...options.timing };
    this.#log = limitedLog(options.log, () => performance.now());
  }

  get status(): AppStatus {
    const app = this.#life?.app;
    return {
      state: this.#state(),
      command: this.#options.command.command,
      pid: this.#life?.pid,
      restarts: this.#restarts,
      next: app?.next,
      unanswered: app?.unanswered ?? 0,
      failing_entry: this.#deaths >= FAILING_DEATHS ? this.#deathEntry : undefined,
      hanging_entry: app?.hanging,
      last_end: this.#lastEnd,
    };
  }

  /** The application is wanted: it is started, once a previous run has ended, and kept running until `stop`. */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#badEnds = 0;
    if (this.#life === undefined) this.#begin();
  }

  /**
   * The application is not wanted any more: it is detached at once, told to end, and made to after a grace. Resolves
   * when its process is gone; also when `start` was called again meanwhile.
   */
  stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restartTimer);
    if (this.#life === undefined) return Promise.resolve();
    const stopped = new Promise<void>((resolve) => this.#stopListeners.push(resolve));
    this.#life.end();
    return stopped;
  }

  /** To be called when `committed` has grown. */
  wake(): void {
    this.#life?.wake();
  }

  #state(): AppState {
    if (!this.#wanted) return 'stopped';
    if (this.#deaths >= FAILING_DEATHS) return 'failing';
    if (this.#life === undefined) return 'restarting';
    return this.#life.app === undefined ? 'starting' : 'connected';
  }

  #begin(): void {
    const { callbacks, command, openListener, source, log } = this.#options;
    this.#life = new AppLife({
      command,
      openListener,
      source,
      timing: this.#timing,
      log,
      callbacks: {
        onAttached: (first) => {
          log(
            'info',
            'app-attached',
            `the application is connected and wants the log from entry ${first} on`,
          );
          callbacks.onAttached(first);
        },
        onDetached: () => callbacks.onDetached(this.#wanted),
        onAnswer: (entry, value) => this.#onAnswer(entry, value),
        onAnswerTooLarge: (entry) => {
          this.#onExecuted(entry);
          callbacks.onAnswerTooLarge(entry);
        },
        onTrouble: (trouble) => this.#report(trouble),
        onClientMessage: (connection, message) => callbacks.onClientMessage(connection, message),
        onClientEnded: (connection) => callbacks.onClientEnded(connection),
        onClientClosed: (connection) => callbacks.onClientClosed(connection),
        ...(callbacks.together && { together: callbacks.together }),
      },
      onOver: (end) => this.#onOver(end),
    });
  }

  #onAnswer(entry: Entry, value: string): void {
    this.#onExecuted(entry);
    this.#options.callbacks.onAnswer(entry, value);
  }

  /** It has got past what killed it. */
  #onExecuted(entry: Entry): void {
    if (this.#deathEntry !== undefined && entry >= this.#deathEntry) this.#forgetDeaths();
  }

  #forgetDeaths(): void {
    this.#deathEntry = undefined;
    this.#deaths = 0;
  }

  #onOver(end: AppLifeEnd): void {
    this.#life = undefined;
    this.#lastEnd = end.reason;
    const listeners = this.#stopListeners;
    this.#stopListeners = [];
    if (listeners.length > 0) {
      this.#options.log('info', 'app-stopped', `the application was stopped: it ${end.reason}`);
      if (this.#wanted) this.#begin();
      for (const listener of listeners) listener();
      return;
    }
    this.#countDeath(end);
    const delay_ms = this.#nextDelay(end);
    const where = end.entry === undefined ? '' : ` while entry ${end.entry} was unanswered`;
    const text = `the application ${end.reason}${where}; it is started again in ${delay_ms} ms`;
    this.#report({ kind: 'exited', text, ...(end.entry === undefined ? {} : { entry: end.entry }) });
    this.#restartTimer = setTimeout(() => {
      this.#restarts++;
      this.#begin();
    }, delay_ms);
  }

  /** The wait before the next start: doubled by each end, as little as ever after a time of being well. */
  #nextDelay({ connected_ms = 0 }: AppLifeEnd): number {
    const { restart_min_ms, restart_max_ms, steady_ms } = this.#timing;
    if (connected_ms >= steady_ms) this.#badEnds = 0;
    const delay_ms = Math.min(restart_max_ms, restart_min_ms * 2 ** this.#badEnds);
    this.#badEnds++;
    return delay_ms;
  }

  #countDeath({ entry, connected_ms }: AppLifeEnd): void {
    // One that never connected says nothing about an entry; one that owed no answer has got past them all.
    if (connected_ms === undefined) return;
    if (entry === undefined) {
      this.#forgetDeaths();
      return;
    }
    this.#deaths = entry === this.#deathEntry ? this.#deaths + 1 : 1;
    this.#deathEntry = entry;
    if (this.#deaths < FAILING_DEATHS) return;
    const text = `the application has died ${this.#deaths} times with entry ${entry} unanswered: look at what it does with that value`;
    this.#report({ kind: 'failing', text, entry });
  }

  #report(trouble: AppTrouble): void {
    const { kind, text, entry } = trouble;
    this.#log('warn', `app-${kind}`, text, entry === undefined ? {} : { entry });
    this.#options.callbacks.onTrouble(trouble);
  }
}
