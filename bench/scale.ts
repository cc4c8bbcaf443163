import type { FloorScale } from './floor.js';

/** How much is measured. Times in milliseconds. */
export interface Scale {
  readonly name: 'tiny' | 'quick' | 'usual' | 'full';
  readonly floor: FloorScale;
  readonly rounds: number;
  readonly warm_up_ms: number;
  readonly measure_ms: number;
  /** A load on processes that have just been started, before the first measurement: they compile what is used much. */
  readonly compile_ms: number;
  /** Leaders killed. */
  readonly failovers: number;
  /** How often two clusters are started whose costs are compared: what the same program costs differs from start to start. */
  readonly starts: number;
  /** Length of the short and of the long history, in entries. */
  readonly short_history: number;
  readonly long_history: number;
  /** Entries that a node misses before it catches up. */
  readonly missed: number;
  readonly restarts: number;
  /** Requests that the core alone handles. */
  readonly core_requests: number;
  readonly overload_ms: number;
  /** Sizes of clusters. */
  readonly nodes: readonly number[];
  readonly closed_clients: readonly number[];
}

const CLOSED_CLIENTS = [1, 10, 100, 1000];

/** For a test: everything once, as small as it gets. */
export const TINY: Scale = {
  name: 'tiny',
  floor: { samples: 20, write_bytes: 2 ** 20 },
  rounds: 1,
  warm_up_ms: 50,
  measure_ms: 300,
  compile_ms: 100,
  failovers: 1,
  starts: 1,
  short_history: 200,
  long_history: 600,
  missed: 200,
  restarts: 1,
  core_requests: 500,
  overload_ms: 300,
  nodes: [3],
  closed_clients: [1, 10],
};

/** Some seconds for each measurement: whether it works, and a first impression. */
export const QUICK: Scale = {
  name: 'quick',
  floor: { samples: 1000, write_bytes: 32 * 2 ** 20 },
  rounds: 1,
  warm_up_ms: 500,
  measure_ms: 1_500,
  compile_ms: 2_000,
  failovers: 2,
  starts: 1,
  short_history: 2_000,
  long_history: 20_000,
  missed: 10_000,
  restarts: 1,
  core_requests: 50_000,
  overload_ms: 3_000,
  nodes: [3, 5],
  closed_clients: CLOSED_CLIENTS,
};

export const USUAL: Scale = {
  name: 'usual',
  floor: { samples: 5000, write_bytes: 256 * 2 ** 20 },
  rounds: 3,
  warm_up_ms: 2_000,
  measure_ms: 5_000,
  compile_ms: 8_000,
  failovers: 10,
  starts: 5,
  short_history: 10_000,
  long_history: 1_000_000,
  missed: 200_000,
  restarts: 3,
  core_requests: 200_000,
  overload_ms: 60_000,
  nodes: [3, 5, 7],
  closed_clients: CLOSED_CLIENTS,
};

export const FULL: Scale = {
  name: 'full',
  floor: { samples: 10_000, write_bytes: 512 * 2 ** 20 },
  rounds: 5,
  warm_up_ms: 3_000,
  measure_ms: 10_000,
  compile_ms: 10_000,
  failovers: 50,
  starts: 7,
  short_history: 10_000,
  long_history: 1_000_000,
  missed: 1_000_000,
  restarts: 5,
  core_requests: 500_000,
  overload_ms: 300_000,
  nodes: [3, 5, 7],
  closed_clients: CLOSED_CLIENTS,
};
