/** What was read of the log at once; `bytes`: about. */
export interface Batch {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * The least time that a whole batch for somebody who is far behind takes of a node that has clients waiting. With
 * batches of 256 entries at most 56,000 are sent in a second: clients lose less than if a peer took what it can.
 */
export const BATCH_MS = 4.6;

/**
 * Batches follow each other in bursts of more than a thousand entries, until a pause of so many milliseconds is due. One
 * by one, each with a short pause behind it, they cost both nodes more: what they need is no longer in the processor's
 * caches then.
 */
export const LEAST_PAUSE_MS = 25;

/** Time that was not used is made up for, but no more of it than this: a late timer's, not that of a pause. */
const MAX_CREDIT_MS = 20;

/** What part of what it has read since the last pause it has to have come nearer to the end. Else there is none. */
const LEAST_GAIN = 1 / 8;

/** No more than so many batches count in that, so that a time in which it came no nearer can be made up for. */
const MAX_COUNTED_BATCHES = 200;

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
  /** When all that was read would have been read at this pace. */
  #due_ms = -Infinity;
  /** What it lacked before the last pause, and what it has read since. */
  #lacked = Infinity;
  #read = 0;

  constructor(whole: Batch, options: PaceOptions) {
    this.#whole = whole;
    this.#options = options;
  }

  /** How long to wait before the next batch is read after `read`, with so many entries lacking then. */
  wait_ms(read: Batch, lacking: number): number {
    const share = Math.max(read.entries / this.#whole.entries, read.bytes / this.#whole.bytes);
    const now_ms = this.#options.now_ms();
    this.#due_ms = Math.max(this.#due_ms, now_ms - MAX_CREDIT_MS) + share * BATCH_MS;
    this.#read = Math.min(this.#read + read.entries, MAX_COUNTED_BATCHES * this.#whole.entries);
    if (lacking < this.#whole.entries) this.#due_ms = now_ms;
    const owed_ms = this.#due_ms - now_ms;
    if (owed_ms < LEAST_PAUSE_MS) return 0;
    if (!this.#options.isBusy()) {
      // Where clients wait now and then, the pause is made as soon as one does.
      this.#due_ms = now_ms + LEAST_PAUSE_MS;
      return 0;
    }
    if (this.#lacked - lacking < this.#read * LEAST_GAIN) {
      this.#due_ms = now_ms;
      return 0;
    }
    this.#lacked = lacking;
    this.#read = 0;
    return owed_ms;
  }
}
