import { expect } from 'chai';
import fc from 'fast-check';
import { NO_REQUEST } from '../../src/core/decree.js';
import { decodeMessage, encodeMessage, type Decoded } from '../../src/wire/codec.js';
import { LineReader, type Framed } from '../../src/wire/framing.js';
import { MessageReader } from '../../src/wire/message-reader.js';
import { rememberSender } from '../../src/wire/plain.js';
import { messagesByType } from './arbitraries.js';

const SENDER = { address: '127.0.0.1', port: '7001' };

/** What a line reader and the codec make of a stream. */
function plainly(chunks: readonly Buffer[], max_line_bytes: number): Decoded[] {
  const lines = new LineReader({ max_line_bytes });
  const framed: Framed[] = chunks.flatMap((chunk) => lines.read(chunk));
  framed.push(...lines.end());
  return framed.map((one) => (one.ok ? decodeMessage(one.text) : { ...one, request: NO_REQUEST }));
}

/** The same by the reader, which is asked for a message now and then. */
function read(chunks: readonly Buffer[], max_line_bytes: number, asked: (i: number) => number): Decoded[] {
  const reader = new MessageReader({ max_line_bytes });
  const read: Decoded[] = [];
  const take = (most: number): void => {
    for (let i = 0; i < most; i++) {
      const taken = reader.take();
      if (taken === undefined) break;
      expect(taken.length).to.be.above(0);
      read.push(taken.decoded);
    }
  };
  chunks.forEach((chunk, i) => {
    reader.put(chunk);
    take(asked(i));
  });
  reader.end();
  take(Infinity);
  expect([reader.waiting, reader.take()]).to.deep.equal([0, undefined]);
  return read;
}

const message = fc
  .constantFrom(...messagesByType)
  .chain((one) => one)
  .map((one) => encodeMessage(one, SENDER));

/** Pieces of a stream: messages, what looks like one, what can't be read, and what stands between. */
const piece = fc.oneof(
  { weight: 6, arbitrary: message.map((text) => Buffer.from(`${text}\n`)) },
  { weight: 2, arbitrary: message.map((text) => Buffer.from(text)) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom(
        '\n',
        '\r\n',
        ' ',
        '{"type":11}{"type":11}\n',
        '{"type":11} {}\n',
        '{}x{}\n',
        'hello\n',
        '{"a":"}\n',
        '{]}\n',
        '{"é漢😀":1}\n',
        '\ufeff{}\n',
        '{"a":{\n}}\n',
      )
      .map((text) => Buffer.from(text)),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)) },
);

/** A stream, cut somewhere. */
const stream = fc
  .tuple(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(), { maxLength: 12 }))
  .map(([pieces, cuts]) => {
    const bytes = Buffer.concat(pieces);
    const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
    return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
  });

describe('wire, the reader of messages', () => {
  before(() => rememberSender(SENDER));

  it('reads what a line reader and the codec read, however the stream is cut', () => {
    const property = fc.property(
      stream,
      fc.constantFrom(40, 200, 100_000),
      fc.nat(5),
      (chunks, max_line_bytes, often) => {
        const expected = plainly(chunks, max_line_bytes);
        expect(read(chunks, max_line_bytes, (i) => (i * 7) % (often + 1))).to.deep.equal(expected);
      },
    );
    fc.assert(property, { numRuns: 2000 });
  });

  it('takes each of very many lines that must be looked into as fast as one of few', function () {
    // Looking at what waits behind each would take minutes.
    this.timeout(10_000);
    const lines = 200_000;
    const reader = new MessageReader({ max_line_bytes: 1024 * 1024 });
    reader.put(Buffer.from('{}\n'.repeat(lines)));
    let taken = 0;
    while (reader.take() !== undefined) taken++;
    expect(taken).to.equal(lines);
  });

  it('counts what waits, and forgets it', () => {
    const reader = new MessageReader({ max_line_bytes: 1000 });
    reader.put(Buffer.from('{"type":11}\n{"type":11}{"type":11}\n{"type'));
    expect(reader.waiting).to.equal(2);
    reader.take();
    reader.take();
    expect(reader.waiting, 'the second of a line').to.equal(1);
    reader.clear();
    expect([reader.waiting, reader.take()]).to.deep.equal([0, undefined]);
    reader.put(Buffer.from('":11}\n'));
    expect(reader.take()?.decoded).to.have.property('ok', true);
  });
});
