import { expect } from 'chai';
import fc from 'fast-check';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import { splitDatagram } from '../../src/wire/datagram.js';
import { textsOf } from '../support/datagram.js';
import { createLineReader, type Framed } from '../../src/wire/framing.js';
import { anyMessage } from './arbitraries.js';

const SELF = { address: '10.0.0.1', port: '7001' };

/** JSON texts in the place of a client's value, and the value that must come back; undefined: refused. */
const VALUES: [name: string, json: string, expected: string | undefined][] = [
  ['empty', '""', ''],
  ['a blank', '" "', ' '],
  ['NUL, escaped', '"\\u0000"', '\u0000'],
  ['NUL, raw', '"\u0000"', undefined],
  ['a tab, raw', '"\t"', undefined],
  ['a newline, escaped', '"\\n"', '\n'],
  ['a newline, raw', '"\n"', undefined],
  ['a carriage return, raw', '"\r"', undefined],
  ['escape, raw', '"\u001b[31m"', undefined],
  ['escape, escaped', '"\\u001b[31m"', '\u001b[31m'],
  ['delete, raw', '"\u007f"', '\u007f'],
  ['a C1 control, raw', '"\u009b"', '\u009b'],
  ['U+2028 and U+2029, raw', '"\u2028\u2029"', '\u2028\u2029'],
  ['a byte order mark inside', '"\ufeffx\ufeff"', '\ufeffx\ufeff'],
  ['U+FFFE and U+FFFF', '"\ufffe\uffff"', '\ufffe\uffff'],
  ['U+FFFD itself', '"\ufffd"', '\ufffd'],
  ['two-byte characters', '"é"', 'é'],
  ['a decomposed character, not composed', '"e\u0301"', 'e\u0301'],
  ['four-byte characters, raw', '"😀𝄞"', '😀𝄞'],
  ['four-byte characters, escaped', '"\\ud83d\\ude00"', '😀'],
  ['the last code point', '"\udbff\udfff"', '\udbff\udfff'],
  ['a lone high surrogate', '"\\ud800"', '\ud800'],
  ['a lone low surrogate', '"\\udc00x"', '\udc00x'],
  ['surrogates the wrong way round', '"\\udc00\\ud800"', '\udc00\ud800'],
  ['half of it escaped', '"\\ud83d\ude00"', '😀'],
  ['escapes in capitals', '"\\u00C9\\uD83D\\uDE00"', 'É😀'],
  ['all short escapes', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'],
  ['an unknown escape', '"\\x41"', undefined],
  ['an escape in capitals', '"\\U0041"', undefined],
  ['too few hex digits', '"\\u41"', undefined],
  ['hex digits that are none', '"\\u00g0"', undefined],
  ['an escape at the end', '"\\"', undefined],
  ['an apostrophe for a quote', "'x'", undefined],
  ['no quotes', 'x', undefined],
  ['a number', '7', undefined],
  ['null', 'null', undefined],
  ['true', 'true', undefined],
  ['an array of one string', '["x"]', undefined],
  ['an object with a toString', '{"toString":"x"}', undefined],
  ['JSON in a string', '"{\\"type\\":15}"', '{"type":15}'],
  ['brackets in a string', `"${'[{'.repeat(100)}"`, '[{'.repeat(100)],
  ['right-to-left override', '"\u202e"', '\u202e'],
];

/** JSON texts in the place of a request's number, and the number that must come back; undefined: refused. */
const NUMBERS: [json: string, expected: number | undefined][] = [
  ['0', 0],
  ['-0', 0],
  ['-0.0', 0],
  ['0e0', 0],
  ['1e-400', 0],
  ['1.0', 1],
  ['1e3', 1000],
  ['1E+3', 1000],
  ['10e-1', 1],
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['9007199254740992', undefined],
  ['9007199254740993', undefined],
  ['123456789012345678901234567890', undefined],
  ['1e400', undefined],
  ['-1e400', undefined],
  ['-1', undefined],
  ['0.1', undefined],
  ['1.5', undefined],
  ['00', undefined],
  ['01', undefined],
  ['+1', undefined],
  ['.5', undefined],
  ['1.', undefined],
  ['1e', undefined],
  ['0x10', undefined],
  ['1_000', undefined],
  ['1,000', undefined],
  ['--1', undefined],
  ['NaN', undefined],
  ['Infinity', undefined],
  ['-Infinity', undefined],
  ['１', undefined],
  ['"1"', undefined],
  ['""', undefined],
  ['null', undefined],
  ['false', undefined],
  ['[]', undefined],
  ['[1]', undefined],
  ['{}', undefined],
];

/** Whole texts, and the message that must come out; undefined: refused. */
const NOTHING = { id: 0, no: 0, noset: false };
const HELLO = { type: 11, request: NOTHING };
const TEXTS: [name: string, text: string, expected: object | undefined][] = [
  ['nothing', '', undefined],
  ['a blank', ' ', undefined],
  ['a NUL', '\u0000', undefined],
  ['an empty object', '{}', { type: 0 }],
  ['blanks everywhere', ' \t{ "type" : 11 \r\n}\n', HELLO],
  ['a byte order mark before it', '\ufeff{"type":11}', undefined],
  ['a no-break space before it', '\u00a0{"type":11}', undefined],
  ['a form feed before it', '\f{"type":11}', undefined],
  ['a comment', '{"type":11/*x*/}', undefined],
  ['a comment behind it', '{"type":11}//x', undefined],
  ['a comma too many', '{"type":11,}', undefined],
  ['a comma too early', '{,"type":11}', undefined],
  ['two commas', '{"type":11,,"x":1}', undefined],
  ['no comma', '{"type":11 "x":1}', undefined],
  ['no colon', '{"type" 11}', undefined],
  ['two colons', '{"type"::11}', undefined],
  ['no value', '{"type":}', undefined],
  ['no key', '{:11}', undefined],
  ['a key without quotes', '{type:11}', undefined],
  ['a number for a key', '{1:11}', undefined],
  ['a key in apostrophes', "{'type':11}", undefined],
  ['an escaped key', '{"\\u0074ype":11}', HELLO],
  ['a key in capitals, which is another key', '{"TYPE":11}', { type: 0 }],
  ['a duplicate key: the last wins', '{"type":15,"type":11}', HELLO],
  ['a duplicate key: the last is wrong', '{"type":11,"type":"x"}', undefined],
  [
    'a duplicate object: not merged',
    '{"type":11,"request":{"id":7},"request":{"no":8}}',
    { type: 11, request: { id: 0, no: 8, noset: false } },
  ],
  ['an empty key', '{"":1,"type":11}', HELLO],
  ['a long key', `{"${'k'.repeat(10_000)}":1,"type":11}`, HELLO],
  ['__proto__ with a type', '{"__proto__":{"type":15}}', { type: 0 }],
  ['__proto__ with a request', '{"type":11,"__proto__":{"request":{"id":7}}}', HELLO],
  ['__proto__ in the request', '{"type":11,"request":{"__proto__":{"id":7,"noset":true}}}', HELLO],
  ['__proto__ that is null', '{"type":11,"__proto__":null,"request":{"__proto__":null}}', HELLO],
  ['constructor and prototype', '{"type":11,"constructor":{"prototype":{"noset":true}}}', HELLO],
  [
    'hasOwnProperty',
    '{"type":11,"hasOwnProperty":1,"request":{"hasOwnProperty":null,"toString":1,"valueOf":2}}',
    HELLO,
  ],
  ['toJSON', '{"type":11,"toJSON":{"type":15}}', HELLO],
  ['two objects', '{"type":11}{"type":11}', undefined],
  ['garbage behind it', '{"type":11}x', undefined],
  ['a brace too many', '{"type":11}}', undefined],
  ['a brace too few', '{"type":11', undefined],
  ['an array around it', '[{"type":11}]', undefined],
  ['a string around it', '"{\\"type\\":11}"', undefined],
  ['true', 'true', undefined],
  ['True', 'True', undefined],
  ['null', 'null', undefined],
  ['nul', 'nul', undefined],
  ['a number', '11', undefined],
  ['a negative type', '{"type":-1}', undefined],
  ['type -0', '{"type":-0}', { type: 0 }],
  ['type 11.0', '{"type":11.0}', HELLO],
  ['type 1.1e1', '{"type":1.1e1}', HELLO],
  ['type 1.5', '{"type":1.5}', undefined],
  ['type true', '{"type":true}', undefined],
  ['type as an array', '{"type":[11]}', undefined],
  ['type 1e400', '{"type":1e400}', undefined],
  ['type 2^53', '{"type":9007199254740992}', undefined],
  ['type 0x0b', '{"type":0x0b}', undefined],
  ['unknown fields of every kind', '{"type":11,"a":null,"b":[1,{}],"c":1e400,"d":"\\ud800","e":-1.5}', HELLO],
];

describe('hostile JSON is refused, or comes back equal', () => {
  for (const [name, json, expected] of VALUES) {
    it(`a value: ${name}`, () => {
      const result = decodeMessage(`{"type":7,"request":{"id":7,"value":${json}}}`);
      if (expected === undefined) return void expect(result).to.include({ ok: false, code: 'malformed' });
      if (!result.ok) throw new Error(result.text);
      expect(result.message).to.have.property('value', expected);
      expect(decodeMessage(encodeMessage(result.message, undefined))).to.deep.equal(result);
    });
  }

  for (const [json, expected] of NUMBERS) {
    it(`a number: ${json}`, () => {
      const result = decodeMessage(`{"type":7,"request":{"no":${json}}}`);
      if (expected === undefined) return void expect(result).to.include({ ok: false, code: 'malformed' });
      if (!result.ok) throw new Error(result.text);
      // Chai's deep equality tells 0 from −0.
      expect(result.message).to.have.deep.property('request', { id: 0, no: expected, noset: false });
    });
  }

  for (const [name, text, expected] of TEXTS) {
    it(`a text: ${name}`, () => {
      const result = decodeMessage(text);
      if (expected === undefined) return void expect(result).to.include({ ok: false, code: 'malformed' });
      if (!result.ok) throw new Error(result.text);
      expect(result.message).to.deep.equal(expected);
      expect(Object.getPrototypeOf(result.message)).to.equal(Object.prototype);
    });
  }

  it('leaves Object.prototype as it was', () => {
    const before = Reflect.ownKeys(Object.prototype);
    for (const [, text] of TEXTS) decodeMessage(text);
    expect(Reflect.ownKeys(Object.prototype)).to.deep.equal(before);
    expect(({} as Record<string, unknown>).noset).to.equal(undefined);
  });
});

/** A change to some bytes: replaced, put in, taken out, or a bit flipped. */
const aMutation = fc.record({
  at: fc.nat(500),
  kind: fc.constantFrom('replace', 'insert', 'remove', 'flip', 'repeat'),
  byte: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(...Buffer.from('{}[]":,\\\n0-e.'))),
});

