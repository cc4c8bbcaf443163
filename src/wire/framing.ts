import { Transform, type Duplex } from 'node:stream';
import type { ErrorCode } from '../core/errors.js';
import { Fault, TextScanner, type Found } from './scanner.js';

/** A text to decode, or why there is none. */
export type Framed =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly code: ErrorCode; readonly text: string };

export interface LineReaderOptions {
  /** Longest text that is taken, in bytes without its newline; also the most that is kept of an unfinished one. */
  readonly max_line_bytes: number;
}

/**
 * Cuts what a client sends over TCP into texts (spec.md, "Encoding"): bytes in, Framed out. One object per line; but a
 * complete object is delivered at once, newline or not, and so are several on a line. What isn't an object is delivered
 * with its line, to be refused by the codec. Faults are delivered in their place in the stream, and reading goes on.
 */
export class LineReader {
  readonly #max_line_bytes: number;
  readonly #scanner: TextScanner;

  constructor({ max_line_bytes }: LineReaderOptions) {
    this.#max_line_bytes = max_line_bytes;
    this.#scanner = new TextScanner(max_line_bytes);
  }

  /** Whether no text is under way: what comes next begins one. */
  get isBetween(): boolean {
    return this.#scanner.isBetween;
  }

  /** What is complete with `chunk`; often nothing. */
  read(chunk: Buffer): Framed[] {
    return this.#scanner.scan(chunk).map((found) => framed(found, this.#max_line_bytes));
  }

  /** What the end of the stream completes. */
  end(): Framed[] {
    return this.#scanner.end().map((found) => framed(found, this.#max_line_bytes));
  }
}

/** A `LineReader` as a stream. Never fails: it ends when its input does. */
export function createLineReader(options: LineReaderOptions): Duplex {
  const reader = new LineReader(options);
  return new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, done) {
      for (const one of reader.read(chunk)) this.push(one);
      done();
    },
    flush(done) {
      for (const one of reader.end()) this.push(one);
      done();
    },
  });
}

function framed(found: Found, max_line_bytes: number): Framed {
  if ('text' in found) return { ok: true, text: found.text };
  switch (found.fault) {
    case Fault.TooLong:
      return {
        ok: false,
        code: 'line-too-long',
        text: `more than ${max_line_bytes} bytes without an end; skipped up to the next newline`,
      };
    case Fault.InvalidUtf8:
      return { ok: false, code: 'malformed', text: 'invalid UTF-8' };
    case Fault.BrokenByNewline:
      return {
        ok: false,
        code: 'malformed',
        text: 'a newline inside an object: send each object on one line',
      };
    case Fault.Unfinished:
      return { ok: false, code: 'malformed', text: 'the stream ended inside an object' };
  }
}
