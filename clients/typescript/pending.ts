import type { Asked, Certainty } from './errors.js';

/** The answer to a request or a query. */
export interface Answer {
  /** What the application returned; without an application, the value itself. For a query, the chosen value. */
  readonly value: string;
  /** The entry of the log that holds the request. */
  readonly entry: number;
  /** The session and number under which it was asked. */
  readonly id: number;
  readonly no: number;
}

const FIRST_BACKOFF_MS = 10;
/** Short beside an election, long beside a round trip. */
const LONGEST_BACKOFF_MS = 200;

/**
 * How long to wait before the next attempt, after `attempts` in vain; nothing before the first. It doubles up to a
 * bound, and half of it is drawn, so that clients which lost the same node don't come back as one.
 */
export function backoff_ms(attempts: number): number {
  if (attempts < 0) return 0;
  const longest = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempts, 10));
  return longest * (0.5 + Math.random() / 2);
}

/** A request on its way from the caller to its answer. */
export class Pending {
  readonly value: string;
  /** The entry asked for; undefined for a request that logs a value. */
  readonly entry: number | undefined;
  readonly promise: Promise<Answer>;
  resolve!: (answer: Answer) => void;
  reject!: (error: Error) => void;
  /** Its session and its number there; 0: none yet. */
  id = 0;
  no = 0;
  /** Numbered long before the requests beside it. */
  isOld = false;
  /** It was sent on the present connection, and no answer has come. */
  inFlight = false;
  /** Some asking of it may have had an effect: from then on a refusal of another asking says nothing definite. */
  doubt = false;
  /** The last refusal, if every asking was refused. */
  refusal: { code: string; text: string } | undefined;
  timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retries = 0;

  constructor(value: string, entry: number | undefined) {
    this.value = value;
    this.entry = entry;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Whether it should be sent now. */
  get isReady(): boolean {
    return !this.inFlight && this.#retry === undefined;
  }

  sent(): void {
    this.inFlight = true;
  }

  refused(certainty: Certainty, code: string, text: string): void {
    this.inFlight = false;
    if (certainty !== 'definite') this.doubt = true;
    this.refusal = { code, text };
  }

  /** The connection is gone: what was on its way may have arrived. Another connection needn't wait. */
  disconnected(): void {
    if (this.inFlight) this.doubt = true;
    this.inFlight = false;
    this.#stopRetry();
  }

  /** Calls `ready` when it may be asked again. */
  retry(ready: () => void): void {
    this.#stopRetry();
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      ready();
    }, backoff_ms(this.#retries++));
  }

  /** It begins anew, in another session. */
  renumbered(): void {
    this.disconnected();
    this.id = 0;
    this.no = 0;
    this.isOld = false;
    this.doubt = false;
  }

  /** What it takes to ask again. */
  get asked(): Asked {
    return { id: this.id, no: this.no, value: this.value, entry: this.entry };
  }

  stopTimers(): void {
    clearTimeout(this.timer);
    this.#stopRetry();
  }

  #stopRetry(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }
}
