import type { Address } from '../core/address.js';
import type { Decree } from '../core/decree.js';
import {
  clientId,
  entry,
  requestNumber,
  type ClientId,
  type Entry,
  type RequestNumber,
} from '../core/ids.js';
import { digits, moveTo, place, stands } from './cursor.js';
import { responseOpening } from './encode.js';

/**
 * A short cut for a node that reads the log of a peer from far behind: a LogResponse is read from the bytes that came,
 * and becomes neither a text nor a message. Of its decree only the numbers are read; the value stays where it is, as
 * hardly anybody asks for it, and what the journal is to hold of it stands there already. A line is taken only if it is
 * to the byte what `encodeMessage` writes (test/wire/chosen-line.test.ts); any other is left to the codec.
 */

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

const NUMBER = Buffer.from(',"no":');
const INSIDE = Buffer.from(',"entry":');
const OUTSIDE = Buffer.from('},"entry":');
const VALUE = Buffer.from(',"value":"');
const END = Buffer.from('"}\n');

/** A decree as it came. */
export class ChosenLine implements Decree {
  readonly noset = false;

  constructor(
    readonly id: ClientId,
    readonly no: RequestNumber,
    readonly entry: Entry,
    /** Who passed it on, as the line says. */
    readonly from: Address,
    /** Where the line is: from `start` on up to `end`, without its newline; the value's JSON text from `value_start` on. */
    readonly bytes: Buffer,
    readonly start: number,
    readonly value_start: number,
    readonly end: number,
  ) {}

  get value(): string {
    return JSON.parse(this.bytes.toString('latin1', this.value_start, this.end - 1)) as string;
  }

  /** Of the JSON text. */
  get length(): number {
    return this.end - 1 - this.value_start;
  }
}

/** Reads the lines that come from one peer. */
export class ChosenLineReader {
  readonly #from: Address;
  readonly #opening: Buffer;

  constructor(from: Address) {
    this.#from = from;
    this.#opening = Buffer.from(`${responseOpening(from)}"id":`);
  }

  /** The line that begins at `start`, if it is all there and of the usual shape. */
  read(bytes: Buffer, start: number): ChosenLine | undefined {
    moveTo(start);
    if (!stands(bytes, this.#opening)) return undefined;
    const id = digits(bytes);
    if (!stands(bytes, NUMBER)) return undefined;
    const no = digits(bytes);
    if (!stands(bytes, INSIDE)) return undefined;
    const inside = digits(bytes);
    if (!stands(bytes, OUTSIDE)) return undefined;
    const outside = digits(bytes);
    if (!stands(bytes, VALUE) || id === 0 || no === 0 || inside === 0 || inside !== outside) return undefined;
    const value_start = place() - 1;
    if (!skipString(bytes) || place() === value_start + 1 || !stands(bytes, END)) return undefined;
    return new ChosenLine(
      clientId(id),
      requestNumber(no),
      entry(inside),
      this.#from,
      bytes,
      start,
      value_start,
      place() - 1,
    );
  }
}

/** Goes over a string's characters up to its quote, if it has only such as stand for one byte, and usual escapes. */
function skipString(bytes: Buffer): boolean {
  const { length } = bytes;
  let i = place();
  for (; i < length; i++) {
    const kind = KINDS[bytes[i] ?? 0];
    if (kind === PLAIN) continue;
    if (kind !== ESCAPE || i + 1 === length) break;
    i++;
    if (ESCAPED[bytes[i] ?? 0] !== 1) return false;
  }
  moveTo(i);
  return bytes[i] === QUOTE;
}
