import { MAX_RIDE_MS } from '../server/bounds.js';
import type { Appointment } from './schedule.js';
import type { World } from './world.js';

/** What a life needs for its next group of records to begin later. */
export interface Waiting {
  readonly world: World;
  /** Something reaches the process: at once, or when it runs again. */
  arrive(happens: () => void): void;
}

/** The waits of the next group, as in the shipped driver: for what rides with it, and for clients that come back. */
export class Waits {
  readonly #life: Waiting;
  readonly #begin: () => void;
  readonly #waits = new Map<'ride' | 'gathering', Appointment>();

  /** `begin` is told once, when one of them is over. */
  constructor(life: Waiting, begin: () => void) {
    this.#life = life;
    this.#begin = begin;
  }

  /** The group begins within this time. */
  within(wait_ms: number): void {
    const name = wait_ms >= MAX_RIDE_MS ? 'ride' : 'gathering';
    if (this.#waits.has(name)) return;
    const made = this.#life.world.schedule.after(wait_ms, () =>
      this.#life.arrive(() => {
        if (this.#waits.get(name) !== made) return;
        this.clear();
        this.#begin();
      }),
    );
    this.#waits.set(name, made);
  }

  clear(): void {
    for (const wait of this.#waits.values()) wait.cancelled = true;
    this.#waits.clear();
  }
}
