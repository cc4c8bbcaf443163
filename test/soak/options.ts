import type { Judge } from './judge.js';

/** What a soak is to be like. Times in milliseconds. */
export interface SoakOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How often everything is healed and checked. */
  readonly periods: number;
  /** How long faults are made before each check; shorter if `faults_per_period` have been made. */
  readonly period_ms: number;
  readonly faults_per_period: number;
  /** Requests per second of the steady writer. */
  readonly steady_per_s: number;
  /** Clients whose histories are judged. */
  readonly clients: number;
  readonly judge: Judge;
  readonly say: (line: string) => void;
}

/** Something that must never be; the message says what was expected and what was seen. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Throws a Violation unless `holds`. */
export function must(holds: boolean, what: string | (() => string)): asserts holds {
  if (!holds) throw new Violation(typeof what === 'string' ? what : what());
}
