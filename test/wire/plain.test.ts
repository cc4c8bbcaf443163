import { expect } from 'chai';
import fc from 'fast-check';
import { MessageType, type Message } from '../../src/core/message.js';
import { decodeAny, encodeMessage } from '../../src/wire/codec.js';
import { readPlain, rememberSender, type Plain } from '../../src/wire/plain.js';
import { anAddress, anyString, messagesByType } from './arbitraries.js';

const SENDER = { address: '127.0.0.1', port: '7001' };

/** What the short cut reads must be what the codec reads; true if it read anything. */
function agrees(text: string): boolean {
  const around = `{"type":5}\n${text}\n{"type":4}`;
  agreesOn(text, readPlain(around, 11, 11 + text.length));
  return agreesOn(text, readPlain(text));
}

function agreesOn(text: string, plain: Plain | undefined): boolean {
  if (plain === undefined) return false;
  const decoded = decodeAny(text);
  expect(decoded, text).to.deep.equal({ ok: true, message: plain.message, from: plain.from });
  // Zero is zero, not minus zero, and keys stand in one order: messages of a type have one shape.
  expect(JSON.stringify(plain.message)).to.equal(JSON.stringify((decoded as { message: Message }).message));
  return true;
}

const HOT = [
  MessageType.AcceptRequest,
  MessageType.Accepted,
  MessageType.ClientRequest,
  MessageType.LogResponse,
  MessageType.AppResponse,
];

/** Pieces of messages, in any order, any number of times, with mistakes among them. */
const piece = fc.oneof(
  fc.constantFrom(
    ...[
      '{',
      '}',
      ',',
      ':',
      '"',
      '\\',
      ' ',
      '[',
      '-',
      '.',
      '0',
      '1',
      'e5',
      'null',
      'true',
      '{"type":',
      '"request":{',
    ],
    ...[
      '"id":',
      '"no":',
      '"entry":',
      '"noset":true',
      '"noset":false',
      '"value":',
      '"round":',
      '"committed":',
      '}',
    ],
    ...[
      '"fromaddress":"127.0.0.1","fromport":"7001"',
      '"fromaddress":"127.0.0.1"',
      '""',
      '"a\\"b"',
      '"\\u0041"',
    ],
    ...[
      '4',
      '5',
      '7',
      '12',
      '14',
      '00',
      '01',
      '137438953472',
      '9007199254740993',
      '123456789012345',
      '"\\x"',
    ],
  ),
  anyString.map((value) => JSON.stringify(value)),
);

const shuffled = fc
  .tuple(fc.constantFrom(4, 5, 7, 12, 14), fc.array(piece, { maxLength: 12 }))
  .map(([type, pieces]) => `{"type":${type},${pieces.join('')}`);

/** A text with one change somewhere. */
const changed = (text: string) =>
  fc
    .tuple(fc.nat(text.length), fc.nat(1), fc.oneof(piece, fc.constantFrom('', '1', 'x')))
    .map(([at, cut, put]) => {
      return text.slice(0, at) + put + text.slice(at + cut);
    });

describe('wire, the short cut for plain messages (spec.md, "Encoding")', () => {
  before(() => rememberSender(SENDER));

  for (const type of HOT) {
    it(`reads every message of type ${type} that the encoder writes as the codec does`, () => {
      fc.assert(
        fc.property(messagesByType[type]!, (message) => {
          const text = encodeMessage(message, SENDER);
          // What is left to the codec is rare: numbers of sixteen digits, mostly.
          const isLeft = /\d{16}/.test(text.replace(/"(?:[^"\\]|\\.)*"/g, ''));
          if (decodeAny(text).ok) expect(agrees(text) || isLeft, text).to.equal(true);
        }),
        { numRuns: 500 },
      );
    });
  }

  it("reads what other clients' encoders write, if it is as plain", () => {
    for (const text of [
      '{"type":7,"request":{"id":65537,"no":1,"value":"{\\"op\\":\\"get\\"}"}}',
      '{"type":7,"request":{"no":1,"noset":true},"entry":3}',
      '{"type":7,"request":{"value":"é\u2028"}}',
      '{"type":14,"entry":3,"value":"x"}',
      '{"type":14,"request":{"id":1,"no":2,"entry":3},"entry":3,"value":"x"}',
    ]) {
      expect(agrees(text), text).to.equal(true);
    }
  });

  it('leaves to the codec whatever looks different', () => {
    const accept = '{"type":4,"fromaddress":"127.0.0.1","fromport":"7001","request":{"id":1},"entry":2';
    for (const text of [
      '',
      '{}',
      '{"type":7}x',
      '{"type":7} ',
      '{"type":7,"request":{"no":01}}',
      '{"type":7,"request":{"no":1.5}}',
      '{"type":7,"request":{"no":-1}}',
      '{"type":7,"request":{"no":1,"no":2}}',
      '{"type":7,"request":{"value":"a\nb"}}',
      '{"type":7,"request":{"value":"\\x"}}',
      '{"type":7,"request":{"entry":1},"entry":2}',
      '{"type":7,"value":"outside"}',
      `${accept},"round":${2 ** 37}}`,
      `${accept},"value":"open`,
      `${accept},"entry":2}`,
      accept,
      accept.replace('7001', '7002') + '}',
      '{"type":4,"request":{"id":1}}',
      '{"type":4,"fromaddress":"127.0.0.1","fromport":"7001"}',
      '{"type":1,"fromaddress":"127.0.0.1","fromport":"7001","request":{}}',
    ]) {
      expect(readPlain(text), text).to.equal(undefined);
    }
  });

  it('never reads a text otherwise than the codec, whatever is put together', () => {
    const mutated = fc
      .constantFrom(...HOT)
      .chain((type) =>
        fc
          .tuple(messagesByType[type]!, fc.oneof({ weight: 9, arbitrary: fc.constant(SENDER) }, anAddress))
          .chain(([message, from]) => changed(encodeMessage(message, from))),
      );
    let read = 0;
    fc.assert(
      fc.property(fc.oneof(shuffled, mutated), (text) => {
        if (agrees(text)) read++;
      }),
      { numRuns: 20_000, seed: 1 },
    );
    expect(read).to.be.greaterThan(100);
  });
});
