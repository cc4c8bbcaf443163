import type { Duplex, TransformCallback } from 'node:stream';
import split2 from 'split2';
import type { ErrorCode } from '../core/errors.js';
import { Fault, MARK_TEXT, TextScanner } from './scanner.js';

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
 * Never fails: it ends when its input does.
 */
export function createLineReader({ max_line_bytes }: LineReaderOptions): Duplex {
  const scanner = new TextScanner(max_line_bytes);
  const lines = split2('\n', (line: string) => readLine(line, max_line_bytes));
  // The scanner stands before split2 in the same stream: two streams, joined, would report an error when destroyed.
  const splitLines = lines._transform.bind(lines);
  const flushLines = lines._flush.bind(lines);
  lines._transform = (chunk: Buffer, encoding: BufferEncoding, done: TransformCallback) => {
    splitLines(scanner.scan(chunk), encoding, done);
  };
  lines._flush = (done: TransformCallback) => {
    splitLines(scanner.end(), 'utf8', () => flushLines(done));
  };
  return lines;
}

/** A line as the scanner marked it. */
function readLine(line: string, max_line_bytes: number): Framed | undefined {
  if (line === '') return undefined;
  if (line.startsWith(MARK_TEXT)) return { ok: true, text: line.slice(MARK_TEXT.length) };
  switch (line as Fault) {
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
