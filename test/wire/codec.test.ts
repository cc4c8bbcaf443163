import { expect } from 'chai';
import fc from 'fast-check';
import { NO_REQUEST } from '../../src/core/decree.js';
import { clientId, entry, NO_ROUND, requestNumber, round } from '../../src/core/ids.js';
import {
  MAX_DATAGRAM_BYTES,
  MAX_ROUND,
  MAX_VALUE_COST,
  MESSAGE_OVERHEAD_BYTES,
  valueCost,
} from '../../src/core/limits.js';
import { MESSAGE_NAMES, MessageType, isPeerMessage, type Message } from '../../src/core/message.js';
import { decodeMessage, encodeMessage, type Decoded } from '../../src/wire/codec.js';
import { MAX_NESTING } from '../../src/wire/nesting.js';
import { anAddress, messagesByType } from './arbitraries.js';

const SELF = { address: '10.0.0.1', port: '7001' };
const PEER = '"fromaddress":"10.0.0.1","fromport":"7001"';

function decoded(text: string): Message {
  const result = decodeMessage(text);
  if (!result.ok) throw new Error(`refused: ${result.text}`);
  return result.message;
}

function refused(text: string): Extract<Decoded, { ok: false }> {
  const result = decodeMessage(text);
  if (result.ok) throw new Error(`taken: ${JSON.stringify(result.message)}`);
  return result;
}

describe('codec: what is encoded is decoded', () => {
  messagesByType.forEach((messages, type) => {
    it(`${MESSAGE_NAMES[type]!} comes back equal, from anyone who may send it`, () => {
      fc.assert(
        fc.property(messages, fc.option(anAddress, { nil: undefined }), (message, sender) => {
          const from = isPeerMessage(message) ? (sender ?? SELF) : sender;
          const line = encodeMessage(message, from);
          expect(line).not.to.match(/[\n\r]/);
          expect(decodeMessage(line)).to.deep.equal({ ok: true, message, from });
          // Through bytes as well: a lone surrogate must not become U+FFFD on the way.
          expect(decodeMessage(Buffer.from(line, 'utf8').toString('utf8'))).to.deep.equal({
            ok: true,
            message,
            from,
          });
        }),
        { numRuns: 300, seed: 20_251_122 + type },
      );
    });
  });

  it('leaves zero values out, but no object where one is required', () => {
    const zero = { request: NO_REQUEST, entry: entry(0), round: round(0) };
    const nothing = { round: NO_ROUND, value: '', request: NO_REQUEST };
    const cases: [Message, string][] = [
      [{ type: MessageType.Empty }, `{${PEER}}`],
      [{ type: MessageType.Prepare, ...zero }, `{"type":1,${PEER},"request":{}}`],
      [
        { type: MessageType.Promise, ...zero, roundvalue: nothing, length: 0, committed: entry(0) },
        `{"type":2,${PEER},"request":{},"roundvalue":{"round":-1}}`,
      ],
      [
        {
          type: MessageType.Promise,
          ...zero,
          roundvalue: { ...nothing, round: round(0) },
          length: 0,
          committed: entry(0),
        },
        `{"type":2,${PEER},"request":{},"roundvalue":{}}`,
      ],
      [{ type: MessageType.ClientConnectRequest, request: NO_REQUEST }, `{"type":11,${PEER}}`],
    ];
    for (const [message, line] of cases) expect(encodeMessage(message, SELF)).to.equal(line);
    expect(encodeMessage({ type: MessageType.Empty }, undefined)).to.equal('{}');
  });

  it('sends the entry in both places once a request is bound to it', () => {
    const request = { id: clientId(65_537), no: requestNumber(3), noset: false };
    const bound = { request, entry: entry(5), value: 'v' };
    const types = [MessageType.ClientResponse, MessageType.LogResponse, MessageType.AppResponse] as const;
    for (const type of types) {
      const expected = `{"type":${type},"request":{"id":65537,"no":3,"entry":5},"entry":5,"value":"v"}`;
      expect(encodeMessage({ type, ...bound }, undefined)).to.equal(expected);
    }
    const accept: Message = {
      type: MessageType.AcceptRequest,
      ...bound,
      round: round(1),
      committed: entry(0),
    };
    expect(JSON.parse(encodeMessage(accept, SELF))).to.have.nested.property('request.entry', 5);
    expect(JSON.parse(encodeMessage(accept, SELF))).to.not.have.nested.property('request.value');
  });

  it("sends a client's value in its request", () => {
    const request = { id: clientId(65_537), no: requestNumber(3), noset: false };
    const message: Message = { type: MessageType.ClientRequest, request, entry: entry(0), value: 'v' };
    expect(encodeMessage(message, undefined)).to.equal(
      '{"type":7,"request":{"id":65537,"no":3,"value":"v"}}',
    );
  });

  it('lets no agent send without its name', () => {
    const message: Message = {
      type: MessageType.Prepare,
      request: NO_REQUEST,
      entry: entry(0),
      round: round(0),
    };
    expect(() => encodeMessage(message, undefined)).to.throw('Prepare between agents must name its sender');
  });
});

