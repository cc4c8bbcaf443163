import type { Address } from '../core/address.js';
import type { Decree } from '../core/decree.js';
import type { Entry } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import { digits, moveTo, place, stands } from './cursor.js';
import { encodeMessage, openingOf } from './encode.js';

/** How the texts begin that hold a decree. */
const VOTE = Buffer.from(`{"type":${MessageType.AcceptRequest},`);
const LEARNT = Buffer.from(`{"type":${MessageType.LogResponse},`);

const REQUEST = Buffer.from(',"request":{');
const ENTRY = Buffer.from(',"entry":');
const ROUND = Buffer.from(',"round":');
const VALUE = Buffer.from(',"value":"');
const END = Buffer.from('"}');

const CLOSING_BRACE = 0x7d;
const NEWLINE = 0x0a;

const NOTHING = Buffer.alloc(0);

/** What is shorter is copied byte by byte: asking the platform takes longer. */
const SHORT = 96;

/**
 * The LogResponses by which a node passes on what is chosen, one line behind the other. They are cut out of what
 * `encodeMessage` wrote of an AcceptRequest or a LogResponse for the same entry: these have all but the round and the
 * sender in common.
 */
export class RelayedLines {
  readonly #from: Address;
  /** How each line begins. */
  readonly #opening: Buffer;
  /** How the last message began, to where its request is open: the next one does, too, nearly always. */
  #beginning: Buffer | undefined;
  readonly #expected_bytes: number;
  /** Made when the first line comes. */
  #lines: Buffer = NOTHING;
  #length = 0;
  #entries = 0;

  /** `expected_bytes`: how much room they need, about. */
  constructor(from: Address, expected_bytes: number) {
    this.#from = from;
    this.#expected_bytes = expected_bytes;
    this.#opening = Buffer.from(openingOf(MessageType.LogResponse, from));
  }

  /** How many lines there are. */
  get entries(): number {
    return this.#entries;
  }

  /** All of them. */
  get bytes(): Buffer {
    return this.#lines.subarray(0, this.#length);
  }

  /** Writes the line for an entry. */
  take({ entry, decree }: { readonly entry: Entry; readonly decree: Decree }): void {
    const response = { type: MessageType.LogResponse, request: decree, entry, value: decree.value } as const;
    const line = `${encodeMessage(response, this.#from)}\n`;
    this.#makeRoom(Buffer.byteLength(line));
    this.#length += this.#lines.write(line, this.#length);
    this.#entries++;
  }

  /**
   * Passes on what is chosen for `entry`, out of the message in `bytes` from `start` up to `end`. False if that isn't of
   * the usual shape: then it has to be read, and written.
   */
  pass(bytes: Buffer, start: number, end: number, entry: Entry): boolean {
    moveTo(start);
    if (this.#beginning === undefined || !stands(bytes, this.#beginning)) {
      const beginning = beginningOf(bytes, start, end);
      if (beginning === undefined) return false;
      this.#beginning = beginning;
      moveTo(start + beginning.length);
    }
    const request = place();
    // In a request of the log there are numbers and `true` only: the next brace is its own.
    let close = request;
    while (close < end && bytes[close] !== CLOSING_BRACE) close++;
    moveTo(close + 1);
    if (!stands(bytes, ENTRY) || digits(bytes) !== entry) return false;
    const named = place();
    if (stands(bytes, ROUND) && digits(bytes) === 0) return false;
    const rest = place();
    if (!endsWell(bytes, end)) return false;
    this.#append(bytes, request, named, rest, end);
    return true;
  }

  /** A line of the bytes from `request` up to `named`, and from `rest` up to `end`. */
  #append(bytes: Buffer, request: number, named: number, rest: number, end: number): void {
    this.#makeRoom(this.#opening.length + named - request + end - rest + 1);
    this.#copy(this.#opening, 0, this.#opening.length);
    this.#copy(bytes, request, named);
    this.#copy(bytes, rest, end);
    this.#lines[this.#length++] = NEWLINE;
    this.#entries++;
  }

  #copy(bytes: Buffer, from: number, to: number): void {
    const lines = this.#lines;
    const shift = this.#length - from;
    if (to - from > SHORT) bytes.copy(lines, this.#length, from, to);
    else for (let i = from; i < to; i++) lines[i + shift] = bytes[i] ?? 0;
    this.#length += to - from;
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#lines.length) return;
    const needed = this.#length + bytes;
    const isFirst = this.#length === 0;
    const larger = Buffer.allocUnsafe(isFirst ? Math.max(this.#expected_bytes, needed) : 2 * needed);
    this.#lines.copy(larger, 0, 0, this.#length);
    this.#lines = larger;
  }
}

/** What stands before the first field of the request. */
function beginningOf(bytes: Buffer, start: number, end: number): Buffer | undefined {
  moveTo(start);
  if (!stands(bytes, VOTE) && !stands(bytes, LEARNT)) return undefined;
  const request = bytes.indexOf(REQUEST, place() - 1);
  const behind = request + REQUEST.length;
  return request < 0 || behind > end ? undefined : Buffer.from(bytes.subarray(start, behind));
}

/** Whether there is a value up to the end, or nothing more. */
function endsWell(bytes: Buffer, end: number): boolean {
  const rest = place();
  if (bytes[rest] === CLOSING_BRACE) return rest === end - 1;
  if (!stands(bytes, VALUE) || place() > end - END.length) return false;
  moveTo(end - END.length);
  return stands(bytes, END);
}
