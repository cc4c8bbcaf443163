import type { Request } from '../core/decree.js';
import type { Entry, Round } from '../core/ids.js';

/**
 * What an AcceptRequest and the Accepted that answers it have in common is the same text: `request`, `entry`, `round`
 * and `value`. It is also what a journal writes down of a vote. So it is put together once, kept for a while, and
 * recognised when a peer says it again.
 */
export interface Body {
  readonly request: Request;
  readonly entry: Entry;
  readonly round: Round;
  readonly value: string;
  readonly text: string;
}

/** Places, one for each entry modulo their number: more than a busy leader has in flight. A power of two. */
const PLACES = 2048;

/** Longer texts have fewer places. */
const LONG = 2048;

/** Places for long texts: 8 MiB of the longest values. A power of two. */
const LONG_PLACES = 128;

const bodies = new Array<Body | undefined>(PLACES).fill(undefined);
const long_bodies = new Array<Body | undefined>(LONG_PLACES).fill(undefined);

/** The text that is kept for exactly this vote. */
export function keptBody(request: Request, entry: Entry, round: Round, value: string): string | undefined {
  const kept = bodyAt(entry);
  if (kept === undefined || kept.round !== round || kept.value !== value) return undefined;
  const { id, no, noset } = kept.request;
  return id === request.id && no === request.no && noset === request.noset ? kept.text : undefined;
}

export function keepBody(body: Body): void {
  if (body.text.length <= LONG) bodies[body.entry & (PLACES - 1)] = body;
  else {
    bodies[body.entry & (PLACES - 1)] = undefined;
    long_bodies[body.entry & (LONG_PLACES - 1)] = body;
  }
}

/** What is kept for an entry, whatever it is. */
export function bodyAt(entry: number): Body | undefined {
  const kept = bodies[entry & (PLACES - 1)] ?? long_bodies[entry & (LONG_PLACES - 1)];
  return kept?.entry === entry ? kept : undefined;
}
