import { EntryMap } from './entry-map.js';
import { MAX_NUMBERS_PER_SESSION, MAX_SESSIONS } from './limits.js';
import type { ClientId, Entry, RequestNumber } from './ids.js';

import { mutants } from './mutants.js';

/**
 * The exactly-once table (spec.md, "Clients"): which request stands at which entry. It is folded from chosen entries
 * only, in log order, and so it is the same on every agent at the same commit index.
 */
export interface SessionTable {
  /** Sessions in the order of their last executed entry, oldest first. */
  readonly sessions: Map<ClientId, Session>;
  /** The last of them. Requests of a client often follow each other, and moving it behind the others is not cheap. */
  latest: ClientId | undefined;
  /** Ids at or below this that are not in the table are forgotten, never new. */
  floor: number;
}

export interface Session {
  /** The greatest executed numbers, each with its entry. */
  readonly entries: EntryMap<Entry, RequestNumber>;
  /** Numbers at or below this that are not in `entries` are forgotten; −1 at first. */
  floor: number;
}

/** Twice the numbers that a session keeps: room for a client that leaves some out. */
const MAX_SLOTS = 2 * MAX_NUMBERS_PER_SESSION;

/** What the table knows of a request. `new`: never executed. `executed`: at `entry`. `forgotten`: can't tell. */
export type Remembered =
  | { readonly kind: 'new' }
  | { readonly kind: 'executed'; readonly entry: Entry }
  | { readonly kind: 'forgotten' };

const NEW: Remembered = { kind: 'new' };
const FORGOTTEN: Remembered = { kind: 'forgotten' };

export function newSessionTable(): SessionTable {
  return { sessions: new Map(), latest: undefined, floor: 0 };
}

export function recall(table: SessionTable, id: ClientId, no: RequestNumber): Remembered {
  const session = table.sessions.get(id);
  if (session === undefined) return id <= table.floor ? FORGOTTEN : NEW;
  const entry = session.entries.get(no);
  if (entry !== undefined) return { kind: 'executed', entry };
  return no <= session.floor ? FORGOTTEN : NEW;
}

/** Whether a session's requests are all forgotten: it can only be told to begin anew. */
export function isForgotten(table: SessionTable, id: ClientId): boolean {
  return !table.sessions.has(id) && id <= table.floor;
}

/** Folds one chosen client entry in; only what was `new` is executed and changes the table. */
export function foldRequest(table: SessionTable, id: ClientId, no: RequestNumber, entry: Entry): Remembered {
  const known = recall(table, id, no);
  if (known.kind !== 'new' && !mutants.duplicate_executed) return known;
  const session = table.sessions.get(id) ?? newSession();
  if (table.latest !== id) {
    table.sessions.delete(id);
    table.sessions.set(id, session);
    table.latest = id;
  }
  session.entries.set(no, entry);
  if (session.entries.size > MAX_NUMBERS_PER_SESSION) dropLowestNumber(session);
  if (table.sessions.size > MAX_SESSIONS) dropOldestSession(table);
  return NEW;
}

function newSession(): Session {
  return { entries: newNumbers(), floor: -1 };
}

/** The numbers of a session, each with its entry. */
export function newNumbers(numbers: Iterable<readonly [RequestNumber, Entry]> = []): Session['entries'] {
  return new EntryMap<Entry, RequestNumber>(numbers, MAX_SLOTS);
}

function dropLowestNumber(session: Session): void {
  // None is at or below the floor, and most clients count without gaps: then the lowest is known without a search.
  const next = (session.floor + 1) as RequestNumber;
  const lowest = session.entries.has(next) ? next : (session.entries.lowest() ?? next);
  session.entries.delete(lowest);
  session.floor = lowest;
}

function dropOldestSession(table: SessionTable): void {
  for (const id of table.sessions.keys()) {
    table.sessions.delete(id);
    table.floor = Math.max(table.floor, id);
    return;
  }
}
