/**
 * Reading bytes one after the other, for what would be slow as a text. There is one place that is being read, as nothing
 * is read halfway: who begins says where.
 */

const ZERO = 0x30;

/** Numbers of so many digits are safe integers. */
const MAX_DIGITS = 15;

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const TILDE = 0x7e;

/** What a byte in a string is: a character, the beginning of an escape, or neither. */
const PLAIN = 1;
const ESCAPE = 2;
const KINDS = new Uint8Array(256).fill(PLAIN, SPACE, TILDE + 1);
KINDS[QUOTE] = 0;
KINDS[BACKSLASH] = ESCAPE;

/** 1 for what JSON.stringify puts behind a backslash, but for characters that have no letter of their own. */
const ESCAPED = new Uint8Array(256);
for (const letter of Buffer.from('"\\bfnrt')) ESCAPED[letter] = 1;

let at = 0;

/** Begins there. */
export function moveTo(place: number): void {
  at = place;
}

/** Behind what was read last. */
export function place(): number {
  return at;
}

/** Goes over what is to stand there, if it does. */
export function stands(bytes: Buffer, piece: Uint8Array): boolean {
  const start = at;
  const { length } = piece;
  if (start + length > bytes.length) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== piece[i]) return false;
  at = start + length;
  return true;
}

/**
 * A number as JSON writes it, without sign, point or exponent, and of up to 15 digits. 0 if there is none: zero itself is
 * left out where numbers are written.
 */
export function digits(bytes: Buffer): number {
  const start = at;
  const most = Math.min(bytes.length, start + MAX_DIGITS);
  let n = 0;
  let i = start;
  for (; i < most; i++) {
    const digit = (bytes[i] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) break;
    n = n * 10 + digit;
  }
  at = i;
  return bytes[start] === ZERO ? 0 : n;
}

/** Goes over a string's characters up to its quote, if it has only such as stand for one byte, and usual escapes. */
export function skipString(bytes: Buffer): boolean {
  const { length } = bytes;
  let i = at;
  for (; i < length; i++) {
    const kind = KINDS[bytes[i] ?? 0];
    if (kind === PLAIN) continue;
    if (kind !== ESCAPE || i + 1 === length) break;
    i++;
    if (ESCAPED[bytes[i] ?? 0] !== 1) return false;
  }
  at = i;
  return bytes[i] === QUOTE;
}
