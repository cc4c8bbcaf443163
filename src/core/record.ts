import type { Decree } from './decree.js';
import type { AgentIndex, Entry, Round } from './ids.js';

/**
 * One verdict of the journal: what an agent decided about a message, so that recovery folds and decides nothing
 * (spec.md, "Durability"). `src/journal` writes it as a line: checksum, verdict, and the message it came from.
 */
export type JournalRecord =
  /** This agent spends `round`; nobody will see it used again. From its own Prepare. */
  | { readonly verdict: 'used'; readonly round: Round; readonly entry: Entry }
  /** Promised `round` to `owner`. From its Prepare. */
  | {
      readonly verdict: 'promised';
      readonly round: Round;
      readonly owner: AgentIndex;
      readonly entry: Entry;
    }
  /** Accepted, which implies the promise of `round` to `owner`. From its AcceptRequest. */
  | {
      readonly verdict: 'accepted';
      readonly entry: Entry;
      readonly round: Round;
      readonly owner: AgentIndex;
      readonly decree: Decree;
    }
  /** Known chosen, told by `peer` during catch-up, and not held as an acceptance. From its LogResponse. */
  | {
      readonly verdict: 'learnt';
      readonly entry: Entry;
      readonly peer: AgentIndex;
      readonly decree: Decree;
    }
  /** Every entry below `committed` is chosen and known here: accepted or learnt by an earlier record. */
  | { readonly verdict: 'committed'; readonly committed: Entry };

/** What the journal gives back for an entry below the commit index: the chosen decree, and how it is held. */
export interface StoredEntry {
  readonly entry: Entry;
  /** The round at which this agent last accepted it, or −1 if it was learnt. */
  readonly round: Round;
  readonly decree: Decree;
}
