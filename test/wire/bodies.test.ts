import { expect } from 'chai';
import fc from 'fast-check';
import { entry as entryOf } from '../../src/core/ids.js';
import { MessageType, type AcceptRequest, type Accepted, type Message } from '../../src/core/message.js';
import { keptBody } from '../../src/wire/bodies.js';
import { decodeAny, decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import { rememberSender } from '../../src/wire/plain.js';
import { messagesByType } from './arbitraries.js';

const LEADER = { address: '127.0.0.1', port: '7001' };
const FOLLOWER = { address: '127.0.0.1', port: '7002' };

const short = messagesByType[MessageType.AcceptRequest] as fc.Arbitrary<AcceptRequest>;

/** Some with values so long that they have other places. */
const acceptRequest = fc.oneof(
  { weight: 3, arbitrary: short },
  { weight: 1, arbitrary: short.map((one) => ({ ...one, value: `${one.value}"${'x'.repeat(3000)}` })) },
);

function acceptedOf({ request, entry, round, value }: AcceptRequest): Accepted {
  return { type: MessageType.Accepted, request, entry, round, value };
}

/** Puts another vote into the place of this one, so that nothing of it is kept. */
function forget({ request, entry, round, value }: AcceptRequest): void {
  const other = entryOf(entry >= 2048 ? entry - 2048 : entry + 2048);
  encodeMessage({ type: MessageType.Accepted, request, entry: other, round, value: 'other' }, LEADER);
  expect(keptBody(request, entry, round, value)).to.equal(undefined);
}

/** Other texts that mean the same, and texts that mean something else. */
const rewritten = (text: string): string[] => [
  text.replace('"request":{', '"request":{"id":0,').replace('"id":0,"id":', '"id":'),
  text.replace(/"value":"/, '"value":"\\u0041'),
  text.replace(/"value":"/, '"value":"\\/'),
  text.replace(/,"value":".*"/, ',"value":""'),
  text.replace(/,"entry":\d+\}/, '}'),
  text.replace(/\},"entry":\d+/, '}'),
];

describe('wire: bodies of votes that are kept', () => {
  before(() => {
    rememberSender(LEADER);
    rememberSender(FOLLOWER);
  });

  it('are written as they would be anew, whatever they were read from', () => {
    const property = fc.property(acceptRequest, (message) => {
      const accepted = acceptedOf(message);
      forget(message);
      const made = encodeMessage(accepted, FOLLOWER);
      expect(encodeMessage(accepted, FOLLOWER), 'kept').to.equal(made);
      forget(message);
      const text = encodeMessage(message, LEADER);
      forget(message);
      for (const read of [text, ...rewritten(text)]) {
        const decoded = decodeMessage(read);
        expect(decoded).to.deep.equal(decodeAny(read));
        if (!decoded.ok || decoded.message.type !== MessageType.AcceptRequest) continue;
        const echoed = acceptedOf(decoded.message);
        const kept = encodeMessage(echoed, FOLLOWER);
        forget(decoded.message);
        expect(encodeMessage(echoed, FOLLOWER), read).to.equal(kept);
      }
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it('are recognised when a peer says them again, and nothing else is', () => {
    let recognised = 0;
    const property = fc.property(fc.array(acceptRequest, { maxLength: 5 }), fc.nat(), (asked, first) => {
      const messages = asked.map((message, i) => ({ ...message, entry: entryOf(1 + (first % 5000) + i) }));
      for (const message of messages) encodeMessage(message, LEADER);
      for (const message of messages) {
        const text = encodeMessage(acceptedOf(message), FOLLOWER);
        const decoded = decodeMessage(text);
        expect(decoded).to.deep.equal(decodeAny(text));
        const { message: echoed } = decoded as { message: Message };
        expect(JSON.stringify(echoed)).to.equal(
          JSON.stringify((decodeAny(text) as typeof decoded & { message: Message }).message),
        );
        if (echoed.type === MessageType.Accepted && echoed.request === message.request) recognised++;
        for (const other of [
          `${text} `,
          text.slice(0, -1),
          text.replace('"round":', '"round":1'),
          `${text.slice(0, -1)},"committed":3}`,
        ])
          expect(decodeMessage(other), other).to.deep.equal(decodeAny(other));
      }
    });
    fc.assert(property, { numRuns: 1000, seed: 1 });
    expect(recognised, 'with the very request that was asked').to.be.greaterThan(100);
  });
});
