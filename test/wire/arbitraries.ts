import fc from 'fast-check';
import type { Address } from '../../src/core/address.js';
import { NO_REQUEST, type Request } from '../../src/core/decree.js';
import { clientId, entry, NO_ROUND, requestNumber, round } from '../../src/core/ids.js';
import { MAX_ROUND } from '../../src/core/limits.js';
import { MessageType, type Message, type RoundValue } from '../../src/core/message.js';

/** Any message of any type that the codec can be given, for properties. */

const counter = fc.oneof(fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());
const anEntry = counter.map(entry);
const aRound = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: MAX_ROUND - 1 })).map(round);

/** Any sequence of UTF-16 units at all: lone surrogates, controls, separators, byte order marks. */
export const anyString = fc.oneof(
  fc.constant(''),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 30 })
    .map((units) => String.fromCharCode(...units)),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '\u0000',
    '\u2028\u2029',
    '\ufeff',
    '😀',
    '\ud800',
    '\udc00\ud800',
    '"\\/',
    '\u001b[31m',
    'é漢',
  ),
);

/** Values with escapes and pieces of messages among them, as of applications that speak JSON, as often as any. */
export const valueLike = fc.oneof(
  fc
    .array(
      fc.constantFrom(
        ...['a', ' ', '"', '\\', '\n', '\t', '\b', '}', '/', '~', '"}\n'],
        ...['},"entry":7', '","committed":7'],
      ),
    )
    .map((parts) => parts.join('')),
  anyString,
);

/** A few changes of a text: places, what is put there, and whether it takes a character's place. */
export const edits = fc.record({
  pieces: fc.array(
    fc.tuple(
      fc.nat(),
      fc.constantFrom('', '0', '1', '9', '"', '\\', ',', '}', '{', ' ', '\n', 'u', 'n', '-', 'é', '\u0000'),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  replaces: fc.boolean(),
});

export function edited(
  text: string,
  { pieces, replaces }: { pieces: [number, string][]; replaces: boolean },
): string {
  for (const [place, piece] of pieces) {
    const at = place % (text.length + 1);
    text = text.slice(0, at) + piece + text.slice(replaces ? at + 1 : at);
  }
  return text;
}

export const anAddress: fc.Arbitrary<Address> = fc.record({
  address: fc
    .tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 255 })))
    .map((o) => o.join('.')),
  port: fc.integer({ min: 1, max: 65_535 }).map(String),
});

const aLeader = fc.oneof(fc.constant({ address: '', port: '' }), anAddress);

const aRequest: fc.Arbitrary<Request> = fc.oneof(
  fc.constant(NO_REQUEST),
  fc.record({ id: counter.map(clientId), no: counter.map(requestNumber), noset: fc.boolean() }),
);

const aRoundValue: fc.Arbitrary<RoundValue> = fc.oneof(
  fc.constant({ round: NO_ROUND, value: '', request: NO_REQUEST }),
  fc.record({ round: aRound, value: anyString, request: aRequest }),
);

const vote = { request: aRequest, entry: anEntry, round: aRound };
const answer = { request: aRequest, entry: anEntry, value: anyString };

/** One arbitrary per type, by its number. */
export const messagesByType: readonly fc.Arbitrary<Message>[] = [
  fc.constant({ type: MessageType.Empty }),
  fc.record({ type: fc.constant(MessageType.Prepare), ...vote }),
  fc.record({
    type: fc.constant(MessageType.Promise),
    ...vote,
    roundvalue: aRoundValue,
    length: counter,
    committed: anEntry,
  }),
  fc
    .tuple(fc.record({ ...vote, roundvalue: aRoundValue, promised: aRound }), aLeader)
    .map(([fields, leader]) => ({
      type: MessageType.Nack,
      ...fields,
      leaderaddress: leader.address,
      leaderport: leader.port,
    })),
  fc.record({ type: fc.constant(MessageType.AcceptRequest), ...vote, value: anyString, committed: anEntry }),
  fc.record({ type: fc.constant(MessageType.Accepted), ...vote, value: anyString }),
  fc.tuple(aLeader, aRound, anEntry).map(([leader, r, committed]) => ({
    type: MessageType.Heartbeat,
    leaderaddress: leader.address,
    leaderport: leader.port,
    round: r,
    committed,
  })),
  fc.record({ type: fc.constant(MessageType.ClientRequest), ...answer }),
  fc.record({ type: fc.constant(MessageType.ClientResponse), ...answer }),
  aLeader.map((leader) => ({
    type: MessageType.ClientRedirect,
    leaderaddress: leader.address,
    leaderport: leader.port,
  })),
  fc.record({ type: fc.constant(MessageType.ClientConn), request: aRequest }),
  fc.record({ type: fc.constant(MessageType.ClientConnectRequest), request: aRequest }),
  fc.record({ type: fc.constant(MessageType.LogResponse), ...answer }),
  fc.record({ type: fc.constant(MessageType.ClientApp), request: aRequest, entry: anEntry }),
  fc.record({ type: fc.constant(MessageType.AppResponse), ...answer }),
  fc.constant({ type: MessageType.Done }),
  fc.record({ type: fc.constant(MessageType.Error), error: anyString, request: aRequest, entry: anEntry }),
];

export const anyMessage: fc.Arbitrary<Message> = fc.oneof(...messagesByType);