describe('codec: entry and value stand in two places', () => {
  const prepare = (rest: string) => `{"type":1,${PEER},${rest}}`;
  const entryIn = (text: string) => (decoded(text) as { entry?: number }).entry;

  it('takes entry from either, and 0 where it is absent from both', () => {
    expect(entryIn(prepare('"request":{}'))).to.equal(0);
    expect(entryIn(prepare('"request":{},"entry":5'))).to.equal(5);
    expect(entryIn(prepare('"request":{"entry":5}'))).to.equal(5);
    expect(entryIn(prepare('"request":{"entry":5},"entry":5'))).to.equal(5);
  });

  it('refuses two that differ, a spelled out 0 included', () => {
    expect(refused(prepare('"request":{"entry":5,"id":7,"no":8},"entry":6'))).to.deep.equal({
      ok: false,
      code: 'malformed',
      text: 'entry is 6 but request.entry is 5: where both stand they must be equal',
      request: { id: 7, no: 8, noset: false },
    });
    expect(refused(prepare('"request":{"entry":5},"entry":0')).code).to.equal('malformed');
  });

  it('ignores entry and value in types that have none', () => {
    expect(decoded('{"entry":1,"request":{"entry":2},"value":3}')).to.deep.equal({ type: 0 });
    expect(decoded('{"type":15,"request":null,"entry":"x"}')).to.deep.equal({ type: 15 });
    expect(decoded('{"type":11,"entry":1,"request":{"entry":2}}')).to.deep.equal({
      type: 11,
      request: NO_REQUEST,
    });
  });

  it("takes a client's value from either, and refuses two that differ", () => {
    for (const text of [
      '{"type":7,"request":{"value":"v"}}',
      '{"type":7,"value":"v"}',
      '{"type":7,"value":"","request":{"value":"v"}}',
      '{"type":7,"value":"v","request":{"value":"v"}}',
    ]) {
      expect(decoded(text)).to.have.property('value', 'v');
    }
    expect(refused('{"type":7,"value":"v","request":{"value":"w"}}').text).to.match(
      /^value and request.value differ/,
    );
  });

  it("ignores request.value in agents' messages: the value travels at the top level", () => {
    expect(decoded(`{"type":4,${PEER},"request":{"value":7},"value":"v"}`)).to.have.property('value', 'v');
  });

  it('reads nothing out of "nothing accepted"', () => {
    const text = `{"type":2,${PEER},"request":{},"roundvalue":{"round":-1,"value":"v","request":{"id":7}}}`;
    expect(decoded(text)).to.have.deep.property('roundvalue', { round: -1, value: '', request: NO_REQUEST });
  });
});

describe('codec: the sender', () => {
  it('is unknown when a client leaves it out, in whole or in half', () => {
    for (const sender of [
      '',
      ',"fromaddress":"","fromport":""',
      ',"fromaddress":"10.0.0.1"',
      ',"fromport":"7001"',
    ]) {
      expect(decodeMessage(`{"type":11${sender}}`)).to.deep.include({ ok: true, from: undefined });
    }
    expect(decodeMessage(`{"type":11,${PEER}}`)).to.deep.include({ ok: true, from: SELF });
  });

  it('is required of agents', () => {
    for (let type = 1; type <= 6; type++) {
      const rest = `"request":{},"roundvalue":{}}`;
      expect(refused(`{"type":${type},"fromport":"7001",${rest}`).text).to.match(/^fromaddress is missing/);
      expect(refused(`{"type":${type},"fromaddress":"10.0.0.1",${rest}`).text).to.match(
        /^fromport is missing/,
      );
    }
  });
});

