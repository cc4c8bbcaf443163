/**
 * Milliseconds of a clock that never goes back, and stands while what came at once is handled: a datagram of fifty
 * messages came at one time, and asking the system for it costs as much as a step of the core.
 */
export class Clock {
  readonly #read_ms: () => number;
  #stands = false;
  #now_ms: number | undefined;

  constructor(read_ms = (): number => performance.now()) {
    this.#read_ms = read_ms;
  }

  readonly now_ms = (): number => {
    if (!this.#stands) return this.#read_ms();
    return (this.#now_ms ??= this.#read_ms());
  };

  /** From the first look at it on, until `run`. */
  stop(): void {
    this.#stands = true;
  }

  run(): void {
    this.#stands = false;
    this.#now_ms = undefined;
  }
}