type Mutation = typeof aMutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(bytes: Buffer, { at, kind, byte }: Mutation): Buffer {
  const i = bytes.length === 0 ? 0 : at % bytes.length;
  const [head, tail] = [bytes.subarray(0, i), bytes.subarray(i)];
  switch (kind) {
    case 'replace':
      return Buffer.concat([head, Buffer.from([byte]), tail.subarray(1)]);
    case 'insert':
      return Buffer.concat([head, Buffer.from([byte]), tail]);
    case 'remove':
      return Buffer.concat([head, tail.subarray(1)]);
    case 'flip':
      return Buffer.concat([head, Buffer.from([(tail[0] ?? 0) ^ (1 << (byte % 8))]), tail.subarray(1)]);
    case 'repeat':
      return Buffer.concat([head, tail.subarray(0, 20), tail]);
  }
}

const mutated = fc
  .tuple(fc.array(anyMessage, { minLength: 1, maxLength: 3 }), fc.array(aMutation, { maxLength: 6 }))
  .map(([messages, mutations]) =>
    mutations.reduce(mutate, Buffer.from(messages.map((message) => encodeMessage(message, SELF)).join('\n'))),
  );

/** Whatever was taken can be said again and is the same. */
function checkDecoded(text: string): void {
  const result = decodeMessage(text);
  if (!result.ok) {
    expect(result.text).to.match(/^[\x20-\x7e…]+$/);
    return;
  }
  const line = encodeMessage(result.message, result.from);
  expect(decodeMessage(line)).to.deep.equal(result);
}

