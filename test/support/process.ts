import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** The folder of the package. */
export const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

/** The built command; `npm test` builds before it tests. */
export const PAXOSD = `${PROJECT}dist/src/cli/paxosd.js`;

/** Longer than anything here takes on a busy machine, shorter than the test runner's patience. */
export const PATIENCE_MS = 30_000;

/** How often what can't be waited for as an event is looked at. */
const POLL_MS = 20;

/** How long a process that was killed may take to be gone. */
const GONE_MS = 5_000;

/** One line of a node's log. */
export interface LogLine {
  readonly code: string;
  readonly msg: string;
  readonly [detail: string]: unknown;
}

/** Looks again and again until `look` finds something; the error says what was waited for, and what was seen last. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  { timeout_ms = PATIENCE_MS, seen = (): unknown => undefined } = {},
): Promise<T> {
  const end_ms = performance.now() + timeout_ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end_ms) {
      const last = seen();
      const told = last === undefined ? '' : `; last seen: ${JSON.stringify(last)}`;
      throw new Error(`waited ${timeout_ms} ms for ${what}${told}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Whether a process runs; one that has ended and was not fetched by its parent doesn't. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Resolves when a process is gone that is no child of this one. */
export async function gone(pid: number): Promise<void> {
  await eventually(`the end of process ${pid}`, () => (isAlive(pid) ? undefined : true));
}

/** How a process ended. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A real process whose output is kept. */
export class Program {
  readonly name: string;
  readonly pid: number;
  readonly ended: Promise<End>;
  #end: End | undefined;
  #stdout = '';
  #stderr = '';
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #watchers = new Set<() => void>();

  constructor(
    name: string,
    command: readonly string[],
    options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
  ) {
    const [file = '', ...args] = command;
    this.name = name;
    this.#child = spawn(file, args, {
      cwd: options.cwd ?? PROJECT,
      env: { ...process.env, LOG_LEVEL: 'info', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      const over = (end: End): void => {
        this.#end ??= end;
        this.#wake();
        resolve(this.#end);
      };
      this.#child.once('error', (error) => {
        this.#stderr += `${error.message}\n`;
        if (this.#child.pid === undefined) over({ code: null, signal: null });
      });
      this.#child.once('exit', () => this.#wake());
      this.#child.once('close', (code, signal) => over({ code, signal }));
    });
  }

  get running(): boolean {
    return this.#end === undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The lines of its log with this code, of all codes if none is given. */
  log(code?: string): LogLine[] {
    return this.#stderr.split('\n').flatMap((text) => {
      const line = parseLine(text);
      return line !== undefined && (code === undefined || line.code === code) ? [line] : [];
    });
  }

  /** Resolves when `look` finds something in what the process has put out. Rejects if it ends without. */
  async until<T>(what: string, look: () => T | undefined, timeout_ms = PATIENCE_MS): Promise<T> {
    const end_ms = performance.now() + timeout_ms;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left_ms = end_ms - performance.now();
      if (this.#end !== undefined) throw new Error(`${this.name} ended before ${what}: ${this.#stderr}`);
      if (left_ms <= 0)
        throw new Error(`waited ${timeout_ms} ms for ${what} of ${this.name}: ${this.#stderr}`);
      await this.#next(left_ms);
    }
  }

  /** The next line with this code that satisfies `test`. */
  logged(code: string, test: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return this.until(`a line "${code}"`, () => this.log(code).find(test));
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal);
  }

  /** Resolves when it has ended by itself. */
  async over(what: string, timeout_ms = PATIENCE_MS): Promise<End> {
    const end_ms = performance.now() + timeout_ms;
    while (this.#end === undefined) {
      const left_ms = end_ms - performance.now();
      if (left_ms <= 0) throw new Error(`waited ${timeout_ms} ms for ${what}: ${this.#stderr}`);
      await this.#next(left_ms);
    }
    return this.#end;
  }

  /** Ends it, and resolves when it is gone. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<End> {
    // A stopped process acts on no signal but SIGKILL until it goes on.
    this.signal(signal);
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), GONE_MS);
    try {
      return await this.ended;
    } finally {
      clearTimeout(timer);
    }
  }

  #next(timeout_ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeout_ms);
      this.#watchers.add(done);
    });
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

function parseLine(text: string): LogLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return undefined;
  }
}

/** Runs a program to its end, which must come by itself. */
export async function runToEnd(
  command: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string; timeout_ms?: number } = {},
): Promise<End & { readonly stdout: string; readonly stderr: string }> {
  const { timeout_ms = PATIENCE_MS } = options;
  const program = new Program(command.join(' '), command, options);
  const end = await program
    .over(`the end of ${command.join(' ')}`, timeout_ms)
    .catch(async (error: unknown) => {
      await program.end();
      throw error;
    });
  const { stdout, stderr } = program;
  return { ...end, stdout, stderr };
}

/** Whether a program of this name can be run here. */
export function isOnPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(`${folder}/${name}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** `paxosd` with these words, by the interpreter that runs the tests. */
export function paxosd(...words: readonly string[]): string[] {
  return [process.execPath, PAXOSD, ...words];
}
