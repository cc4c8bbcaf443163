import type { Address } from '../core/address.js';
import { MessageType } from '../core/message.js';
import { moveTo, place, skipString, stands } from './cursor.js';
import { openingOf } from './encode.js';
import { readHead, REQUEST_ID, ValueLine } from './value-line.js';

/**
 * A short cut for a node that reads the log of a peer from far behind: a LogResponse is read from the bytes that came,
 * and becomes neither a text nor a message. Of its decree only the numbers are read; the value stays where it is, as
 * hardly anybody asks for it, and what the journal is to hold of it stands there already. A line is taken only if it is
 * to the byte what `encodeMessage` writes (test/wire/chosen-line.test.ts); any other is left to the codec.
 */

const VALUE = Buffer.from(',"value":"');
const END = Buffer.from('"}\n');

/** A decree as it came. */
export class ChosenLine extends ValueLine {
  /** Behind the line, without its newline. */
  get end(): number {
    return this.value_end + 1;
  }

  override toJSON(): object {
    const { id, no, entry, value } = this;
    return { id, no, entry, value };
  }
}

/** Reads the lines that come from one peer. */
export class ChosenLineReader {
  readonly #from: Address;
  readonly #opening: Buffer;

  constructor(from: Address) {
    this.#from = from;
    this.#opening = Buffer.from(openingOf(MessageType.LogResponse, from) + REQUEST_ID);
  }

  /** The line that begins at `start`, if it is all there and of the usual shape. */
  read(bytes: Buffer, start: number): ChosenLine | undefined {
    moveTo(start);
    const head = readHead(bytes, this.#opening);
    if (head === undefined || !stands(bytes, VALUE)) return undefined;
    const value_start = place() - 1;
    if (!skipString(bytes) || place() === value_start + 1 || !stands(bytes, END)) return undefined;
    return new ChosenLine(head, this.#from, bytes, start, value_start, place() - 2);
  }
}
