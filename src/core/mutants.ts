/**
 * Deliberate mistakes, one switch each, to prove that the simulator and the explorer would see them (docs/proof.md).
 * Only tests turn them, by `withMutant`; when off, a switch costs the look at a field of a constant object.
 */
export const mutants = {
  /** A Promise leaves, and the own one counts, before its record is on the disk. */
  promise_not_durable: false,
  /** An Accepted leaves before its record is on the disk. */
  acceptance_not_durable: false,
  /** Accepting does not raise the promise. */
  accept_without_raising: false,
  /** A round promised to its very sender is refused: `>` where `>=` belongs. */
  held_taken_for_below: false,
  /** A round promised to somebody else is open: `>=` where `>` belongs. */
  taken_taken_for_above: false,
  /** The value that most acceptors report is proposed again, not the one of the highest round. */
  most_votes_for_highest_round: false,
  /** A promise speaks of its own entry only. */
  promise_for_one_entry: false,
  /** A round is spent without being written down. */
  round_reused_after_restart: false,
  /** A vote that arrives twice counts twice. */
  duplicates_counted: false,
  /** An acceptor takes what it accepts for chosen. */
  commit_at_acceptor: false,
  /** A Promise for an earlier round counts. */
  stale_promise_counted: false,
  /** A query is answered from what is merely accepted. */
  query_from_accepted: false,
  /** Half of the agents are a quorum. */
  quorum_one_short: false,
  /** A fresh agent leads at round 0 without asking anybody. */
  leader_at_round_zero: false,
  /** Session ids are unique per leader only. */
  sessions_keyed_by_node: false,
  /** The own vote counts before it is on the disk. */
  reply_before_fsync: false,
  /** A reign goes on after an entry that it proposed was learnt otherwise. */
  notice_after_foreign_learn: false,
  /** An entry that was not reported yet is read as one where nothing was accepted. */
  omitted_read_as_none: false,
  /** A Promise's `length` is read as that of an empty log. */
  length_read_as_empty: false,
  /** Holes are not reported. */
  holes_unreported: false,
  /** The commit index is never written down. */
  commit_index_not_durable: false,
  /** A response leaves when its own entry is chosen, though an earlier one is not. */
  response_before_earlier: false,
  /** A no-op is reported without the mark that makes it one. */
  no_op_without_noset: false,
  /** A notice counts for what was accepted at any round. */
  notice_of_any_round: false,
  /** A value is accepted over an entry known to be chosen otherwise, and the notice counts for it. */
  accept_over_chosen: false,
  /** A second request with the same number is executed again. */
  duplicate_executed: false,
};

export type Mutant = keyof typeof mutants;

export const MUTANTS = Object.keys(mutants) as readonly Mutant[];

/** Runs `act` with one deliberate mistake in the core. */
export function withMutant<T>(mutant: Mutant, act: () => T): T {
  mutants[mutant] = true;
  try {
    return act();
  } finally {
    mutants[mutant] = false;
  }
}
