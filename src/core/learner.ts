import { forget } from './acceptances.js';
import { isNoOp, lengthOf, sameDecree, type Decree } from './decree.js';
import { EntryPages } from './entry-pages.js';
import { entry as entryOf, type AgentIndex, type Entry, type Round } from './ids.js';
import { assertInvariant } from './invariants.js';
import { RETAINED_ENTRIES, RETAINED_VALUE_LENGTH } from './limits.js';
import { mutants } from './mutants.js';
import type { Outbox } from './outbox.js';
import { outranks } from './round.js';
import { foldRequest, newSessionTable, type Remembered, type SessionTable } from './sessions.js';
import type { AgentState } from './state.js';

/** What an agent knows to be chosen (spec.md, "Learning and catch-up"). Accepted is not chosen. */
export interface LearnerState {
  /** Every entry below this is chosen and folded. Never goes back. */
  committed: Entry;
  /** The commit index as last written to the journal; at most `committed`. */
  recorded: Entry;
  /** Chosen decrees from `retained` on: those behind the commit index still in memory, and those beyond a hole. */
  readonly chosen: EntryPages<Decree>;
  /** Chosen entries below this are in the journal only. At most `committed`. */
  retained: Entry;
  /** Total length of the values from `retained` to `committed`. */
  retained_length: number;
  /** The notice of the highest round: its leader says that every entry below `committed` is chosen. */
  notice: Notice | undefined;
  /** The exactly-once table at `committed`. */
  readonly sessions: SessionTable;
  /** One bit per entry below `committed`: set if it was executed, clear for no-ops and skipped duplicates. */
  executed: Uint8Array;
}

export interface Notice {
  readonly round: Round;
  readonly from: AgentIndex;
  readonly committed: Entry;
}

/** What became of an entry when it was folded. */
export interface Folded {
  readonly entry: Entry;
  readonly decree: Decree;
  /** `new`: executed here. `executed`: a duplicate of that entry. `forgotten`: skipped. `no-op`: nothing to do. */
  readonly verdict: Remembered | { readonly kind: 'no-op' };
}

export function newLearner(): LearnerState {
  return {
    committed: entryOf(0),
    recorded: entryOf(0),
    chosen: new EntryPages(),
    retained: entryOf(0),
    retained_length: 0,
    notice: undefined,
    sessions: newSessionTable(),
    executed: new Uint8Array(1024),
  };
}

type Learning = Pick<AgentState, 'learner' | 'acceptor' | 'loaded'>;

export function isCommitted(agent: Learning, entry: Entry): boolean {
  return entry < agent.learner.committed;
}

/** Whether an entry is known chosen, in memory or not. */
export function isKnownChosen(agent: Learning, entry: Entry): boolean {
  return isCommitted(agent, entry) || agent.learner.chosen.has(entry);
}

/** Whether an entry has to be loaded from the journal before anything can be said about it. */
export function mustBeLoaded(agent: Learning, entry: Entry): boolean {
  return entry < agent.learner.retained && agent.loaded?.entry !== entry;
}

/** The chosen decree at `entry`, if it is known and in memory or just loaded. */
export function chosenDecree(agent: Learning, entry: Entry): Decree | undefined {
  if (agent.loaded?.entry === entry) return agent.loaded.decree;
  return agent.learner.chosen.get(entry);
}

export function wasExecuted(learner: LearnerState, entry: Entry): boolean {
  return entry < learner.committed && ((learner.executed[entry >> 3] ?? 0) & (1 << (entry & 7))) !== 0;
}

/** Takes a decree as chosen. Two different ones for an entry are the end of all safety: the agent stops. */
export function learnChosen(learner: LearnerState, entry: Entry, decree: Decree): void {
  if (entry < learner.retained) return;
  const known = learner.chosen.get(entry);
  assertInvariant(known === undefined || sameDecree(known, decree), 'one decree is chosen per entry', {
    entry,
  });
  if (known === undefined) learner.chosen.set(entry, decree);
}

