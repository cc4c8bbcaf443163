import { compareAddresses, type Address } from '../core/address.js';
import type { Checker } from './checker.js';
import type { Counters } from './counters.js';
import type { Network } from './network.js';
import type { Plan } from './plan.js';
import type { Random } from './random.js';
import type { Schedule } from './schedule.js';
import type { Trace } from './trace.js';

/** What everything in a simulated cluster shares. */
export interface World {
  readonly plan: Plan;
  readonly schedule: Schedule;
  readonly trace: Trace;
  readonly counters: Counters;
  readonly network: Network;
  readonly checker: Checker;
  readonly agents: readonly Address[];
  /** Draws of the nodes' drivers: timers, crashes, delays inside a host. */
  readonly random: Random;
  /** Whether the safety phase is over: then nothing fails any more. */
  calm: boolean;
}

/** Addresses of `count` machines from the `first` on, in the order that makes agents of them. */
export function addresses(first: number, count: number): Address[] {
  const machines = Array.from({ length: count }, (_, i) => first + i + 1);
  return machines.map((machine) => ({ address: `10.0.0.${machine}`, port: '7000' })).sort(compareAddresses);
}
