import type { LatencySummary } from '../../src/cli/load/histogram.js';

/** A load on another system, in a closed loop. */
export interface PeerLoad {
  readonly connections: number;
  /** Requests in flight over all connections. */
  readonly clients: number;
  readonly value_bytes: number;
  readonly warm_up_ms: number;
  readonly measure_ms: number;
}

export interface PeerResult {
  readonly per_second: number;
  readonly latency: LatencySummary;
  readonly errors: number;
  /** CPU time per request, in microseconds. */
  readonly cost: { readonly leader: number; readonly followers: number; readonly generator: number };
}

/** A cluster of another system on this machine, with a load generator of its own ecosystem. */
export interface Peer {
  readonly name: string;
  /** Name and version, and those of its load generator. */
  readonly description: string;
  run(load: PeerLoad): Promise<PeerResult>;
  stop(): Promise<void>;
}
