import { expect } from 'chai';
import fc from 'fast-check';
import type { Address } from '../../src/core/address.js';
import { MessageType, type LogResponse } from '../../src/core/message.js';
import { ChosenLineReader, type ChosenLine } from '../../src/wire/chosen-line.js';
import { decodeAny, encodeMessage } from '../../src/wire/codec.js';
import { anAddress, edited, edits, messagesByType, valueLike } from './arbitraries.js';

const PEER: Address = { address: '127.0.0.1', port: '7001' };
const reader = new ChosenLineReader(PEER);

const numbers = fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 2 ** 49 }));

const responses = fc.oneof(
  fc.tuple(numbers, numbers, numbers, valueLike).map(([id, no, at, value]) => responseOf(value, no, id, at)),
  messagesByType[MessageType.LogResponse] as fc.Arbitrary<LogResponse>,
);

const BEFORE = Buffer.from('{"type":12}\n');

function read(line: string, after = ''): ChosenLine | undefined {
  return reader.read(Buffer.concat([BEFORE, Buffer.from(line + after)]), BEFORE.length);
}

/** What was taken is what the codec reads, and what it would write. */
function expectSame(taken: ChosenLine, text: string): void {
  const decoded = decodeAny(text);
  if (!decoded.ok || decoded.message.type !== MessageType.LogResponse) return expect.fail(`taken: ${text}`);
  const { message, from } = decoded;
  const { id, no, noset, value } = taken;
  expect({ type: 12, request: { id, no, noset }, entry: taken.entry, value }).to.deep.equal(message);
  expect(taken.from).to.deep.equal(from);
  expect(encodeMessage(message, from)).to.equal(text);
  expect(taken.bytes.toString('utf8', taken.start, taken.end)).to.equal(text);
  expect(taken.length).to.be.within(value.length, 2 * value.length + 2);
}

function responseOf(value: string, no = 3, id = 65_537, at = 7): LogResponse {
  const request = { id, no, noset: false } as LogResponse['request'];
  return { type: MessageType.LogResponse, request, entry: at as LogResponse['entry'], value };
}

describe('wire: a chosen entry from the bytes of its line', () => {
  it('is what the codec reads, or is left to it', () => {
    let taken = 0;
    fc.assert(
      fc.property(responses, (message) => {
        const text = encodeMessage(message, PEER);
        const line = read(`${text}\n`, '{"type":12');
        if (line === undefined) return;
        taken++;
        expectSame(line, text);
      }),
      { numRuns: 2_000 },
    );
    expect(taken).to.be.above(200);
  });

  it('is taken whenever it is as usual', () => {
    for (const value of [
      'x',
      'put key value',
      '{"op":"put","key":"a\\b"}',
      'two\nlines\tand\r\b\f',
      '~'.repeat(60_000),
    ])
      expectSame(
        read(`${encodeMessage(responseOf(value), PEER)}\n`)!,
        encodeMessage(responseOf(value), PEER),
      );
  });

  it('is never taken from a text that says anything else, or says it otherwise', () => {
    fc.assert(
      fc.property(responses, edits, (message, changes) => {
        const text = edited(encodeMessage(message, PEER), changes);
        const line = read(`${text}\n`);
        if (line === undefined) return;
        const end = text.indexOf('\n');
        expectSame(line, end < 0 ? text : text.slice(0, end));
      }),
      { numRuns: 5_000 },
    );
  });

  it('is left alone as long as some of its line is missing', () => {
    const text = encodeMessage(responseOf('a "quoted" value'), PEER);
    for (let length = 0; length <= text.length; length++)
      expect(read(text.slice(0, length)), `${length}`).to.equal(undefined);
    expect(read(`${text}\n`)).to.not.equal(undefined);
  });

  it('is left to the codec if it comes from somebody else, asks for nothing, or is written in another way', () => {
    fc.assert(
      fc.property(anAddress, (other) => {
        fc.pre(other.address !== PEER.address || other.port !== PEER.port);
        expect(read(`${encodeMessage(responseOf('x'), other)}\n`)).to.equal(undefined);
      }),
    );
    const usual = encodeMessage(responseOf('xyz'), PEER);
    expect(read(`${usual}\n`)).to.not.equal(undefined);
    for (const text of [
      usual.replace('"no":3', '"no":03'),
      usual.replace('"no":3', '"no":1234567890123456'),
      usual.replace('"no":3', '"no":0'),
      usual.replace('"no":3,"entry":7', '"no":3,"entry":8'),
      usual.replace('xyz', 'x\\u0079z'),
      usual.replace('xyz', 'x\\/z'),
      usual.replace('xyz', 'xéz'),
      usual.replace('xyz', ''),
      `${usual} `,
      usual.replace(',"value":"xyz"', ''),
      encodeMessage({ ...responseOf('x'), request: { ...responseOf('x').request, noset: true } }, PEER),
      encodeMessage(responseOf('x'), undefined),
    ])
      expect(read(`${text}\n`), text).to.equal(undefined);
  });
});
