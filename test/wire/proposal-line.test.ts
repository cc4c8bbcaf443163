import { expect } from 'chai';
import fc from 'fast-check';
import type { Address } from '../../src/core/address.js';
import { sameDecree, type Decree } from '../../src/core/decree.js';
import { requestNumber } from '../../src/core/ids.js';
import { MessageType, type Accepted, type AcceptRequest, type LogResponse } from '../../src/core/message.js';
import { ChosenLineReader, type ChosenLine } from '../../src/wire/chosen-line.js';
import { decodeAny, encodeMessage } from '../../src/wire/codec.js';
import { WIDE_BYTES } from '../../src/wire/datagram.js';
import type { ProposalLine } from '../../src/wire/proposal-line.js';
import { ProposalReader } from '../../src/wire/proposal-reader.js';
import { anAddress, edited, edits, messagesByType, valueLike } from './arbitraries.js';

const LEADER: Address = { address: '127.0.0.1', port: '7001' };
const SELF: Address = { address: '127.0.0.1', port: '7002' };
const reader = new ProposalReader(LEADER);

const numbers = fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 2 ** 49 }));
const rounds = fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 2 ** 38 }));

const requests = fc.oneof(
  fc
    .tuple(numbers, numbers, numbers, rounds, valueLike, numbers)
    .map(([id, no, at, r, value, committed]) => requestOf(value, { id, no, at, r, committed })),
  messagesByType[MessageType.AcceptRequest] as fc.Arbitrary<AcceptRequest>,
);

function requestOf(value: string, { id = 65_537, no = 3, at = 7, r = 2, committed = 5 } = {}): AcceptRequest {
  return {
    type: MessageType.AcceptRequest,
    request: { id, no, noset: false },
    entry: at,
    round: r,
    value,
    committed,
  } as AcceptRequest;
}

/** The only line of a datagram. */
function read(text: string): ProposalLine | undefined {
  const lines = reader.readAll(Buffer.from(text));
  if (lines !== undefined) expect(lines).to.have.length(1);
  return lines?.[0];
}

/** What was taken is what the codec reads, and what it would write; and so is what follows from it. */
function expectSame(taken: ProposalLine, text: string): void {
  const decoded = decodeAny(text);
  if (!decoded.ok || decoded.message.type !== MessageType.AcceptRequest) return expect.fail(`taken: ${text}`);
  const { message, from } = decoded;
  const { type, entry, round, committed, value, request } = taken;
  const { id, no, noset } = request;
  expect({ type, request: { id, no, noset }, entry, round, value, committed }).to.deep.equal(message);
  expect(taken.from).to.deep.equal(from);
  expect(encodeMessage(message, from)).to.equal(text);
  expect(taken.decree).to.include({ id, no, noset, value });
  expect(taken.length).to.be.within(value.length, 2 * value.length + 2);

  const { accepted } = taken.unread;
  const answer: Accepted = { type: MessageType.Accepted, request: message.request, entry, round, value };
  expect(encodeMessage(accepted, SELF)).to.equal(encodeMessage(answer, SELF));
  expect(accepted).to.include({ type: MessageType.Accepted, entry, round, value });
  expect(accepted.request).to.include({ id, no, noset });
}

