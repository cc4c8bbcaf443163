import { separately, type Together } from './together.js';

/**
 * What one turn of the event loop takes in, in bytes of texts with TEXT_OVERHEAD_BYTES each: some six hundred small
 * requests, or four of the largest. However many connections have sent however much, heartbeats and peers get their
 * turn a few milliseconds later.
 */
const TURN_BYTES = 256 * 1024;

/** What handling a text costs beside its length, as if it were so much longer. */
const TEXT_OVERHEAD_BYTES = 256;

/** Texts that one source hands out before the next source has its turn. */
const SHARE_TEXTS = 16;

/**
 * Requests that a node has taken in and not answered, past which clients are left waiting in their sockets: TCP slows
 * them down, which costs the node nothing, where refusing each request would cost as much as serving it. Enough to keep
 * the log's pipeline (`MAX_ENTRIES_IN_FLIGHT`) and the application busy; a fraction of a second's work.
 */
export const MAX_OPEN_REQUESTS = 2048;

/** Where taking in goes on: far enough below that it goes on with many at once. */
const RESUMED_AT_REQUESTS = 1536;

/** A connection with complete texts that have not been handled. */
export interface InputSource {
  /** How many texts wait. */
  readonly waiting: number;
  /** Handles the oldest and returns its length. */
  handOut(): number;
}

export interface IntakeOptions<Source> {
  /** Requests taken in and not answered. */
  readonly openRequests: () => number;
  /** Whether what is taken in could not be written down soon, however few requests are open. */
  readonly isHeldUp?: () => boolean;
  /** Whether a source is taken in all the same: what it says lets others go on. */
  readonly isExempt: (source: Source) => boolean;
  readonly together?: Together | undefined;
}

/**
 * Decides how much of what clients have sent is handled now (spec.md, "Limits"): a bounded share per turn, and nothing
 * while too many requests are open, or the disk is too far behind. What has to wait stays in order, and sources take
 * turns. While there is little to do everything is handled as it comes.
 */
export class Intake<Source extends InputSource> {
  readonly #options: IntakeOptions<Source>;
  readonly #together: Together;
  /** In the order of their turns. */
  readonly #queue = new Set<Source>();
  #left_bytes = TURN_BYTES;
  #scheduled = false;
  #full = false;

  constructor(options: IntakeOptions<Source>) {
    this.#options = options;
    this.#together = options.together ?? separately;
  }

  /** How many sources wait for their turn. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** A source has something to hand out. */
  offer(source: Source): void {
    this.#scheduleTurn();
    if (this.#queue.has(source)) return;
    const mustWait = this.#queue.size > 0 && !this.#options.isExempt(source);
    if (mustWait) this.#queue.add(source);
    else
      this.#together(() => {
        if (!this.#serve(source, Infinity)) this.#queue.add(source);
      });
  }

  /** A source has nothing to hand out any more. */
  leave(source: Source): void {
    this.#queue.delete(source);
  }

  /** Requests were answered, or the disk has caught up: there may be room. */
  wake(): void {
    if (this.#queue.size > 0 && !this.#isFull()) this.#scheduleTurn();
  }

  #isFull(): boolean {
    if (this.#options.isHeldUp?.() === true) return true;
    const open = this.#options.openRequests();
    this.#full = open >= (this.#full ? RESUMED_AT_REQUESTS : MAX_OPEN_REQUESTS);
    return this.#full;
  }

  #scheduleTurn(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#together(() => this.#turn());
    });
  }

  #turn(): void {
    this.#left_bytes = TURN_BYTES;
    let goesOn = this.#queue.size > 0;
    while (goesOn) {
      goesOn = false;
      for (const source of [...this.#queue]) {
        const before = source.waiting;
        const isDone = this.#serve(source, SHARE_TEXTS);
        if (source.waiting === before && !isDone) continue; // it keeps its place
        goesOn = true;
        if (this.#queue.delete(source) && !isDone) this.#queue.add(source);
      }
      goesOn &&= this.#queue.size > 0;
    }
    if (this.#queue.size > 0 && !this.#isFull()) this.#scheduleTurn();
  }

  /** Lets a source hand out what it may. True: nothing of it waits any more. */
  #serve(source: Source, share_texts: number): boolean {
    for (let texts = 0; source.waiting > 0; texts++) {
      if (texts >= share_texts || this.#left_bytes <= 0) return false;
      if (this.#isFull() && !this.#options.isExempt(source)) return false;
      this.#left_bytes -= source.handOut() + TEXT_OVERHEAD_BYTES;
    }
    return true;
  }
}