async function frame(chunks: readonly Uint8Array[]): Promise<Framed[]> {
  const reader = createLineReader({ max_line_bytes: 1000 });
  for (const chunk of chunks) reader.write(chunk);
  reader.end();
  const framed: Framed[] = [];
  for await (const piece of reader) framed.push(piece as Framed);
  return framed;
}

describe('fuzzing', () => {
  it('decodeMessage takes or refuses mutated messages, and never throws', () => {
    fc.assert(
      fc.property(mutated, (bytes) => {
        for (const text of bytes.toString('utf8').split('\n')) checkDecoded(text);
      }),
      { numRuns: 3000, seed: 65 },
    );
  });

  it('decodeMessage takes or refuses any JSON in any field', () => {
    const names = [
      'type',
      'request',
      'entry',
      'round',
      'value',
      'roundvalue',
      'fromaddress',
      'fromport',
      'committed',
      'error',
    ];
    const type = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 16 }) },
      { weight: 1, arbitrary: fc.jsonValue() },
    );
    const rest = fc.dictionary(
      fc.constantFrom(...names, '__proto__', 'leaderport'),
      fc.jsonValue({ maxDepth: 3 }),
    );
    fc.assert(
      fc.property(type, rest, (t, fields) => checkDecoded(JSON.stringify({ ...fields, type: t }))),
      { numRuns: 2000, seed: 69 },
    );
  });

  it('splitDatagram takes or refuses any bytes', () => {
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        const split = splitDatagram(bytes);
        if (split.ok) expect(textsOf(split)).to.have.length.above(0);
        else expect(split.reason).to.be.oneOf(['empty', 'not valid UTF-8']);
      }),
      { numRuns: 3000, seed: 73 },
    );
  });

  it('framing reads any bytes alike, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })),
        fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
        async (bytes, sizes) => {
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < bytes.length;) {
            const size = sizes.next().value as number;
            chunks.push(bytes.subarray(at, at + size));
            at += size;
          }
          const whole = await frame([bytes]);
          expect(await frame(chunks)).to.deep.equal(whole);
          for (const framed of whole) if (framed.ok) checkDecoded(framed.text);
        },
      ),
      { numRuns: 1500, seed: 74 },
    );
  });

  it('framing delivers every message that a newline or nothing at all separates', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyMessage, { maxLength: 5 }),
        fc.constantFrom('', ' ', '\n', '\r\n', '\n\n'),
        async (messages, between) => {
          const lines = messages.map((message) => encodeMessage(message, SELF));
          expect(await frame([Buffer.from(lines.join(between))])).to.deep.equal(
            lines.map((text) => ({ ok: true, text })),
          );
        },
      ),
      { numRuns: 500, seed: 75 },
    );
  });
});
