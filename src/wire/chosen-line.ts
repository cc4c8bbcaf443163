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
import { MessageType } from '../core/message.js';
import { digits, moveTo, place, skipString, stands } from './cursor.js';
import { openingOf } from './encode.js';

/**
 * A short cut for a node that reads the log of a peer from far behind: a LogResponse is read from the bytes that came,
 * and becomes neither a text nor a message. Of its decree only the numbers are read; the value stays where it is, as
 * hardly anybody asks for it, and what the journal is to hold of it stands there already. A line is taken only if it is
 * to the byte what `encodeMessage` writes (test/wire/chosen-line.test.ts); any other is left to the codec.
 */

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
    this.#opening = Buffer.from(`${openingOf(MessageType.LogResponse, from)}"id":`);
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
