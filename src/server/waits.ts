import { MAX_RIDE_MS } from './bounds.js';

/** Has something done after so many milliseconds; gives back what keeps it from being done. */
export type After = (ms: number, done: () => void) => () => void;

/** The waits of the next group of records: for what rides with it, and for clients that come back. */
export class Waits {
  readonly #after: After;
  readonly #begin: () => void;
  readonly #cancels = new Map<'ride' | 'gathering', () => void>();

  /** `begin` is told once, when the first of them is over. */
  constructor(after: After, begin: () => void) {
    this.#after = after;
    this.#begin = begin;
  }

  /** The group begins within this time. */
  within(wait_ms: number): void {
    const name = wait_ms >= MAX_RIDE_MS ? 'ride' : 'gathering';
    if (this.#cancels.has(name)) return;
    const cancel = this.#after(wait_ms, () => {
      if (this.#cancels.get(name) !== cancel) return;
      this.clear();
      this.#begin();
    });
    this.#cancels.set(name, cancel);
  }

  clear(): void {
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }
}
