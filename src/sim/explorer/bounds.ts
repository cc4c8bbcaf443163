/** How much of the protocol is explored: within these bounds, every interleaving (spec.md, "Proof"). */
export interface Bounds {
  readonly agents: number;
  /** New values are proposed at entries below this. */
  readonly entries: number;
  /** Rounds from 0 up to, not including, this may be used; agent i uses those with round mod N = i. */
  readonly rounds: number;
  /** Crashes followed by a recovery, over all agents together. */
  readonly restarts: number;
  /** Whether Accepted, notices and catch-up are delivered, so that agents learn what is chosen. */
  readonly learners: boolean;
}

/**
 * What is left out because a smaller space reaches the same; how it is argued stands where it is done.
 * `disks`: records that change nothing at the agent by being durable are durable at once, or never (`Local`).
 * `full`: that, and replies which nobody waits for any more are forgotten (`ItemSets.prune`).
 * `none` keeps every interleaving: for small bounds, for mutants of what the reductions rely on, and to hold the
 * reductions against.
 */
export type Reduction = 'full' | 'disks' | 'none';

/** Configurations with a name, from the smallest to the largest. */
export const PRESETS: Readonly<Record<string, Bounds>> = {
  'alone-3-1-2': { agents: 3, entries: 1, rounds: 2, restarts: 0, learners: false },
  'alone-3-1-2-1': { agents: 3, entries: 1, rounds: 2, restarts: 1, learners: false },
  'alone-3-1-3': { agents: 3, entries: 1, rounds: 3, restarts: 0, learners: false },
  'alone-3-1-3-1': { agents: 3, entries: 1, rounds: 3, restarts: 1, learners: false },
  'alone-3-2-2': { agents: 3, entries: 2, rounds: 2, restarts: 0, learners: false },
  'alone-3-2-2-1': { agents: 3, entries: 2, rounds: 2, restarts: 1, learners: false },
  'alone-5-1-2': { agents: 5, entries: 1, rounds: 2, restarts: 0, learners: false },
  'learners-3-1-2': { agents: 3, entries: 1, rounds: 2, restarts: 0, learners: true },
  'learners-3-1-2-1': { agents: 3, entries: 1, rounds: 2, restarts: 1, learners: true },
  'learners-3-1-3': { agents: 3, entries: 1, rounds: 3, restarts: 0, learners: true },
  'learners-3-2-2': { agents: 3, entries: 2, rounds: 2, restarts: 0, learners: true },
  'learners-3-2-2-1': { agents: 3, entries: 2, rounds: 2, restarts: 1, learners: true },
};