describe('codec: what is refused, and how it is said', () => {
  const cases: [string, string][] = [
    ['{"type":7,"request":{"no":"7"}}', 'request.no must be an integer from 0 to 9007199254740991, got "7"'],
    [
      '{"type":7,"request":{"no":1e400}}',
      'request.no must be an integer from 0 to 9007199254740991, got Infinity',
    ],
    [
      '{"type":7,"request":{"no":{}}}',
      'request.no must be an integer from 0 to 9007199254740991, got an object',
    ],
    ['{"type":7,"request":{"noset":1}}', 'request.noset must be true or false, got 1'],
    ['{"type":7,"request":[]}', 'request must be an object, got an array'],
    ['{"type":7,"request":{"value":null}}', 'request.value must be a string, got null'],
    [`{"type":1,${PEER}}`, 'request is missing: every Prepare carries it'],
    [`{"type":2,${PEER},"request":{}}`, 'roundvalue is missing: every Promise carries it'],
    [
      `{"type":1,${PEER},"request":{},"round":${MAX_ROUND}}`,
      `round must be an integer from 0 to ${MAX_ROUND - 1}, got ${MAX_ROUND}`,
    ],
    [
      '{"type":9,"leaderport":7001}',
      'leaderport must be a port from 1 to 65535 as a string, such as "7001", got 7001',
    ],
    [
      '{"type":9,"leaderaddress":"::1"}',
      'leaderaddress must be an IPv4 address as a string, such as "10.0.0.1", got "::1"',
    ],
    ['{"type":"7"}', 'type must be an integer from 0 to 16, got "7"'],
    ['{"type":17}', 'type must be an integer from 0 to 16, got 17'],
    ['{"type":null}', 'type must be an integer from 0 to 16, got null'],
    ['[]', 'a message must be a JSON object, got an array'],
    ['"x"', 'a message must be a JSON object, got "x"'],
    ['null', 'a message must be a JSON object, got null'],
  ];
  for (const [text, expected] of cases) {
    it(text, () => {
      expect(refused(text)).to.deep.include({ code: 'malformed', text: expected });
    });
  }

  it('names the request as far as it can be read', () => {
    const no = { id: 7, no: 8, noset: true };
    expect(refused('{"type":7,"request":{"id":7,"no":8,"noset":true,"value":9}}').request).to.deep.equal(no);
    expect(refused('{"type":"7","request":{"id":7,"no":8,"noset":true}}').request).to.deep.equal(no);
    expect(refused('{"type":7,"request":{"id":7,"no":"8"}}').request).to.equal(NO_REQUEST);
    expect(refused('{"type":7,"request":{"id":-7,"no":8}}').request).to.equal(NO_REQUEST);
    for (const odd of ['null', '3', '"x"', '[{"id":7}]', '{"__proto__":{"id":7}}']) {
      expect(refused(`{"type":"7","request":${odd}}`).request, odd).to.deep.equal(NO_REQUEST);
    }
  });

  it('repeats nothing long and nothing that a terminal obeys', () => {
    const nasty = '\u001b[31m\u009b31m\u202e\u0007\u007f';
    for (const text of [
      JSON.stringify({ type: 7, request: { no: nasty } }),
      JSON.stringify({ type: 7, request: { no: nasty.repeat(10_000) } }),
      JSON.stringify(nasty.repeat(1000)),
      nasty,
      nasty.repeat(1000),
      `{"${nasty}`,
    ]) {
      const { text: said } = refused(text);
      expect(said).to.match(/^[\x20-\x7e…]+$/);
      expect(said.length).to.be.below(900);
    }
    expect(refused(JSON.stringify({ type: 7, request: { no: 'x'.repeat(1000) } })).text).to.equal(
      `request.no must be an integer from 0 to 9007199254740991, got "${'x'.repeat(40)}…" (1000 characters)`,
    );
  });

  it('refuses a value that could not be reported, and names the request', () => {
    const request = (value: string) => JSON.stringify({ type: 7, request: { id: 7, no: 8, value } });
    expect(decoded(request('x'.repeat(MAX_VALUE_COST))))
      .to.have.property('value')
      .of.length(MAX_VALUE_COST);
    const result = refused(request('x'.repeat(MAX_VALUE_COST + 1)));
    expect(result).to.deep.include({ code: 'value-too-large', request: { id: 7, no: 8, noset: false } });
    expect(result.text)
      .to.include(`${MAX_VALUE_COST + 1} bytes`)
      .and.to.include(String(MAX_VALUE_COST));
  });

  it(`refuses more than ${MAX_NESTING} levels, whatever they are made of, and counts no bracket in a string`, () => {
    const nested = (levels: number) => `{"type":11,"x":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
    expect(decoded(nested(MAX_NESTING))).to.have.property('type', 11);
    const text = `nested more than ${MAX_NESTING} levels deep`;
    expect(refused(nested(MAX_NESTING + 1)).text).to.equal(text);
    expect(refused('['.repeat(100_000)).text).to.equal(text);
    expect(refused('{"x":'.repeat(100_000)).text).to.equal(text);
    expect(refused(`{"x":"\\\\","y":${'['.repeat(100)}`).text).to.equal(text);
    const quoted = '[{"'.repeat(100) + '\\"[{'.repeat(100) + '\\\\';
    expect(decoded(JSON.stringify({ type: 7, value: quoted }))).to.have.property('value', quoted);
  });
});

describe('codec: the longest message fits into a datagram', () => {
  const N = Number.MAX_SAFE_INTEGER;
  const leader = { leaderaddress: '255.255.255.255', leaderport: '65535' };
  const from = { address: '255.255.255.255', port: '65535' };
  const request = { id: clientId(N), no: requestNumber(N), noset: true };

  /** The most wasteful way to write the four types: every field, a space behind each colon and comma. */
  function wordiest(value: string): string[] {
    const sender = { fromaddress: from.address, fromport: from.port };
    const asked = { id: N, no: N, entry: N, noset: false };
    const common = { ...sender, request: asked, entry: N, round: N };
    const roundvalue = { round: N, value, request: asked };
    const messages: object[] = [
      { type: 2, ...common, roundvalue, length: N, committed: N },
      { type: 3, ...common, roundvalue, promised: N, ...leader },
      { type: 4, ...common, value, committed: N },
      { type: 5, ...common, value },
    ];
    return messages.map((message) => JSON.stringify(message).replace(/([:,])(?=["{\dtf])/g, '$1 '));
  }

  it('MESSAGE_OVERHEAD_BYTES is what the wordiest encoder needs beside an empty value', () => {
    expect(Math.max(...wordiest('').map((text) => text.length))).to.equal(MESSAGE_OVERHEAD_BYTES);
  });

  const at = { request, entry: entry(N), round: round(MAX_ROUND - 1) };
  const longest = (value: string): Message[] => {
    const roundvalue = { round: round(MAX_ROUND - 1), value, request };
    return [
      { type: MessageType.Promise, ...at, roundvalue, length: N, committed: entry(N) },
      { type: MessageType.Nack, ...at, roundvalue, promised: round(MAX_ROUND - 1), ...leader },
      { type: MessageType.AcceptRequest, ...at, value, committed: entry(N) },
      { type: MessageType.Accepted, ...at, value },
    ];
  };
  const units = Math.floor(MAX_VALUE_COST / 6);
  const pad = 'x'.repeat(MAX_VALUE_COST - 6 * units);
  const values: [string, string][] = [
    ['plain ASCII', 'x'.repeat(MAX_VALUE_COST)],
    ['control characters', '\u0001'.repeat(units) + pad],
    ['lone surrogates', '\ud800'.repeat(units) + pad],
    ['three-byte characters', '漢'.repeat(units) + pad],
    [
      'four-byte characters',
      '😀'.repeat(Math.floor(units / 2)) + 'x'.repeat(MAX_VALUE_COST - 12 * Math.floor(units / 2)),
    ],
    ['quotes and backslashes', '"\\'.repeat(Math.floor(MAX_VALUE_COST / 4)) + 'x'.repeat(MAX_VALUE_COST % 4)],
    ['markup', '<>&'.repeat(Math.floor(units / 3)) + 'x'.repeat(MAX_VALUE_COST - 18 * Math.floor(units / 3))],
  ];
  for (const [name, value] of values) {
    it(`with a value of exactly MAX_VALUE_COST, made of ${name}`, () => {
      expect(valueCost(value)).to.equal(MAX_VALUE_COST);
      expect(decodeMessage(JSON.stringify({ type: 7, request: { value } })).ok).to.equal(true);
      for (const message of longest(value)) {
        const line = encodeMessage(message, from);
        expect(Buffer.byteLength(line)).to.be.at.most(MAX_DATAGRAM_BYTES);
        expect(decoded(line)).to.deep.equal(message);
      }
      const escapedAll = [...Array(value.length).keys()]
        .map((i) => worstEscape(value.charCodeAt(i)))
        .join('');
      for (const text of wordiest('')) {
        expect(text.length + escapedAll.length).to.be.at.most(MAX_DATAGRAM_BYTES);
      }
    });
  }

  /** As encoders that escape all they may write it: ASCII only, slashes, markup and DEL escaped. */
  function worstEscape(unit: number): string {
    const character = String.fromCharCode(unit);
    if ('"\\/'.includes(character)) return `\\${character}`;
    if (unit >= 0x20 && unit < 0x7f && !'<>&'.includes(character)) return character;
    return `\\u${unit.toString(16).padStart(4, '0')}`;
  }
});
