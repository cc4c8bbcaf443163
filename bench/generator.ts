import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { LoadPlan, LoadResult, LoadSample } from '../src/cli/load/plan.js';
import type { Order, Reply } from './load.js';
import { benchProgram } from './paths.js';
import { BenchError } from './wait.js';

type WithoutCall<T> = T extends unknown ? Omit<T, 'call'> : never;

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The load generator's process, seen from the bench. */
export class Generator {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;

  constructor() {
    // JSON would turn a measuring time without end into null.
    this.#child = fork(benchProgram('load'), { serialization: 'advanced' });
    this.#child.on('message', (reply: Reply) => {
      const waiting = this.#waiting.get(reply.call);
      this.#waiting.delete(reply.call);
      if (reply.ok) waiting?.resolve(reply.result);
      else waiting?.reject(new BenchError(reply.error));
    });
    this.#child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new BenchError('the load generator is gone'));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  run(plan: LoadPlan): Promise<LoadResult> {
    return this.#call({ order: 'run', plan }) as Promise<LoadResult>;
  }

  sample(): Promise<LoadSample> {
    return this.#call({ order: 'sample' }) as Promise<LoadSample>;
  }

  /** When, by the shared clock, the first answer came over a connection made after that time. */
  firstAnswerAfter(at_ms: number): Promise<number> {
    return this.#call({ order: 'first-answer-after', at_ms }) as Promise<number>;
  }

  async stop(): Promise<void> {
    await this.#call({ order: 'stop' });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }

  #call(order: WithoutCall<Order>): Promise<unknown> {
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#child.send({ ...order, call });
    });
  }
}
