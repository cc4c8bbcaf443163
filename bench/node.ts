import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Address, AgentStatus } from '../src/index.js';
import { askStatus } from '../src/cli/http-status.js';
import { sharedNow_ms } from '../src/cli/load/load.js';
import { endWithBench } from './children.js';
import { PAXOSD } from './paths.js';
import { BenchError } from './wait.js';

/** A node that recovers a long journal takes seconds; one that takes this long hangs. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;
const STATUS_TIMEOUT_MS = 2_000;

/** Lines of the log that a failure is told with. */
const MAX_LINES_TOLD = 20;

export interface BenchNodeOptions {
  readonly address: Address;
  readonly http: Address;
  /** All other members. */
  readonly peers: readonly Address[];
  readonly folder: string;
  /** Further flags of `paxosd start`. */
  readonly flags: readonly string[];
  /** Flags of node itself, such as those of its profiler. */
  readonly node_flags: readonly string[];
}

/** A node as a process, over several lives. */
export class BenchNode {
  readonly address: Address;
  readonly name: string;
  readonly directory: string;
  /** How often it gave up leadership, over all its lives. */
  abdications = 0;
  readonly #options: BenchNodeOptions;
  #child: ChildProcess | undefined;
  #lines: string[] = [];

  constructor(options: BenchNodeOptions) {
    this.#options = options;
    this.address = options.address;
    this.name = `${options.address.address}:${options.address.port}`;
    this.directory = join(options.folder, `node-${options.address.port}`);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** `paxosd init`. */
  async init(): Promise<void> {
    const { peers } = this.#options;
    const list = peers.map(({ address, port }) => `${address}:${port}`).join(',');
    const words = ['init', '--listen', this.name, '--data-dir', this.directory];
    const child = spawn(process.execPath, [PAXOSD, ...words, ...(list === '' ? [] : ['--peers', list])], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    endWithBench(child);
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new BenchError(`paxosd init of ${this.name} ended with ${code ?? 'a signal'}`);
  }

  /** `paxosd start`; resolves when it listens, with how long that took from the making of the process on. */
  start(): Promise<number> {
    const { http, flags, node_flags } = this.#options;
    const words = ['start', '--data-dir', this.directory, '--http', `${http.address}:${http.port}`];
    const format = ['--log-format', 'json'];
    const from_ms = sharedNow_ms();
    const child = spawn(process.execPath, [...node_flags, PAXOSD, ...words, ...format, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LOG_LEVEL: 'info' },
    });
    this.#child = endWithBench(child);
    this.#lines = [];
    const file = createWriteStream(`${this.directory}.log`, { flags: 'a' });
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    return new Promise((resolve, reject) => {
      const fail = (what: string): void => {
        reject(new BenchError(`${this.name} ${what}:\n${this.#lines.join('\n')}`));
      };
      const timer = setTimeout(() => fail('did not start'), START_TIMEOUT_MS);
      createInterface({ input: child.stderr })
        .on('line', (line) => {
          file.write(`${line}\n`);
          this.#keep(line);
          if (line.includes('"code":"started"')) {
            clearTimeout(timer);
            resolve(sharedNow_ms() - from_ms);
          }
        })
        .on('close', () => {
          clearTimeout(timer);
          file.end();
          fail('ended before it had started');
        });
    });
  }

  #keep(line: string): void {
    if (line.includes('"code":"abdicated"')) this.abdications++;
    this.#lines.push(line);
    if (this.#lines.length > MAX_LINES_TOLD) this.#lines.shift();
  }

  /** What it says of itself; undefined while it doesn't answer. */
  async status(): Promise<AgentStatus | undefined> {
    const answer = await askStatus(this.#options.http, STATUS_TIMEOUT_MS);
    return answer.ok ? answer.status : undefined;
  }

  /** Kills it, as a machine that loses its power would. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Ends it, and resolves when it is gone. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await gone;
    clearTimeout(timer);
  }
}
