import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { EchoPorts } from './echo.js';
import { benchProgram } from './paths.js';

/** The process that answers without work, seen from the bench. */
export class EchoProcess {
  readonly pid: number;
  readonly ports: EchoPorts;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ports: EchoPorts) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.ports = ports;
  }

  static async start(): Promise<EchoProcess> {
    const child = fork(benchProgram('echo'));
    const [ports] = (await once(child, 'message')) as [EchoPorts];
    return new EchoProcess(child, ports);
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async end(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }
}
