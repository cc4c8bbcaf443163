import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { Inbox, PATIENCE_MS } from './fake-node.js';
import { PROJECT, type Language, type Program } from './languages.js';

/** A program of a language's client, as a real process. */
export class RunningProgram {
  readonly child: ChildProcessWithoutNullStreams;
  /** Fulfilled at its end. */
  readonly hasEnded: Promise<unknown>;
  #stdout = '';
  #stderr = '';

  constructor(language: Language, program: Program, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const [command, ...first] = language.command(program);
    const nowhere = { PAXOS_ADDR: '', PAXOS_PORT: '' };
    this.child = spawn(command, [...first, ...args], {
      cwd: PROJECT,
      env: { ...process.env, ...nowhere, ...env },
    });
    this.hasEnded = once(this.child, 'close');
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.child.stdin.on('error', () => undefined);
  }

  /** Waits for its end. */
  async ended(): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS);
    await this.hasEnded;
    clearTimeout(timer);
    return { code: this.child.exitCode, stdout: this.#stdout, stderr: this.#stderr };
  }

  get stderr(): string {
    return this.#stderr;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}

/** A language's driver: calls go in, results come out (clients/README.md, "Driver"). */
export class Driver {
  readonly #program: RunningProgram;
  readonly #results = new Map<string, Inbox<Record<string, unknown>>>();

  constructor(language: Language) {
    this.#program = new RunningProgram(language, 'driver', []);
    let rest = '';
    this.#program.child.stdout.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line) as Record<string, unknown>);
    });
  }

  send(call: object): void {
    this.#program.child.stdin.write(`${JSON.stringify(call)}\n`);
  }

  async result(call: string): Promise<Record<string, unknown>> {
    try {
      const result = this.#inbox(call).take(`the result of ${call}`);
      return await Promise.race([result, this.#died()]);
    } catch (error) {
      throw new Error(`${String(error)}; stderr: ${this.#program.stderr}`, { cause: error });
    }
  }

  async #died(): Promise<never> {
    await this.#program.hasEnded;
    throw new Error('the driver has ended');
  }

  /** Ends its input, and waits for its end. */
  async end(): Promise<number | null> {
    this.#program.child.stdin.end();
    return (await this.#program.ended()).code;
  }

  #take(result: Record<string, unknown>): void {
    this.#inbox(String(result['call'])).put(result);
  }

  #inbox(call: string): Inbox<Record<string, unknown>> {
    const inbox = this.#results.get(call) ?? new Inbox<Record<string, unknown>>();
    this.#results.set(call, inbox);
    return inbox;
  }
}