describe('wire: AcceptRequests from the bytes of their datagram', () => {
  it('are what the codec reads, or are left to it', () => {
    let taken = 0;
    fc.assert(
      fc.property(requests, (message) => {
        const text = encodeMessage(message, LEADER);
        const line = read(text);
        if (line === undefined) return;
        taken++;
        expectSame(line, text);
      }),
      { numRuns: 2_000 },
    );
    expect(taken).to.be.above(200);
  });

  it('are taken whenever they are as usual, in the first reign too', () => {
    for (const value of ['x', 'put key value', '{"key":"a\\b"}', 'two\nlines\tand\r\b\f', '~'.repeat(60_000)])
      for (const round of [0, 1, 2 ** 37 - 1])
        for (const committed of [0, 7, 10 ** 14]) {
          const text = encodeMessage(requestOf(value, { r: round, committed }), LEADER);
          expectSame(read(text)!, text);
        }
  });

  it('are taken from a datagram that holds many', () => {
    const texts = ['a', 'b "quoted"', 'c'].map((value, i) =>
      encodeMessage(requestOf(value, { at: 7 + i, no: 3 + i }), LEADER),
    );
    const lines = reader.readAll(Buffer.from(texts.join('\n'))) ?? [];
    expect(lines).to.have.length(3);
    lines.forEach((line, i) => expectSame(line, texts[i] ?? ''));
  });

  it('are left to the codec all together, if there is anything else in the datagram', () => {
    const usual = encodeMessage(requestOf('x'), LEADER);
    for (const other of [
      '',
      ' ',
      '{"type":6}',
      usual.slice(0, -1),
      encodeMessage({ type: MessageType.Empty }, LEADER),
      encodeMessage(requestOf('é'), LEADER),
      encodeMessage(requestOf('x'), SELF),
    ]) {
      expect(reader.readAll(Buffer.from(`${usual}\n${other}`)), other).to.equal(undefined);
      expect(reader.readAll(Buffer.from(`${other}\n${usual}`)), other).to.equal(undefined);
    }
    expect(reader.readAll(Buffer.alloc(0))).to.equal(undefined);
    expect(reader.readAll(Buffer.from(`${usual}${usual}`))).to.equal(undefined);
    expect(reader.readAll(Buffer.from(`${usual}\n${usual}`))).to.have.length(2);
  });

  it('are left to the codec if agents would have made two datagrams of one', () => {
    const line = encodeMessage(requestOf('x'), LEADER);
    const most = Math.floor((WIDE_BYTES + 1) / (line.length + 1));
    const many = (n: number): Buffer => Buffer.from(Array<string>(n).fill(line).join('\n'));
    expect(reader.readAll(many(most))).to.have.length(most);
    expect(reader.readAll(many(most + 1))).to.equal(undefined);
  });

  it('are compared with others that were not read, and with those that were', () => {
    const line = (value: string): ProposalLine => read(encodeMessage(requestOf(value, { at: 8 }), LEADER))!;
    const chosen = (value: string): ChosenLine => {
      const message: LogResponse = { ...requestOf(value, { at: 8 }), type: MessageType.LogResponse };
      return new ChosenLineReader(SELF).read(Buffer.from(`${encodeMessage(message, SELF)}\n`), 0)!;
    };
    const { id, no } = line('x');
    const plain = (value: string): Decree => ({ id, no, noset: false, value });
    for (const value of ['x', 'a "quoted" one'])
      for (const make of [line, chosen, plain])
        for (const other of [line, chosen, plain]) {
          expect(sameDecree(make(value), other(value)), value).to.equal(true);
          expect(sameDecree(make(value), other(`${value}x`))).to.equal(false);
          expect(sameDecree(make(value), other(value.replace('x', 'y').replace('a', 'b')))).to.equal(false);
          expect(sameDecree(make(value), { ...plain(value), no: requestNumber(9) })).to.equal(false);
        }
    expect(line('x').sameValue(plain('x'))).to.equal(undefined);
  });

  it('are written as what they say, and not as what they hold', () => {
    const line = read(encodeMessage(requestOf('a "quoted" one'), LEADER))!;
    const said = { type: 4, id: 65_537, no: 3, entry: 7, round: 2, value: 'a "quoted" one', committed: 5 };
    expect(JSON.parse(JSON.stringify(line))).to.deep.equal(said);
    const { committed, ...answer } = { ...said, type: 5 };
    expect(committed).to.equal(5);
    expect(JSON.parse(JSON.stringify(line.accepted))).to.deep.equal(answer);
  });

  it('are never taken from a text that says anything else, or says it otherwise', () => {
    fc.assert(
      fc.property(requests, edits, (message, changes) => {
        const text = edited(encodeMessage(message, LEADER), changes);
        const line = read(text);
        if (line !== undefined) expectSame(line, text);
      }),
      { numRuns: 5_000 },
    );
  });

  it('are left alone if some of the line is missing', () => {
    const text = encodeMessage(requestOf('a "quoted" value'), LEADER);
    for (let length = 0; length < text.length; length++)
      expect(read(text.slice(0, length)), `${length}`).to.equal(undefined);
    expect(read(text)).to.not.equal(undefined);
  });

  it('are left to the codec if they come from somebody else, or are written in another way', () => {
    fc.assert(
      fc.property(anAddress, (other) => {
        fc.pre(other.address !== LEADER.address || other.port !== LEADER.port);
        expect(read(encodeMessage(requestOf('x'), other))).to.equal(undefined);
      }),
    );
    const usual = encodeMessage(requestOf('xyz'), LEADER);
    expect(read(usual)).to.not.equal(undefined);
    for (const text of [
      usual.replace('"no":3', '"no":03'),
      usual.replace('"no":3', '"no":1234567890123456'),
      usual.replace('"no":3', '"no":0'),
      usual.replace('"no":3,"entry":7', '"no":3,"entry":8'),
      usual.replace('"round":2', '"round":0'),
      usual.replace('"round":2', `"round":${2 ** 37}`),
      usual.replace('"committed":5', '"committed":0'),
      usual.replace('"committed":5', '"committed":05'),
      usual.replace('xyz', 'x\\u0079z'),
      usual.replace('xyz', 'x\\/z'),
      usual.replace('xyz', 'xéz'),
      usual.replace('xyz', ''),
      `${usual} `,
      `${usual}\n`,
      usual.replace(',"value":"xyz"', ''),
      encodeMessage({ ...requestOf('x'), request: { ...requestOf('x').request, noset: true } }, LEADER),
    ])
      expect(read(text), text).to.equal(undefined);
  });
});
