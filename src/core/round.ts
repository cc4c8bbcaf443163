import { MAX_ROUND, MAX_ROUND_JUMP } from './limits.js';
import { mutants } from './mutants.js';
import { NO_ROUND, round, type AgentIndex, type Round } from './ids.js';

/**
 * The only place where rounds are compared. A round is a ballot for the whole log; acceptors enforce that it belongs
 * to one proposer by promising it to one only, whoever asks first (spec.md, "Rounds").
 */

/** What an acceptor has promised: nothing below `round`, and `round` itself to `owner` only. */
export interface Promised {
  readonly round: Round;
  readonly owner: AgentIndex | undefined;
}

export const NOTHING_PROMISED: Promised = { round: NO_ROUND, owner: undefined };

/**
 * How a message at round `r` from `from` stands to a promise.
 * `above`: free to be promised. `held`: promised to this very sender. `taken`: promised to somebody else.
 * `below`: promised away.
 */
export type Standing = 'above' | 'held' | 'taken' | 'below';

export function standing(promised: Promised, r: Round, from: AgentIndex): Standing {
  if (r > promised.round) return 'above';
  if (r < promised.round) return 'below';
  if (promised.owner === from) return mutants.held_taken_for_below ? 'below' : 'held';
  return mutants.taken_taken_for_above ? 'held' : 'taken';
}

/** Whether `a` outranks `b`: a reign, a reported value or a notice at `a` takes precedence. */
export function outranks(a: Round, b: Round): boolean {
  return a > b;
}

export function higher(a: Round, b: Round): Round {
  return a > b ? a : b;
}

/** Where a chosen decree that was never accepted here is reported: one below the asking round. */
export function justBelow(r: Round): Round {
  return round(r - 1);
}

/** The lowest round above `seen` that agent `self` of `agents` may use: those with round mod N = its index. */
export function nextOwnRound(self: AgentIndex, agents: number, seen: Round): Round {
  const base = seen + 1;
  const ahead = (self - (base % agents) + agents) % agents;
  return round(base + ahead);
}

/** Whether a round from the wire is in bounds: below 2^37, and at most 2^28 above what is promised here. */
export function isPlausible(r: Round, promised: Promised): boolean {
  return r < MAX_ROUND && r - promised.round <= MAX_ROUND_JUMP;
}
