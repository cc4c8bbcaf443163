/**
 * Milliseconds of a clock that never goes back, and stands while what came at once is handled: a datagram of fifty
 * messages came at one time, and asking the system for it costs as much as a step of the core.
 */
export class Clock {
  #stands = false;
  #now_ms: number | undefined;

  readonly now_ms = (): number => {
    if (!this.#stands) return performance.now();
    return (this.#now_ms ??= performance.now());
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
