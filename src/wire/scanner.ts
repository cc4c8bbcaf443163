import { isUtf8 } from 'node:buffer';

/**
 * Finds where texts end in a stream of bytes. A text is an object from its first brace to its last, or else everything
 * up to the newline. It looks at brackets and quotes only, counts brackets instead of stacking them, and keeps at most
 * `max_text_bytes` of an unfinished text.
 */

/** What goes wrong between texts, told in the place where the text would have stood. */
export const Fault = {
  TooLong: 'too-long',
  InvalidUtf8: 'invalid-utf8',
  BrokenByNewline: 'broken-by-newline',
  Unfinished: 'unfinished',
} as const;
export type Fault = (typeof Fault)[keyof typeof Fault];

const TAB = 0x09;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

const NO_BYTES = Buffer.alloc(0);

/** First room for an unfinished text; most texts are shorter. */
const INITIAL_ROOM_BYTES = 1024;

/**
 * Where the scanner is. `between` texts; in an `object`; in a `string` of it; behind a backslash there (`escape`); in
 * `other` text, which ends with the line; or it does `skip` the rest of a line that was too long.
 */
type Place = 'between' | 'object' | 'string' | 'escape' | 'other' | 'skip';

/** What is found: a text, which is valid UTF-8, or a fault. */
export type Found = { readonly text: string } | { readonly fault: Fault };

export class TextScanner {
  readonly #max_text_bytes: number;
  #place: Place = 'between';
  #depth = 0;
  /** The unfinished text of earlier chunks: `#kept_bytes` of the room are in use. */
  #room: Buffer = NO_BYTES;
  #kept_bytes = 0;
  /** What was found in the chunk at hand. */
  #found: Found[] = [];

  constructor(max_text_bytes: number) {
    this.#max_text_bytes = max_text_bytes;
  }

  /** Whether no text is under way: what comes next begins one. */
  get isBetween(): boolean {
    return this.#place === 'between';
  }

  /** What is complete with `chunk`; often nothing. */
  scan(chunk: Buffer): Found[] {
    this.#walk(chunk);
    return this.#takeFound();
  }

  /** What the end of the stream completes. */
  end(): Found[] {
    if (this.#place === 'other') this.#finish(NO_BYTES);
    else if (this.#place !== 'between' && this.#place !== 'skip') this.#report(Fault.Unfinished);
    this.#reset();
    return this.#takeFound();
  }

  #walk(chunk: Buffer): void {
    let start = 0; // of the text under way, as far as it lies in this chunk
    let i = 0;
    while (i < chunk.length) {
      const byte = chunk[i] ?? 0;
      if (byte === NEWLINE) {
        this.#endLine(chunk.subarray(start, i));
        start = ++i;
      } else if (this.#place === 'between') {
        start = this.#begin(byte) ? i : i + 1;
        i++;
      } else if (this.#place === 'other' || this.#place === 'skip') {
        const newline = chunk.indexOf(NEWLINE, i);
        i = newline < 0 ? chunk.length : newline;
      } else {
        i = this.#advance(chunk, i);
        if (this.#depth > 0) continue;
        this.#finish(chunk.subarray(start, i));
        start = i;
      }
    }
    if (this.#place !== 'between') this.#keep(chunk.subarray(start));
  }

  /** The first byte of a text, if it is one. */
  #begin(byte: number): boolean {
    if (byte === SPACE || byte === TAB || byte === CARRIAGE_RETURN) return false;
    this.#place = byte === OPENING_BRACE ? 'object' : 'other';
    this.#depth = 1;
    return true;
  }

  /** Goes on within an object, behind its last byte or up to a newline. All of it in locals: every byte passes here. */
  #advance(chunk: Buffer, from: number): number {
    let place = this.#place;
    let depth = this.#depth;
    let i = from;
    for (; i < chunk.length && depth > 0; i++) {
      const byte = chunk[i];
      if (byte === NEWLINE) break;
      if (place === 'string') {
        if (byte === QUOTE) place = 'object';
        else if (byte === BACKSLASH) place = 'escape';
      } else if (place === 'escape') place = 'string';
      else if (byte === QUOTE) place = 'string';
      else if (byte === OPENING_BRACE || byte === OPENING_BRACKET) depth++;
      else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth--;
    }
    this.#place = place;
    this.#depth = depth;
    return i;
  }

  /** A newline: where reading resumes, whatever came before it. */
  #endLine(rest: Buffer): void {
    if (this.#place === 'other') {
      this.#finish(rest);
    } else if (this.#place !== 'between' && this.#place !== 'skip') {
      const too_long = this.#kept_bytes + rest.length > this.#max_text_bytes;
      this.#report(too_long ? Fault.TooLong : Fault.BrokenByNewline);
    }
    this.#reset();
  }

  /** A text is complete: what was kept of it, and `rest`. */
  #finish(rest: Buffer): void {
    const size_bytes = this.#kept_bytes + rest.length;
    if (size_bytes > this.#max_text_bytes) {
      this.#abandon();
      return;
    }
    if (this.#kept_bytes > 0) this.#append(rest);
    const text = this.#kept_bytes > 0 ? this.#room.subarray(0, this.#kept_bytes) : rest;
    // toString keeps a byte order mark: such a text is refused, not repaired.
    if (isUtf8(text)) this.#found.push({ text: text.toString('utf8') });
    else this.#report(Fault.InvalidUtf8);
    this.#reset();
  }

  #report(fault: Fault): void {
    this.#found.push({ fault });
  }

  #reset(): void {
    this.#place = 'between';
    this.#depth = 0;
    // Room that a long text took is not kept for the short ones that follow.
    if (this.#room.length > INITIAL_ROOM_BYTES) this.#room = NO_BYTES;
    this.#kept_bytes = 0;
  }

  /** A text is too long: said once, and then nothing is taken up to the next newline. */
  #abandon(): void {
    this.#report(Fault.TooLong);
    this.#reset();
    this.#place = 'skip';
  }

  /** Keeps the end of a chunk, where a text is under way. */
  #keep(rest: Buffer): void {
    if (this.#place === 'skip') return;
    if (this.#kept_bytes + rest.length > this.#max_text_bytes) this.#abandon();
    else this.#append(rest);
  }

  /** Copies into room that doubles, so that a text which comes byte by byte costs no more than one that comes whole. */
  #append(rest: Buffer): void {
    const needed_bytes = this.#kept_bytes + rest.length;
    if (needed_bytes > this.#room.length) {
      const doubled_bytes = Math.max(2 * this.#room.length, INITIAL_ROOM_BYTES);
      const room = Buffer.allocUnsafe(Math.max(needed_bytes, Math.min(doubled_bytes, this.#max_text_bytes)));
      this.#room.copy(room, 0, 0, this.#kept_bytes);
      this.#room = room;
    }
    rest.copy(this.#room, this.#kept_bytes);
    this.#kept_bytes = needed_bytes;
  }

  #takeFound(): Found[] {
    const found = this.#found;
    if (found.length > 0) this.#found = [];
    return found;
  }
}
