import type { LatencySummary } from '../../src/cli/load/histogram.js';

/** A load on another system, in a closed loop. */
export interface PeerLoad {
  readonly clients: number;
  /** Requests in flight of each client. */
  readonly in_flight: number;
  readonly value_bytes: number;
  readonly warm_up_ms: number;
  readonly measure_ms: number;
}

export interface PeerResult {
  readonly per_second: number;
  readonly latency: LatencySummary;
  readonly errors: number;
  /** CPU time per request, in microseconds. */
  readonly cost: {
    readonly leader: number;
    /** All together. */
    readonly followers: number;
    readonly app?: number;
    readonly generator: number;
  };
}

/** A cluster of another system on this machine, with a load generator that suits it. */
export interface Peer {
  readonly name: string;
  /** What it is, and what it is loaded by. */
  readonly description: string;
  run(load: PeerLoad): Promise<PeerResult>;
  stop(): Promise<void>;
}
