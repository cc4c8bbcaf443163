/** What was read of the log at once; `bytes`: about. */
export interface Batch {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * The least time that a whole batch for somebody who is far behind takes of a node that has clients waiting. With
 * batches of 192 entries at most 54,000 are sent in a second: clients lose less than if a peer took what it can.
 */
export const BATCH_MS = 3.55;

/** Time that was not used is made up for, but no more of it than this: a late timer's, not that of a pause. */
const MAX_CREDIT_MS = 20;

/** By how much of a batch it has to have come nearer to the end of the log than ever before. Else it isn't held back. */
const LEAST_GAIN = 1 / 4;

export interface PaceOptions {
  /** Whether clients wait for answers of this node. */
  readonly isBusy: () => boolean;
  /** Milliseconds of a clock that never goes back. */
  readonly now_ms: () => number;
}

/**
 * Shares a busy node between its clients and one that is far behind in its log, a peer that catches up or a follower: it
 * gets batches at a limited rate. It gets what it can take while no client waits, when it lacks less than a batch, and
 * when the log grows so fast that it would not get nearer.
 */
export class Pace {
  readonly #whole: Batch;
  readonly #options: PaceOptions;
  /** When the next batch may be read. */
  #due_ms = -Infinity;
  /** What it lacked when it was nearest. */
  #nearest = Infinity;

  constructor(whole: Batch, options: PaceOptions) {
    this.#whole = whole;
    this.#options = options;
  }

  /** How long to wait before the next batch is read after `read`, with so many entries lacking then. */
  wait_ms(read: Batch, lacking: number): number {
    const share = Math.max(read.entries / this.#whole.entries, read.bytes / this.#whole.bytes);
    const gains = this.#nearest - lacking >= read.entries * LEAST_GAIN;
    if (lacking < this.#nearest) this.#nearest = lacking;
    const now_ms = this.#options.now_ms();
    this.#due_ms = Math.max(this.#due_ms, now_ms - MAX_CREDIT_MS) + share * BATCH_MS;
    if (!gains || lacking < this.#whole.entries || !this.#options.isBusy()) this.#due_ms = now_ms;
    return Math.max(0, this.#due_ms - now_ms);
  }
}
