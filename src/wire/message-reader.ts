import { isUtf8 } from 'node:buffer';
import { NO_REQUEST } from '../core/decree.js';
import { decodeMessage, decodePlain, type Decoded } from './codec.js';
import { LineReader, type Framed, type LineReaderOptions } from './framing.js';

const NEWLINE = 0x0a;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/** A message that has come, or why there is none, and how long its text was. */
export interface Taken {
  readonly decoded: Decoded;
  readonly length: number;
}

/**
 * What has come over a connection and waits to be handled: bytes in, messages out, as a `LineReader` and
 * `decodeMessage` read them (test/wire/message-reader.test.ts). Reading is left until a message is asked for.
 *
 * A line that begins and ends as an object is one, nearly always, and in plain text. Then nobody has to look for its
 * end bracket by bracket.
 */
export class MessageReader {
  readonly #options: LineReaderOptions;
  readonly #lines: LineReader;
  /** What waits is from `#next` on. A mere string is a line that nobody has looked into. */
  #waiting: (Framed | string)[] = [];
  #next = 0;
  /** What the line that was looked into last holds and was not taken yet, the last first. */
  #found: Framed[] = [];

  constructor(options: LineReaderOptions) {
    this.#options = options;
    this.#lines = new LineReader(options);
  }

  /** How many texts wait, about: a line may hold more than one. */
  get waiting(): number {
    return this.#waiting.length - this.#next + this.#found.length;
  }

  /** Whether no text is under way: what comes next begins one. */
  get isBetween(): boolean {
    return this.#lines.isBetween;
  }

  /** Takes what has come. */
  put(chunk: Buffer): void {
    let start = 0;
    if (!this.#lines.isBetween) {
      // The rest of a line of which the scanner knows the beginning.
      start = chunk.indexOf(NEWLINE) + 1;
      this.#read(start === 0 ? chunk : chunk.subarray(0, start));
      if (start === 0) return;
    }
    const rest = start === 0 ? chunk : chunk.subarray(start);
    if (rest.length > this.#options.max_line_bytes || !isUtf8(rest)) this.#read(rest);
    else this.#putLines(rest);
  }

  /** The stream has ended. */
  end(): void {
    for (const framed of this.#lines.end()) this.#waiting.push(framed);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = [];
    this.#next = 0;
    this.#found = [];
  }

  /** The oldest message that waits. */
  take(): Taken | undefined {
    const oldest = this.#found.pop() ?? this.#waiting[this.#next++];
    if (this.#next >= this.#waiting.length) {
      this.#waiting = [];
      this.#next = 0;
    }
    if (oldest === undefined) return undefined;
    if (typeof oldest !== 'string') return { decoded: decodedOf(oldest), length: oldest.text.length };
    const decoded = decodePlain(oldest);
    if (decoded !== undefined) return { decoded, length: oldest.length };
    this.#found = new LineReader(this.#options).read(Buffer.from(`${oldest}\n`)).reverse();
    return this.take();
  }

  #putLines(chunk: Buffer): void {
    let start = 0;
    for (let newline = chunk.indexOf(NEWLINE); newline >= 0; newline = chunk.indexOf(NEWLINE, start)) {
      if (chunk[start] === OPENING_BRACE && chunk[newline - 1] === CLOSING_BRACE)
        this.#waiting.push(chunk.toString('utf8', start, newline));
      else this.#read(chunk.subarray(start, newline + 1));
      start = newline + 1;
    }
    if (start < chunk.length) this.#read(chunk.subarray(start));
  }

  #read(bytes: Buffer): void {
    for (const framed of this.#lines.read(bytes)) this.#waiting.push(framed);
  }
}

function decodedOf(framed: Framed): Decoded {
  return framed.ok ? decodeMessage(framed.text) : { ...framed, request: NO_REQUEST };
}