/**
 * A notice arrived. It counts from the owner of its round only, and not below the promise; what was accepted at that
 * very round below its index is chosen (spec.md, "Learning and catch-up").
 */
export function onNotice(agent: Learning, out: Outbox, notice: Notice): void {
  const { promised } = agent.acceptor;
  if (outranks(promised.round, notice.round)) return;
  if (promised.round === notice.round && promised.owner !== notice.from) {
    out.ignore('foreign-notice', 'a notice came from an agent that does not own its round', {
      from: notice.from,
    });
    return;
  }
  const { learner } = agent;
  const before = learner.notice;
  if (before !== undefined && outranks(before.round, notice.round)) return;
  const goesOn = before?.round === notice.round && before.from === notice.from;
  if (goesOn && notice.committed <= before.committed) return;
  learner.notice = notice;
  markAccepted(agent, goesOn ? before.committed : learner.committed);
}

/** Marks what was accepted at the notice's round, from `first` up to its index. */
function markAccepted(agent: Learning, first: Entry): void {
  const { learner, acceptor } = agent;
  if (learner.notice === undefined) return;
  const start = Math.max(first, learner.committed);
  const end = Math.min(learner.notice.committed, acceptor.length);
  if (end - start > acceptor.accepted.size) {
    for (const entry of acceptor.accepted.keys())
      if (entry >= start && entry < end) markIfNoticed(agent, entry);
  } else {
    for (let entry = start; entry < end; entry++) markIfNoticed(agent, entryOf(entry));
  }
}

/** An acceptance is chosen if the notice of its very round, from its owner, covers its entry. */
export function markIfNoticed(agent: Learning, entry: Entry): void {
  const { learner, acceptor } = agent;
  const { notice } = learner;
  if (notice === undefined || entry >= notice.committed || entry < learner.retained) return;
  const acceptance = acceptor.accepted.get(entry);
  if (acceptance === undefined) return;
  const isOfNotice = acceptance.round === notice.round && acceptance.owner === notice.from;
  if (!isOfNotice && !mutants.notice_of_any_round) return;
  learnChosen(learner, entry, acceptance.decree);
}

/** Moves the commit index over everything chosen without a hole, folding each entry. */
export function advance(learner: LearnerState): Folded[] {
  const folded: Folded[] = [];
  for (;;) {
    const entry = learner.committed;
    const decree = learner.chosen.get(entry);
    if (decree === undefined) return folded;
    folded.push({ entry, decree, verdict: fold(learner, entry, decree) });
    learner.committed = entryOf(entry + 1);
    learner.retained_length += lengthOf(decree);
  }
}

function fold(learner: LearnerState, entry: Entry, decree: Decree): Folded['verdict'] {
  if (isNoOp(decree)) return { kind: 'no-op' };
  const verdict = foldRequest(learner.sessions, decree.id, decree.no, entry);
  if (verdict.kind === 'new') markExecuted(learner, entry);
  return verdict;
}

function markExecuted(learner: LearnerState, entry: Entry): void {
  const byte = entry >> 3;
  if (byte >= learner.executed.length) {
    const larger = new Uint8Array(Math.max(byte + 1, learner.executed.length * 2));
    larger.set(learner.executed);
    learner.executed = larger;
  }
  learner.executed[byte] = (learner.executed[byte] ?? 0) | (1 << (entry & 7));
}

/** Forgets chosen entries that lie far behind the commit index; the journal has them. */
export function evict(agent: Pick<AgentState, 'learner' | 'acceptor'>): void {
  const { learner, acceptor } = agent;
  while (
    learner.retained < learner.committed &&
    (learner.committed - learner.retained > RETAINED_ENTRIES ||
      learner.retained_length > RETAINED_VALUE_LENGTH)
  ) {
    const entry = learner.retained;
    const decree = learner.chosen.get(entry);
    if (decree !== undefined) learner.retained_length -= lengthOf(decree);
    learner.chosen.delete(entry);
    forget(acceptor, entry);
    learner.retained = entryOf(entry + 1);
  }
}
