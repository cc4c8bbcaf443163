import { readdirSync, readFileSync } from 'node:fs';
import { decodeMessage } from '../../../src/wire/codec.js';

const EXAMPLES = new URL('../../../schema/examples/', import.meta.url);

const DEEP_NESTING = 100_000;

/** What stands in the place of a field's value, as JSON or nearly so. */
const ODD_VALUES = [
  ...['null', 'true', 'false', '""', '"7"', '"\\u0000"', '"\\ud800"', '[]', '{}', '[1]', '{"x":null}'],
  ...['-1', '1.5', '1e400', '-1e400', '9007199254740992', '123456789012345678901234567890', '-0', '0.1'],
  ...['00', '01', '+1', '.5', '1.', '1e', '0x10', 'NaN', 'Infinity', '1_000', "'x'", 'x', ''],
  ...['[[[[', '{"a":{"a":{"a":', '"', '"\\x41"', '"\u0000"', '"\t"', '\u2028', '\ufeff1'],
  `${'['.repeat(1_000)}${']'.repeat(1_000)}`,
  `"${'x'.repeat(70_000)}"`,
  `"${'\\u001b[31m'.repeat(20)}"`,
];

/** Keys that are known to no message, or to every object. */
const ODD_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'TYPE',
  '',
  '\u0000',
];

/** Texts on their own: what parsers are known to differ about, and what is no text. */
const ODD_TEXTS: readonly (string | Uint8Array)[] = [
  ...[
    'null',
    'true',
    '7',
    '"text"',
    '[]',
    '[1,2]',
    '[[]]',
    '-',
    '1e',
    '"',
    '\\',
    '\u0000',
    '\ufeff{}',
    '\u00a0{}',
  ],
  ...['{,}', '{"a"}', '{"a":}', '{"a" 1}', '{"a":1,}', '{"a":1,,"b":2}', '{a:1}', "{'a':1}", '{"a":1 "b":2}'],
  ...[
    '{"a":/**/1}',
    '{"a":1}//',
    '#{}',
    '{"a":tru}',
    '{"a":nul}',
    '{"a":True}',
    '{"a":undefined}',
    '{"a":\u2028}x',
  ],
  ...['{"\\u":1}', '{"\\ud800x":}', '{"a":"\\u00"}', '{"a":"\\uD83D\\u"}', '{"a":"\u0001"}', '{"a":"\\a"}'],
  ...['{"type":17}', '{"type":-1}', '{"type":1e9}', '{"type":[]}', '{"type":{"type":11}}', '{"type":null}'],
  '['.repeat(DEEP_NESTING),
  `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  `${'['.repeat(20_000)}{"type":11}${']'.repeat(20_000)}`,
  'x'.repeat(65_000),
  '\u001b[2J\u001b[31m',
  ...[
    [0xff],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x82],
    [0xfe, 0xff, 0x7b, 0x7d],
  ].map((bytes) =>
    Buffer.from([...Buffer.from('{"type":7,"request":{"value":"'), ...bytes, ...Buffer.from('"}}')]),
  ),
  new Uint8Array(0),
  new Uint8Array(1),
  new Uint8Array(65_507),
];

/** Names a client or a node: the same text, said by somebody else. */
export type Rename = (text: string) => string;

/** The schemas' examples of this kind, of all types. */
export function examples(kind: 'valid' | 'invalid'): string[] {
  return readdirSync(EXAMPLES).flatMap((type) => {
    const folder = new URL(`${type}/${kind}/`, EXAMPLES);
    return readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8').trim());
  });
}

/** A generator of numbers below 2^32 from a seed, so that a run can be repeated. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e37_79b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

/** Every field of a message, at any depth, with each odd value; and odd keys beside them. */
function* oddFields(text: string): Generator<string> {
  for (const { index, 0: key } of text.matchAll(/"[a-z]+"\s*:\s*/g)) {
    const from = index + key.length;
    const end = endOfValue(text, from);
    for (const value of ODD_VALUES) yield text.slice(0, from) + value + text.slice(end);
    for (const odd of ODD_KEYS) yield `${text.slice(0, index)}${JSON.stringify(odd)}:${text.slice(from)}`;
    // Twice, and the last one counts.
    yield `${text.slice(0, end)},${key}[]${text.slice(end)}`;
  }
}

/** Where the JSON value that begins at `from` ends. */
function endOfValue(text: string, from: number): number {
  for (let end = from + 1; end <= text.length; end++) {
    try {
      JSON.parse(text.slice(from, end));
      // A number goes on as long as its digits do.
      if (!/[0-9]/.test(text[end] ?? '')) return end;
    } catch {
      // Not yet.
    }
  }
  return text.length;
}

/**
 * Every valid example cut at each byte, one bit of each byte flipped (which one is drawn), every field with odd values;
 * the invalid examples; and odd texts. What is a message nevertheless is left out: it would do what it says.
 */
export function* corpus(draw: () => number, rename: Rename = (text) => text): Generator<Uint8Array> {
  const valid = examples('valid').map(rename);
  for (const text of [...examples('invalid').map(rename), ...ODD_TEXTS]) {
    const bytes = Buffer.from(text);
    if (!isMessage(bytes)) yield bytes;
  }
  for (const text of valid) {
    const bytes = Buffer.from(text);
    for (let cut = 1; cut < bytes.length; cut++) yield bytes.subarray(0, cut);
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << (draw() % 8);
      if (!isMessage(flipped)) yield flipped;
    }
    for (const odd of oddFields(text)) if (!isMessage(Buffer.from(odd))) yield Buffer.from(odd);
  }
}

/** Whether any line of it, or what a line begins with, is a message, or could pass for one that ends a node. */
function isMessage(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes).toString('utf8');
  return /"type"\s*:\s*1\.?5/.test(text) || text.split('\n').some((line) => decodeMessage(line).ok);
}

/** Ever more of the corpus, with other bits flipped each time, until there have been so many. */
export function* manyOf(count: number, seed: number, rename?: Rename): Generator<Uint8Array> {
  const draw = numbers(seed);
  let left = count;
  while (left > 0) {
    for (const bytes of corpus(draw, rename)) {
      if (left-- <= 0) return;
      yield bytes;
    }
  }
}
