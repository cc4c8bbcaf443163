import { compareAddresses, type Address } from '../core/address.js';
import type { Checker } from './checker.js';
import type { Counters } from './counters.js';
import type { Network } from './network.js';
import type { Plan } from './plan.js';
import type { Random } from './random.js';
import type { Schedule } from './schedule.js';
import type { Trace } from './trace.js';

/** What everything in a simulated cluster shares. */
export class World {
  /** Whether the safety phase is over: then nothing fails any more. */
  calm = false;
  #stirred = false;
  #failed: { readonly error: unknown } | undefined;

  constructor(
    readonly plan: Plan,
    readonly schedule: Schedule,
    readonly trace: Trace,
    readonly counters: Counters,
    readonly network: Network,
    readonly checker: Checker,
    readonly agents: readonly Address[],
    /** Draws of the nodes' drivers: timers, crashes, delays inside a host. */
    readonly random: Random,
  ) {}

  /** The journals, which work in promises, have something to do before virtual time goes on. */
  stir(): void {
    this.#stirred = true;
  }

  /** Runs what a promise has set off; what goes wrong there ends the run, as if it had been thrown by an event. */
  enter(act: () => void): void {
    if (this.#failed !== undefined) return;
    try {
      act();
    } catch (error) {
      this.#failed = { error };
    }
  }

  /** Lets the journals do all that needs no virtual time. Their promises resolve in the same order in every run. */
  async settle(): Promise<void> {
    while (this.#stirred) {
      this.#stirred = false;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  get stirred(): boolean {
    return this.#stirred;
  }
}

/** Addresses of `count` machines from the `first` on, in the order that makes agents of them. */
export function addresses(first: number, count: number): Address[] {
  const machines = Array.from({ length: count }, (_, i) => first + i + 1);
  return machines.map((machine) => ({ address: `10.0.0.${machine}`, port: '7000' })).sort(compareAddresses);
}
