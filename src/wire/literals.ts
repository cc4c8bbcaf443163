/**
 * The JSON texts of values, kept for a while. A value is read once and written several times on its way: for the other
 * agents, for the journal, for the application. Finding its text again costs less than making it.
 *
 * A value has one place among these, which it shares with others: the latest stays. So nothing has to be kept in order
 * or thrown away, and no more is kept than there are places.
 */

/** Places; more than the values that one turn of a busy node handles. A power of two. */
const PLACES = 1024;

/**
 * Texts longer than this have fewer places. A kept text may hold all that it was cut from, a datagram or 64 KiB of a
 * connection: 64 MiB if no two were neighbours, and a few usually.
 */
const LONG = 1024;

/** Places for long texts: 8 MiB of the longest values. A power of two. */
const LONG_PLACES = 128;

/** An escape that JSON.stringify might not have chosen: any but those of quotes and backslashes. */
const UNUSUAL_ESCAPE = /\\[^"\\]/;

const values = new Array<string>(PLACES + LONG_PLACES).fill('');
const literals = new Array<string>(PLACES + LONG_PLACES).fill('""');

/** Drawn from the length and a few characters, most of them at the end, where values differ most often. */
function placeOf(value: string): number {
  const { length } = value;
  let place = length;
  for (let back = 1; back <= 5; back++) place = Math.imul(place, 31) + (value.charCodeAt(length - back) | 0);
  for (let part = 1; part <= 4; part++)
    place = Math.imul(place, 31) + (value.charCodeAt((length * part) >> 3) | 0);
  place ^= place >>> 11;
  return length < LONG ? place & (PLACES - 1) : PLACES + (place & (LONG_PLACES - 1));
}

/** `value` as JSON.stringify writes it. */
export function literalOf(value: string): string {
  const place = placeOf(value);
  const known = values[place];
  const literal = literals[place];
  if (known === value && literal !== undefined) return literal;
  const made = JSON.stringify(value);
  keep(place, value, made);
  return made;
}

/** Keeps the literal that a value was read from, if JSON.stringify would write the same; tells whether it would. */
export function rememberLiteral(value: string, literal: string): boolean {
  const isPlain = literal.length === value.length + 2;
  if (!isPlain && UNUSUAL_ESCAPE.test(literal)) return false;
  keep(placeOf(value), value, literal);
  return true;
}

function keep(place: number, value: string, literal: string): void {
  values[place] = value;
  literals[place] = literal;
}
