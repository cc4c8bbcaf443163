import { lengthOf, type Decree } from '../core/decree.js';
import { entry as entryOf, NO_ROUND, type Entry } from '../core/ids.js';
import { wasExecuted } from '../core/learner.js';
import type { StoredEntry } from '../core/record.js';
import { recall } from '../core/sessions.js';
import type { AgentState } from '../core/state.js';
import type { Journal } from '../journal/journal.js';
import type { AppSource, ReadLimit } from '../net/app-stream.js';
import { RelayedLines } from '../wire/relay.js';

/** The chosen log as applications, followers and catching-up agents see it: from memory where it is, else from disk. */
export function logSource(state: AgentState, journal: Pick<Journal, 'readRange' | 'readInto'>): AppSource {
  const { learner } = state;
  const self = state.config.agents[state.config.self];
  if (self === undefined) throw new Error('the agent is not among its cluster');
  /** The journal also holds what is only accepted. */
  const withinChosen = (first: Entry, { entries, bytes }: ReadLimit): ReadLimit => ({
    entries: Math.min(entries, learner.committed - first),
    bytes,
  });
  return {
    committed: () => learner.committed,
    isExecuted: (entry) => wasExecuted(learner, entry),
    isRemembered: (entry, decree) => isWanted(state, entry, decree),
    read: async (first, limit) => {
      const kept = fromMemory(state, first, limit);
      if (kept.length > 0) return kept;
      return journal.readRange(first, withinChosen(first, limit));
    },
    readLines: async (first, limit) => {
      const chosen = withinChosen(first, limit);
      const lines = new RelayedLines(self, chosen.entries * LINE_BYTES);
      const kept = fromMemory(state, first, limit);
      for (const stored of kept) if (lines.bytes.length < limit.bytes) lines.take(stored);
      if (kept.length === 0) await journal.readInto(first, chosen, lines);
      return lines;
    },
  };
}

/** What the line of a usual entry takes. */
const LINE_BYTES = 256;

/** Whether somebody may still ask for the answer of an entry, or waits for it now. */
function isWanted(state: AgentState, entry: Entry, decree: Decree): boolean {
  if (state.clients.answers.waiters.has(entry)) return true;
  const known = recall(state.learner.sessions, decree.id, decree.no);
  return known.kind === 'executed' && known.entry === entry;
}

function fromMemory(state: AgentState, first: Entry, limit: ReadLimit): StoredEntry[] {
  const { learner } = state;
  const found: StoredEntry[] = [];
  if (first < learner.retained) return found;
  let bytes = 0;
  for (
    let e: number = first;
    e < learner.committed && found.length < limit.entries && bytes < limit.bytes;
    e++
  ) {
    const decree = learner.chosen.get(entryOf(e));
    if (decree === undefined) break;
    found.push({ entry: entryOf(e), round: NO_ROUND, decree });
    bytes += lengthOf(decree);
  }
  return found;
}
