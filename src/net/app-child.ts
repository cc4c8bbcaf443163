import { spawn, type ChildProcess } from 'node:child_process';
import { showOutput } from './app-output.js';
import { errorCode } from './listen-error.js';
import type { Log } from './logging.js';

/** How long an application has between SIGTERM and SIGKILL: enough to close files, short beside a failover. */
export const STOP_GRACE_MS = 2000;

/** How long the output of a process that is gone is read on: what it wrote is in the pipe already. */
const OUTPUT_DRAIN_MS = 1000;

export interface AppChildOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly grace_ms: number;
  readonly log: Log;
  /** The process and its group are gone, or it could not be started; `reason` says which. Called exactly once. */
  readonly onGone: (reason: string) => void;
}

/**
 * One run of an application's program, in a process group of its own, so that what it starts dies with it. Standard
 * input is empty; what it prints goes to the log.
 */
export class AppChild {
  readonly #options: AppChildOptions;
  readonly #process: ChildProcess | undefined;
  #reason: string | undefined;
  #terminating = false;
  #killed = false;
  #gone = false;
  #killTimer: NodeJS.Timeout | undefined;
  /** If this program ends without stopping its application, the application ends too. */
  readonly #onOwnExit = () => this.#signal('SIGKILL');

  constructor(options: AppChildOptions) {
    this.#options = options;
    this.#process = this.#spawn();
    if (this.#process === undefined) return;
    process.once('exit', this.#onOwnExit);
    this.#watch(this.#process);
  }

  /** The process id, which is also its group's; undefined if it could not be started. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Asks the whole group to end, and makes it end after the grace. */
  terminate(): void {
    if (this.#terminating || this.#gone) return;
    this.#terminating = true;
    this.#signal('SIGTERM');
    this.#killTimer = setTimeout(() => {
      this.#killed = true;
      this.#signal('SIGKILL');
      if (this.#reason !== undefined) this.#finish();
    }, this.#options.grace_ms);
  }

  #spawn(): ChildProcess | undefined {
    const { file, args, env } = this.#options;
    try {
      return spawn(file, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      // Some failures, such as too long a command, are thrown instead of being told as an event.
      this.#reason = startFailure(error);
      queueMicrotask(() => this.#finish());
      return undefined;
    }
  }

  #watch(child: ChildProcess): void {
    if (child.stdout !== null) showOutput(child.stdout, 'stdout', this.#options.log);
    if (child.stderr !== null) showOutput(child.stderr, 'stderr', this.#options.log);
    child.once('exit', (code, signal) => {
      this.#reason = signal === null ? `exited with code ${code ?? 0}` : `was ended by ${signal}`;
      // Within the grace, those that it started may end by themselves: the pipes close when the last of them has.
      if (!this.#terminating || this.#killed) this.#finish();
    });
    child.once('close', () => this.#finish());
    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      this.#reason = startFailure(error);
      this.#finish();
    });
  }

  #finish(): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#killTimer);
    this.#signal('SIGKILL');
    process.removeListener('exit', this.#onOwnExit);
    this.#drainOutput();
    this.#options.onGone(this.#reason ?? 'ended');
  }

  /** A descendant that left the group may hold the pipes open for ever. */
  #drainOutput(): void {
    const child = this.#process;
    if (child === undefined) return;
    const timer = setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, OUTPUT_DRAIN_MS);
    child.once('close', () => clearTimeout(timer));
    timer.unref();
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // Nobody of the group is left, which is what was wanted.
    }
  }
}

function startFailure(error: unknown): string {
  const code = error instanceof Error ? errorCode(error) : String(error);
  if (code === 'ENOENT') {
    return 'could not be started (ENOENT): the interpreter that its first line names may be missing';
  }
  return `could not be started (${code})`;
}
