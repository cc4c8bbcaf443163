import type { Address } from '../core/address.js';
import { entry, round } from '../core/ids.js';
import { MAX_ROUND } from '../core/limits.js';
import { MessageType } from '../core/message.js';
import { digits, moveTo, place, skipString, stands } from './cursor.js';
import { WIDE_BYTES } from './datagram.js';
import { openingOf } from './encode.js';
import { ProposalLine } from './proposal-line.js';
import { readHead, REQUEST_ID } from './value-line.js';

/**
 * A short cut for followers: a leader's AcceptRequests are read from the bytes of their datagram, or of their line in a
 * journal, which become neither texts nor plain messages. Taken is only a line that is to the byte what `encodeMessage`
 * writes (test/wire/proposal-line.test.ts); any other is left to the codec.
 */

const NEWLINE = 0x0a;

const ROUND = Buffer.from(',"round":');
const VALUE = Buffer.from(',"value":"');
const QUOTE = Buffer.from('"');
const COMMITTED = Buffer.from(',"committed":');
const END = Buffer.from('}');

/** Reads the AcceptRequests of one agent. */
export class ProposalReader {
  readonly #from: Address;
  readonly #opening: Buffer;
  readonly #body_at: number;

  constructor(from: Address) {
    this.#from = from;
    this.#opening = Buffer.from(openingOf(MessageType.AcceptRequest, from) + REQUEST_ID);
    this.#body_at = this.#opening.indexOf(',"request":');
  }

  /**
   * The AcceptRequests of a datagram in which there is nothing else, each of the usual shape; undefined for any other.
   * What is kept of one keeps the whole datagram in memory: so only one that is no larger than agents make them may hold
   * several.
   */
  readAll(datagram: Buffer): ProposalLine[] | undefined {
    const lines: ProposalLine[] = [];
    for (let start = 0; ;) {
      const line = this.read(datagram, start);
      if (line === undefined) return undefined;
      lines.push(line);
      const end = place();
      if (end === datagram.length) return lines;
      if (datagram[end] !== NEWLINE || datagram.length > WIDE_BYTES) return undefined;
      start = end + 1;
    }
  }

  /** The AcceptRequest that begins at `start`, if it is of the usual shape; it ends at `place()`. */
  read(bytes: Buffer, start: number): ProposalLine | undefined {
    moveTo(start);
    const head = readHead(bytes, this.#opening);
    if (head === undefined) return undefined;
    const at_round = numberBehind(bytes, ROUND);
    if (at_round < 0 || at_round >= MAX_ROUND || !stands(bytes, VALUE)) return undefined;
    const value_start = place() - 1;
    if (!skipString(bytes) || place() === value_start + 1 || !stands(bytes, QUOTE)) return undefined;
    const value_end = place();
    const committed = numberBehind(bytes, COMMITTED);
    if (committed < 0 || !stands(bytes, END)) return undefined;
    return new ProposalLine(
      head,
      round(at_round),
      entry(committed),
      this.#from,
      bytes,
      start,
      start + this.#body_at,
      value_start,
      value_end,
    );
  }
}

/** A number that is left out where it is zero; −1 if it is written in another way. */
function numberBehind(bytes: Buffer, name: Buffer): number {
  if (!stands(bytes, name)) return 0;
  const n = digits(bytes);
  return n === 0 ? -1 : n;
}
