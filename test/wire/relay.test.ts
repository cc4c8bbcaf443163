import { expect } from 'chai';
import fc from 'fast-check';
import { entry as entryOf } from '../../src/core/ids.js';
import { MessageType, type AcceptRequest, type LogResponse } from '../../src/core/message.js';
import { encodeMessage } from '../../src/wire/codec.js';
import { relayedResponse } from '../../src/wire/relay.js';
import { messagesByType } from './arbitraries.js';

const SELF = { address: '10.0.0.1', port: '7001' };
const OTHER = { address: '10.0.0.2', port: '7002' };

const votes = messagesByType[MessageType.AcceptRequest] as fc.Arbitrary<AcceptRequest>;
const responses = messagesByType[MessageType.LogResponse] as fc.Arbitrary<LogResponse>;

/** Values that look like what stands around them. */
const TRICKY = ['', '"', '\\', '},"entry":7', ',"round":3', ',"value":"', '"}', '𝄞é\u0000', '{"request":{}}'];

/** Each with an odd value as often as with its own. */
function withOddValues<T extends { readonly value: string }>(messages: fc.Arbitrary<T>): fc.Arbitrary<T> {
  const value = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...TRICKY)).map((parts) => parts.join('')),
  );
  return fc.oneof(
    messages,
    fc.tuple(messages, value).map(([message, odd]) => ({ ...message, value: odd })),
  );
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
          const text = `${verdict} ${encodeMessage(message, OTHER)}`;
          const line = relayedResponse(text, verdict.length + 1, message.entry, SELF);
          if (message.entry > 0) expect(line).to.not.equal(undefined);
          if (line === undefined) return;
          cut++;
          expect(line).to.equal(responseTo(message));
        }),
        { numRuns: 1_000 },
      );
      expect(cut).to.be.above(500);
    });

  it('leaves to be read what is not of that shape, or of another entry', () => {
    const request = { id: 65_537, no: 3, noset: false } as AcceptRequest['request'];
    const vote = { type: MessageType.AcceptRequest, request, entry: entryOf(7), round: 1, value: 'v' };
    const text = encodeMessage({ ...vote, committed: entryOf(0) } as AcceptRequest, OTHER);
    expect(relayedResponse(text, 0, entryOf(7), SELF)).to.be.a('string');
    expect(relayedResponse(text, 0, entryOf(8), SELF), 'another entry').to.equal(undefined);
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
      expect(relayedResponse(other, 0, entryOf(7), SELF), other).to.equal(undefined);
  });
});
