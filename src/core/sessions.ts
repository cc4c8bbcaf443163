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
  /** Ids at or below this that are not in the table are forgotten, never new. */
  floor: number;
}

export interface Session {
  /** The greatest executed numbers, each with its entry. */
  readonly entries: Map<RequestNumber, Entry>;
  /** Numbers at or below this that are not in `entries` are forgotten; −1 at first. */
  floor: number;
  /** The last number that was executed. */
  last: number;
  /** Whether every number was above the one before: then the lowest of `entries` is its first. */
  ascending: boolean;
}

/** What the table knows of a request. `new`: never executed. `executed`: at `entry`. `forgotten`: can't tell. */
export type Remembered =
  | { readonly kind: 'new' }
  | { readonly kind: 'executed'; readonly entry: Entry }
  | { readonly kind: 'forgotten' };

const NEW: Remembered = { kind: 'new' };
const FORGOTTEN: Remembered = { kind: 'forgotten' };

export function newSessionTable(): SessionTable {
  return { sessions: new Map(), floor: 0 };
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
  table.sessions.delete(id);
  table.sessions.set(id, session);
  session.entries.set(no, entry);
  session.ascending &&= no > session.last;
  session.last = no;
  if (session.entries.size > MAX_NUMBERS_PER_SESSION) dropLowestNumber(session);
  if (table.sessions.size > MAX_SESSIONS) dropOldestSession(table);
  return NEW;
}

function newSession(): Session {
  return { entries: new Map(), floor: -1, last: -1, ascending: true };
}

function dropLowestNumber(session: Session): void {
  // None is at or below the floor, and most clients count without gaps: then the lowest is known without a search.
  let lowest = session.floor + 1;
  if (!session.entries.has(lowest as RequestNumber)) {
    lowest = Infinity;
    for (const no of session.entries.keys()) {
      if (no < lowest) lowest = no;
      if (session.ascending) break;
    }
  }
  session.entries.delete(lowest as RequestNumber);
  session.floor = lowest;
}

function dropOldestSession(table: SessionTable): void {
  for (const id of table.sessions.keys()) {
    table.sessions.delete(id);
    table.floor = Math.max(table.floor, id);
    return;
  }
}
