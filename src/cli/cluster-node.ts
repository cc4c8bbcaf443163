import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import split from 'split2';
import { formatAddress } from '../index.js';
import type { NodePlan } from './cluster-layout.js';
import { SCRIPT } from './shell.js';
import { asReport, type NodeReport } from './supervised.js';

/** How a node's process came to its end. */
export interface NodeEnd {
  /** The exit code; null if a signal ended it, or if it could not even be made. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why the process could not be made. */
  readonly error?: Error;
  /** Whether it had come so far as to listen. */
  readonly had_started: boolean;
  /** How long it had lived. */
  readonly lived_ms: number;
  readonly pid: number | undefined;
}

export interface ClusterNodeOptions {
  readonly plan: NodePlan;
  /** What follows `paxosd start`. */
  readonly args: readonly string[];
  readonly onReport: (report: NodeReport) => void;
  /** A line of the node's log. */
  readonly onLine: (line: string) => void;
  /** The process is gone and all its lines were handed on; called once for each life. */
  readonly onEnded: (end: NodeEnd) => void;
}

/** A node as a child process, over one life or several. */
export class ClusterNode {
  readonly address: string;
  readonly plan: NodePlan;
  readonly #options: ClusterNodeOptions;
  #child: ChildProcess | undefined;
  #has_started = false;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    this.plan = options.plan;
    this.address = formatAddress(options.plan.address);
  }

  get isAlive(): boolean {
    return this.#child !== undefined;
  }

  /** Whether it listens, in this life. */
  get hasStarted(): boolean {
    return this.#has_started;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts the process, in a group of its own: a Ctrl-C on the terminal reaches the cluster command only, which then
   * stops the nodes. The channel between them ends with either, however it ends.
   */
  launch(): void {
    const { args, onReport, onLine } = this.#options;
    const born_ms = performance.now();
    this.#has_started = false;
    const child = spawn(process.execPath, [SCRIPT, 'start', ...args, '--supervised'], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    child.on('message', (message) => {
      const report = asReport(message);
      if (report?.report === 'started') this.#has_started = true;
      if (report !== undefined) onReport(report);
    });
    readLines(child.stdout, onLine);
    readLines(child.stderr, onLine);
    const end = (code: number | null, signal: NodeJS.Signals | null, error?: Error): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      const lived_ms = performance.now() - born_ms;
      const { pid } = child;
      const had_started = this.#has_started;
      this.#has_started = false;
      this.#options.onEnded({ code, signal, had_started, lived_ms, pid, ...(error && { error }) });
    };
    child.once('close', end);
    // Before it had a pid there was no process; after that, an error is about a signal or the channel, and no end.
    child.on('error', (error) => {
      if (child.pid === undefined) end(null, null, error);
    });
  }

  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    this.#child?.kill(name);
  }
}

function readLines(stream: Readable | null, onLine: (line: string) => void): void {
  stream?.pipe(split()).on('data', onLine);
}
