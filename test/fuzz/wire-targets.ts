import { PassThrough } from 'node:stream';
import { splitDatagram } from '../../src/wire/datagram.js';
import { textsOf } from '../support/datagram.js';
import { LineReader, type Framed } from '../../src/wire/framing.js';
import { showOutput } from '../../src/net/app-output.js';
import { SeededRandom } from '../support/random.js';
import { seedsFor } from './corpus.js';
import { mutateBytes, smallerBytes } from './mutate.js';
import { checkText } from './oracle.js';
import { Finding, type Outcome, type Target } from './target.js';

/** Short, so that cases reach it. */
const MAX_LINE_BYTES = 1_000;

/** The longest piece of a stream that is read at once. */
const MAX_CHUNK_BYTES = 60;

/** A line of an application's output as the log shows it: at most so many characters, each escaped at worst. */
const MAX_SHOWN_LENGTH = 1_000;
const MAX_ESCAPE_LENGTH = 10;

/** One outcome of several texts. */
function joined(outcomes: readonly Outcome[], none: string): Outcome {
  return {
    codes: outcomes.length === 0 ? [none] : outcomes.flatMap(({ codes }) => codes),
    signature: [...new Set(outcomes.map(({ signature }) => signature))].slice(0, 3).join(' | '),
    isTaken: outcomes.some(({ isTaken }) => isTaken),
  };
}

/** What an agent makes of a datagram. */
export const datagram: Target = {
  name: 'datagram',
  weight: 10,
  seeds: seedsFor('datagram'),
  mutate: mutateBytes,
  smaller: smallerBytes,
  run(bytes) {
    const split = splitDatagram(bytes);
    if (!split.ok) return { codes: [split.reason], signature: split.reason, isTaken: false };
    const texts = textsOf(split);
    if (texts.length === 0) throw new Finding('a datagram of no text is taken', '');
    return joined(texts.map(checkText), 'empty');
  },
};

function framedWhole(bytes: Buffer): Framed[] {
  const reader = new LineReader({ max_line_bytes: MAX_LINE_BYTES });
  return [...reader.read(Buffer.from(bytes)), ...reader.end()];
}

/** The same bytes in pieces, which the bytes themselves draw. */
function framedInPieces(bytes: Buffer): Framed[] {
  const random = new SeededRandom(bytes.length);
  const reader = new LineReader({ max_line_bytes: MAX_LINE_BYTES });
  const framed: Framed[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 1 + random.below(MAX_CHUNK_BYTES);
    const chunk = Buffer.from(bytes.subarray(at, at + length));
    framed.push(...reader.read(chunk));
    // A socket uses the room of what it has handed over again.
    chunk.fill(0x7b);
    at += length;
  }
  return [...framed, ...reader.end()];
}

/** What a node makes of what a client, an application or a peer sends over TCP. */
export const stream: Target = {
  name: 'stream',
  weight: 10,
  seeds: seedsFor('stream'),
  mutate: mutateBytes,
  smaller: smallerBytes,
  run(bytes) {
    const whole = framedWhole(bytes);
    const pieces = framedInPieces(bytes);
    if (JSON.stringify(whole) !== JSON.stringify(pieces)) {
      throw new Finding('framing depends on how the stream is cut', JSON.stringify({ whole, pieces }));
    }
    const long = whole.find((one) => one.ok && Buffer.byteLength(one.text) > MAX_LINE_BYTES);
    if (long !== undefined) throw new Finding('a text above the bound is handed on', JSON.stringify(long));
    const outcomes = whole.map((one) =>
      one.ok
        ? checkText(one.text)
        : { codes: [one.code], signature: `${one.code} ${one.text}`, isTaken: false },
    );
    return joined(outcomes, 'nothing');
  },
};

/** What a terminal or a reader of logs would act on. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** What the log shows of an application's output. */
export const output: Target = {
  name: 'output',
  weight: 0.5,
  seeds: seedsFor('stream'),
  mutate: mutateBytes,
  smaller: smallerBytes,
  async run(bytes) {
    const source = new PassThrough();
    const lines: string[] = [];
    showOutput(source, 'stdout', (_level, _code, text) => lines.push(text));
    const closed = new Promise((resolve) => source.once('close', resolve));
    for (let at = 0; at < bytes.length; at += MAX_CHUNK_BYTES) {
      source.write(bytes.subarray(at, at + MAX_CHUNK_BYTES));
    }
    source.end();
    await closed;
    const bad = lines.find((line) => UNPRINTABLE.test(line));
    if (bad !== undefined) throw new Finding('output that is not fit for a log', JSON.stringify(bad));
    const long = lines.find((line) => line.length > MAX_SHOWN_LENGTH * MAX_ESCAPE_LENGTH);
    if (long !== undefined) throw new Finding('output that is too long for a log', JSON.stringify(long));
    return { codes: ['shown'], signature: `shown ${Math.min(lines.length, 3)}`, isTaken: true };
  },
};
