import { lengthOf, type Decree } from './decree.js';
import type { EntryPages } from './entry-pages.js';
import type { AgentIndex, Entry, Round } from './ids.js';
import { MAX_HELD_ENTRIES, MAX_HELD_LENGTH } from './limits.js';

export interface Acceptance {
  /** At most `promised.round`: nothing is accepted below a promise, and accepting raises it. */
  readonly round: Round;
  readonly owner: AgentIndex;
  readonly decree: Decree;
}

/** What an acceptor keeps in memory of what it has accepted. */
export interface Acceptances {
  /** From the learner's `retained` on; sparse. */
  readonly accepted: EntryPages<Acceptance>;
  /** Total length of the values in it. */
  held_length: number;
}

export function keep(held: Acceptances, entry: Entry, acceptance: Acceptance): void {
  held.held_length += lengthOf(acceptance.decree) - lengthAt(held, entry);
  held.accepted.set(entry, acceptance);
}

/** Forgets an acceptance, which the journal has. */
export function forget(held: Acceptances, entry: Entry): void {
  held.held_length -= lengthAt(held, entry);
  held.accepted.delete(entry);
}

/** Whether there are more than memory is to hold, as on an agent that has been catching up for long. */
export function isFull({ accepted, held_length }: Acceptances): boolean {
  return accepted.size >= MAX_HELD_ENTRIES || held_length >= MAX_HELD_LENGTH;
}

function lengthAt({ accepted }: Acceptances, entry: Entry): number {
  const held = accepted.get(entry);
  return held === undefined ? 0 : lengthOf(held.decree);
}
