import { expect } from 'chai';
import fc from 'fast-check';
import { entry as entryOf } from '../../src/core/ids.js';
import { MessageType, type AcceptRequest, type LogResponse } from '../../src/core/message.js';
import { encodeMessage } from '../../src/wire/codec.js';
import { RelayedLines } from '../../src/wire/relay.js';
import { messagesByType } from './arbitraries.js';

const SELF = { address: '10.0.0.1', port: '7001' };
const OTHER = { address: '10.0.0.2', port: '7002' };

const votes = messagesByType[MessageType.AcceptRequest] as fc.Arbitrary<AcceptRequest>;
const responses = messagesByType[MessageType.LogResponse] as fc.Arbitrary<LogResponse>;

/** Values that look like what stands around them. */
const TRICKY = ['', '"', '\\', '},"entry":7', ',"round":3', ',"value":"', '"}', '𝄞é\u0000', '{"request":{}}'];

/** Each with an odd value as often as with its own. */
function withOddValues<T extends { readonly value: string; readonly entry: number }>(
  messages: fc.Arbitrary<T>,
): fc.Arbitrary<T> {
  const value = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...TRICKY)).map((parts) => parts.join('')),
  );
  const usual = messages.map((message) => ({ ...message, entry: entryOf(message.entry % 2 ** 40) }));
  return fc.oneof(
    messages,
    usual,
    fc.tuple(usual, value).map(([message, odd]) => ({ ...message, value: odd })),
  );
}

/** The line that is cut out of a text in the midst of others, behind one that was cut out before. */
function relayed(text: string, at: number, before?: string): string | undefined {
  const lines = new RelayedLines(SELF, 10);
  if (before !== undefined) expect(pass(lines, before, at)).to.equal(true);
  const start = lines.bytes.length;
  if (!pass(lines, text, at)) {
    expect(lines.bytes).to.have.length(start);
    return undefined;
  }
  const line = lines.bytes.toString('utf8', start);
  expect(line.endsWith('\n')).to.equal(true);
  return line.slice(0, -1);
}

function pass(lines: RelayedLines, text: string, at: number): boolean {
  const [before, message, behind] = ['{"type":4}\n', text, '\n{"type":4,"request":{}}'].map((part) =>
    Buffer.from(part),
  );
  const bytes = Buffer.concat([before!, message!, behind!]);
  return lines.pass(bytes, before!.length, before!.length + message!.length, entryOf(at));
}

function responseTo({ request, entry, value }: AcceptRequest | LogResponse): string {
  return encodeMessage({ type: MessageType.LogResponse, request, entry, value }, SELF);
}

describe('wire: passing on a decree without reading it', () => {
  for (const [verdict, messages] of [
    ['accepted', withOddValues(votes).map((vote) => ({ ...vote, committed: entryOf(0) }))],
    ['learnt', withOddValues(responses)],
  ] as const)
    it(`gives what reading and writing would, for everything ${verdict}, as the journal holds it`, () => {
      let cut = 0;
      fc.assert(
        fc.property<[AcceptRequest | LogResponse]>(messages, (message) => {
          const text = encodeMessage(message, OTHER);
          const line = relayed(text, message.entry);
          if (message.entry > 0 && message.entry < 1e15) expect(line).to.not.equal(undefined);
          if (line === undefined) return;
          cut++;
          expect(line).to.equal(responseTo(message));
          expect(relayed(text, message.entry, text)).to.equal(line);
          const other = encodeMessage(
            { ...message, entry: entryOf(7) },
            { address: '10.0.0.3', port: '7003' },
          );
          const lines = new RelayedLines(SELF, 1_000);
          expect([pass(lines, other, 7), pass(lines, text, message.entry)]).to.eql([true, true]);
          expect(lines.bytes.toString()).to.equal(
            `${responseTo({ ...message, entry: entryOf(7) })}\n${line}\n`,
          );
          expect(lines.entries).to.equal(2);
        }),
        { numRuns: 1_000 },
      );
      expect(cut).to.be.above(500);
    });

  it('leaves to be read what is not of that shape, or of another entry', () => {
    const request = { id: 65_537, no: 3, noset: false } as AcceptRequest['request'];
    const vote = { type: MessageType.AcceptRequest, request, entry: entryOf(7), round: 1, value: 'v' };
    const text = encodeMessage({ ...vote, committed: entryOf(0) } as AcceptRequest, OTHER);
    expect(relayed(text, 7)).to.be.a('string');
    expect(relayed(text, 8), 'another entry').to.equal(undefined);
    const known = encodeMessage({ ...vote, committed: entryOf(5) } as AcceptRequest, OTHER);
    for (const other of [
      '',
      '{}',
      text.slice(0, -1),
      text.replace('"type":4', '"type":1'),
      text.replace('"type":4', '"type":5'),
      text.replace('"request"', '"Request"'),
      text.replace(',"value":"v"', ',"value":7'),
      text.replace(',"value":"v"', ',"committed":5'),
      known,
      known.replace(',"value":"v"', ''),
    ])
      for (const before of [undefined, text]) expect(relayed(other, 7, before), other).to.equal(undefined);
  });
});
