import { expect } from 'chai';
import { decodeMessage } from '../../src/wire/codec.js';
import { splitDatagram } from '../../src/wire/datagram.js';
import { textsOf } from '../support/datagram.js';
import { LineReader } from '../../src/wire/framing.js';
import { MAX_NESTING } from '../../src/wire/nesting.js';
import { exampleTexts, jsonCases, type JsonCase } from './corpus.js';
import { checkText } from './oracle.js';

const MAX_LINE_BYTES = 64 * 1024;

/** Only a long value reaches further, and one of its letters is like another. */
const MAX_FLIPPED_BYTES = 400;

/** The case in a place of a message. */
function within(before: string, { bytes }: JsonCase, behind: string): Buffer {
  return Buffer.concat([Buffer.from(before), bytes, Buffer.from(behind)]);
}

/** What an agent makes of bytes that come as a datagram: a code, or the value of what was taken. */
function asDatagram(bytes: Buffer): string {
  const split = splitDatagram(bytes);
  if (!split.ok) return 'malformed';
  const texts = textsOf(split).map((text) => {
    checkText(text);
    const decoded = decodeMessage(text);
    return decoded.ok ? ('value' in decoded.message ? `= ${decoded.message.value}` : 'taken') : decoded.code;
  });
  return [...new Set(texts)].join();
}

/** The same over TCP, at a time and byte by byte. */
function asStream(bytes: Buffer): string {
  const [whole, pieces] = [bytes.length || 1, 1].map((size) => {
    const reader = new LineReader({ max_line_bytes: MAX_LINE_BYTES });
    const framed = [];
    for (let at = 0; at < bytes.length; at += size)
      framed.push(...reader.read(bytes.subarray(at, at + size)));
    return [...framed, ...reader.end()];
  });
  expect(pieces).to.deep.equal(whole);
  const codes = whole!.map((one) => (one.ok ? asDatagram(Buffer.from(one.text)) : one.code));
  return [...new Set(codes)].join();
}

function parsed({ verdict, bytes }: JsonCase): unknown {
  return verdict === 'n' ? undefined : (JSON.parse(bytes.toString('utf8')) as unknown);
}

/** How deep brackets nest; none of the cases has any in strings that deep. */
function depth({ bytes }: JsonCase): number {
  let [depth, deepest] = [0, 0];
  for (const byte of bytes) {
    if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return deepest;
}

describe('fuzz: JSON by the rules of RFC 8259 (rows 70, 71 and 72)', () => {
  const cases = jsonCases();

  it('comes in hundreds of cases of each verdict', () => {
    for (const [verdict, least] of [
      ['y', 90],
      ['n', 200],
      ['i', 30],
    ] as const) {
      expect(cases.filter((one) => one.verdict === verdict)).to.have.length.above(least - 1);
    }
    expect(new Set(cases.map(({ verdict, bytes }) => verdict + bytes.toString('latin1'))).size).to.equal(
      cases.length,
    );
  });

  it('is the platform’s parser’s opinion, too', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    for (const { verdict, name, bytes } of cases) {
      const read = (): unknown => JSON.parse(strict.decode(bytes));
      if (verdict === 'n') expect(read, name).to.throw();
      else expect(read, name).to.not.throw();
    }
  });

  it('in a field that nobody knows is taken if it is JSON and nests no deeper than it may, and refused if not', () => {
    for (const one of cases) {
      const bytes = within('{"type":11,"unknown":', one, '}');
      // A raw newline, a blank in JSON, ends a message all the same.
      const isTaken = one.verdict !== 'n' && depth(one) < MAX_NESTING && !one.bytes.includes(0x0a);
      // Over TCP a message may end where its braces do, and what is wrong stands behind it.
      expect(asDatagram(bytes), one.name).to.match(isTaken ? /^taken$/ : /^malformed$/);
      expect(asStream(bytes), one.name).to.match(isTaken ? /^taken$/ : /(^|,)malformed(,|$)/);
    }
  });

  it('in the place of a value comes back equal if it is a string, and is refused if not', () => {
    for (const one of cases) {
      const bytes = within('{"type":7,"request":{"no":1,"value":', one, '}}');
      const value = parsed(one);
      if (typeof value === 'string') {
        expect(asDatagram(bytes), one.name).to.equal(`= ${value}`);
        expect(asStream(bytes), one.name).to.equal(`= ${value}`);
      } else {
        expect(asDatagram(bytes), one.name).to.match(/^malformed(,|$)/);
        expect(asStream(bytes), one.name).to.match(/^malformed(,|$)/);
      }
    }
  });

  it('in the place of a number is taken as what it says if that is a whole number that is safe', () => {
    for (const one of cases) {
      const value = parsed(one);
      const decoded = decodeMessage(within('{"type":7,"request":{"no":', one, '}}').toString('utf8'));
      const isTaken = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
      expect(decoded.ok, one.name).to.equal(isTaken);
      if (decoded.ok) expect(decoded.message).to.have.nested.property('request.no', Number(value) + 0);
    }
  });

  it('by itself is taken if it is an object whose fields say nothing wrong, and refused if not', () => {
    for (const one of cases) {
      const value = parsed(one);
      const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
      const isTaken = isObject && depth(one) <= MAX_NESTING;
      const decoded = decodeMessage(one.bytes.toString('utf8'));
      if (splitDatagram(one.bytes).ok || one.verdict !== 'n') expect(decoded.ok, one.name).to.equal(isTaken);
      asStream(one.bytes);
    }
  });
});

describe('fuzz: valid messages that are damaged (row 66)', () => {
  const valid = exampleTexts(['valid']);

  it('are refused when they are cut at any byte, from behind or from before', () => {
    expect(valid).to.have.length.above(40);
    for (const bytes of valid) {
      for (let at = 1; at < bytes.length; at++) {
        for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) {
          expect(decodeMessage(part.toString('latin1')).ok, part.toString()).to.equal(false);
        }
        expect(asStream(bytes.subarray(0, at))).to.equal('malformed');
      }
    }
  });

  it('are refused, or read as what they then say, when any bit is flipped', () => {
    let taken = 0;
    for (const bytes of valid) {
      for (let bit = 0; bit < 8 * Math.min(bytes.length, MAX_FLIPPED_BYTES); bit++) {
        const flipped = Buffer.from(bytes);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        const split = splitDatagram(flipped);
        if (split.ok && textsOf(split).some((text) => checkText(text).isTaken)) taken++;
      }
    }
    expect(taken).to.be.above(0);
  });
});
