/** What was read of the log at once; `bytes`: about. */
export interface Batch {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * The least time that a whole batch for somebody who is behind takes of a node that has clients waiting. With batches
 * of 192 entries at most 54,000 are sent in a second: a peer that missed a million is back after 20 s, and clients lose
 * less to it than if it took what it can.
 */
export const BATCH_MS = 3.55;

/** Time that was not used is made up for, but no more of it than this: a late timer's, not that of a pause. */
const MAX_CREDIT_MS = 20;

export interface PaceOptions {
  /** Whether clients wait for answers of this node. */
  readonly isBusy: () => boolean;
  /** Milliseconds of a clock that never goes back. */
  readonly now_ms: () => number;
  /** Calls back after so many milliseconds, or in a later turn of the loop. */
  readonly after: (ms: number, done: () => void) => void;
}

/**
 * Shares a busy node between its clients and those that are far behind in its log, peers that catch up and followers: all
 * of these together get batches at a limited rate. While no client waits they get what they can take.
 */
export class Pace {
  readonly #options: PaceOptions;
  readonly #whole: Batch;
  /** When the next batch may be read. */
  #due_ms = -Infinity;

  constructor(whole: Batch, options: PaceOptions) {
    this.#whole = whole;
    this.#options = options;
  }

  /** Calls back when the next batch may be read after `read`. */
  then(read: Batch, next: () => void): void {
    const { isBusy, now_ms, after } = this.#options;
    if (!isBusy()) return after(0, next);
    const now = now_ms();
    const share = Math.max(read.entries / this.#whole.entries, read.bytes / this.#whole.bytes);
    this.#due_ms = Math.max(this.#due_ms, now - MAX_CREDIT_MS) + share * BATCH_MS;
    after(Math.max(0, this.#due_ms - now), next);
  }
}
