import type { Address } from '../../core/address.js';
import type { LatencySummary } from './histogram.js';

export { formatAddress as addressName } from '../../core/address.js';

/** What load to put on which cluster. */
export interface LoadPlan {
  /** Client addresses of some or all nodes. */
  readonly servers: readonly Address[];
  /** Sessions, each on a connection of its own. */
  readonly clients: number;
  /** Requests that each client has out at a time, from 1 to 128; in an open loop, at most. */
  readonly in_flight: number;
  /** Size of the value that each request puts, in bytes. */
  readonly value_bytes: number;
  /** Answers during this time aren't measured. */
  readonly warm_up_ms: number;
  /** How long to measure after that; `Infinity`: until `stop`. */
  readonly measure_ms: number;
  /** An open loop of this many requests per second, over all clients; absent: a closed loop. */
  readonly rate_per_s?: number;
  /** A closed loop ends after this many requests; absent: it doesn't. */
  readonly requests?: number;
}

export interface LoadResult {
  /** How long was measured. */
  readonly seconds: number;
  /** Answers within that time. */
  readonly answered: number;
  readonly per_second: number;
  readonly latency: LatencySummary;
  /** How long refusals took. */
  readonly refused_latency: LatencySummary;
  /** Requests that were refused for good, by the code of their Error. */
  readonly refused: Readonly<Record<string, number>>;
  /** Reconnects, answers to nothing, Errors after which was asked again. */
  readonly notes: Readonly<Record<string, number>>;
  /** Everything from the first request to the last answer, warm-up included. */
  readonly totals: {
    readonly sent: number;
    readonly answered: number;
    readonly refused: number;
    /** Requests without an answer when the load gave up waiting. */
    readonly unanswered: number;
  };
  /** When the load began, by the clock that the machine's processes share. */
  readonly started_ms: number;
  /** Answers in each TIMELINE_BUCKET_MS since then. */
  readonly timeline: readonly number[];
}

/** How far a load is. */
export interface LoadSample {
  readonly at_ms: number;
  readonly answered: number;
  readonly refused: number;
  readonly in_flight: number;
}
