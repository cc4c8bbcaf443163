import type { SeededRandom } from '../support/random.js';

/** The longest case: what a datagram holds, and a little more. */
export const MAX_CASE_BYTES = 65_600;

/** Mutations of one case: often one, sometimes many. */
const MAX_MUTATIONS = 8;

/** The longest piece that is copied or taken out. */
const MAX_PIECE_BYTES = 64;

/** What breaks readers of JSON, of this protocol, and of text. */
const TOKENS: readonly string[] = [
  ...['{', '}', '[', ']', ':', ',', '"', '\\', '\n', '\r\n', ' ', '\t', '\0', '-', '+', '.', 'e', 'E'],
  ...['{}', '[]', '""', 'null', 'true', 'false', 'NaN', 'Infinity', '0x1', '1e400', '-0', '0.1', '00'],
  ...['9007199254740991', '9007199254740992', '137438953471', '137438953472', '1.0', '1e3', '-1'],
  ...['\\u0000', '\\ud800', '\\udc00', '\\u00', '\\x41', '\\"', '\\\\', '\ufeff', '\u2028', 'é', '😀'],
  ...['"type":', '"request":{', '"id":', '"no":', '"noset":true', '"entry":', '"value":', '"round":'],
  ...['"roundvalue":{', '"committed":', '"length":', '"promised":', '"error":', '"fromaddress":'],
  ...['"fromport":', '"leaderaddress":', '"leaderport":', '"__proto__":', '"constructor":', '"toString":'],
  ...['"127.0.0.1"', '"7001"', '"TYPE":', '/*', '//', "'", '\u001b[2J', '[[[[[[[[', '{"a":{"a":{"a":'],
];

const BYTE_TOKENS: readonly Buffer[] = [
  ...TOKENS.map((token) => Buffer.from(token)),
  ...[[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x28, 0xa1], [0x80]].map(
    (bytes) => Buffer.from(bytes),
  ),
];

/** Numbers that replace numbers. */
const NUMBERS = [
  ...['0', '1', '-1', '1.5', '1e400', '-0', '2', '7', '16', '17', '255', '256', '65535', '65536'],
  ...['4294967296', '9007199254740991', '9007199254740993', '1e15', '000000000000000', '"7"', 'null'],
];

type Mutation = (bytes: Buffer, other: Buffer, random: SeededRandom) => Buffer;

function splice(bytes: Buffer, at: number, taken: number, put: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(Math.min(bytes.length, at + taken))]);
}

function place(bytes: Buffer, random: SeededRandom): number {
  return random.below(bytes.length + 1);
}

/** A stretch of `bytes`. */
function piece(bytes: Buffer, random: SeededRandom): Buffer {
  const start = place(bytes, random);
  return bytes.subarray(start, start + 1 + random.below(MAX_PIECE_BYTES));
}

function flipBit(bytes: Buffer, _other: Buffer, random: SeededRandom): Buffer {
  if (bytes.length === 0) return bytes;
  const flipped = Buffer.from(bytes);
  const at = random.below(bytes.length);
  flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
  return flipped;
}

const setByte: Mutation = (bytes, _other, random) =>
  splice(bytes, place(bytes, random), 1, Buffer.from([random.below(256)]));
const takeOut: Mutation = (bytes, _other, random) =>
  splice(bytes, place(bytes, random), 1 + random.below(MAX_PIECE_BYTES), Buffer.alloc(0));
const repeatPiece: Mutation = (bytes, _other, random) =>
  splice(bytes, place(bytes, random), 0, piece(bytes, random));
const putToken: Mutation = (bytes, _other, random) =>
  splice(bytes, place(bytes, random), random.below(4), random.pick(BYTE_TOKENS));
const crossOver: Mutation = (bytes, other, random) =>
  Buffer.concat([bytes.subarray(0, place(bytes, random)), other.subarray(place(other, random))]);
const putPiece: Mutation = (bytes, other, random) =>
  splice(bytes, place(bytes, random), random.below(MAX_PIECE_BYTES), piece(other, random));
const cut: Mutation = (bytes, _other, random) => bytes.subarray(0, place(bytes, random));
const append: Mutation = (bytes, other, random) =>
  Buffer.concat([bytes, random.chance(0.5) ? Buffer.from('\n') : Buffer.alloc(0), other]);

/** Blows a case up to about what a datagram holds. */
function blowUp(bytes: Buffer, _other: Buffer, random: SeededRandom): Buffer {
  const filler = random.chance(0.5) ? random.pick(BYTE_TOKENS) : piece(bytes, random);
  if (filler.length === 0) return bytes;
  const room_bytes = random.below(MAX_CASE_BYTES - Math.min(bytes.length, MAX_CASE_BYTES) + 1);
  return splice(bytes, place(bytes, random), 0, Buffer.alloc(room_bytes, filler));
}

/** Puts something else in the place of a number, or of a string. */
function replaceToken(bytes: Buffer, _other: Buffer, random: SeededRandom): Buffer {
  const text = bytes.toString('latin1');
  const isNumber = random.chance(0.6);
  const found = [...text.matchAll(isNumber ? /-?\d+/g : /"[^"]*"/g)];
  if (found.length === 0) return bytes;
  const { 0: token, index } = random.pick(found);
  const put = isNumber ? Buffer.from(random.pick(NUMBERS)) : random.pick(BYTE_TOKENS);
  return splice(bytes, index, token.length, put);
}

const MUTATIONS: readonly { readonly weight: number; readonly mutation: Mutation }[] = [
  { weight: 4, mutation: flipBit },
  { weight: 3, mutation: setByte },
  { weight: 3, mutation: takeOut },
  { weight: 2, mutation: repeatPiece },
  { weight: 5, mutation: putToken },
  { weight: 6, mutation: replaceToken },
  { weight: 2, mutation: crossOver },
  { weight: 3, mutation: putPiece },
  { weight: 1, mutation: cut },
  { weight: 0.5, mutation: append },
  { weight: 0.05, mutation: blowUp },
];

const TOTAL_WEIGHT = MUTATIONS.reduce((sum, { weight }) => sum + weight, 0);

function draw(random: SeededRandom): Mutation {
  let left = random.next() * TOTAL_WEIGHT;
  for (const { weight, mutation } of MUTATIONS) {
    left -= weight;
    if (left < 0) return mutation;
  }
  return flipBit;
}

/** A case made from `one` by some mutations, with pieces of `other`. */
export function mutateBytes(one: Buffer, other: Buffer, random: SeededRandom): Buffer {
  let bytes = one;
  const count = 1 + Math.floor(random.next() ** 6 * MAX_MUTATIONS);
  for (let i = 0; i < count; i++) bytes = draw(random)(bytes, other, random);
  return bytes.length > MAX_CASE_BYTES ? bytes.subarray(0, MAX_CASE_BYTES) : bytes;
}

/** Smaller cases: without a stretch, long stretches first; then with plainer bytes. */
export function* smallerBytes(bytes: Buffer): Generator<Buffer> {
  for (let length = bytes.length; length >= 1; length = Math.floor(length / 2)) {
    for (let at = 0; at < bytes.length; at += length) yield splice(bytes, at, length, Buffer.alloc(0));
  }
  const plain = Buffer.from('0');
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== plain[0]) yield splice(bytes, at, 1, plain);
  }
}
