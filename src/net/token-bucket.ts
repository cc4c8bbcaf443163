/** How much may happen: `burst` at once, and `per_s` each second on average. */
export interface Rate {
  readonly burst: number;
  readonly per_s: number;
}

/** Lets things happen at a limited rate. The clock, in milliseconds, is handed in and must not go back. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #now_ms: () => number;
  #tokens: number;
  #filled_ms: number;

  constructor({ now_ms, ...rate }: Rate & { readonly now_ms: () => number }) {
    this.#rate = rate;
    this.#now_ms = now_ms;
    this.#tokens = rate.burst;
    this.#filled_ms = now_ms();
  }

  /** Whether one more may happen now; if so, it is counted. */
  take(): boolean {
    const now_ms = this.#now_ms();
    const earned = ((now_ms - this.#filled_ms) / 1000) * this.#rate.per_s;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + earned);
    this.#filled_ms = now_ms;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
