import { expect } from 'chai';
import fc from 'fast-check';
import { MAX_DATAGRAM_BYTES } from '../../src/core/limits.js';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import {
  COALESCED_BYTES,
  DatagramJoiner,
  DatagramPacker,
  fitsAlone,
  splitDatagram,
} from '../../src/wire/datagram.js';
import { textsOf } from '../support/datagram.js';
import { anyMessage } from './arbitraries.js';

const SELF = { address: '10.0.0.1', port: '7001' };

function pack(texts: readonly string[], target_bytes?: number): Buffer[] {
  const packer = new DatagramPacker(target_bytes);
  const datagrams: Buffer[] = [];
  for (const text of texts) {
    const full = packer.add(text);
    if (full !== undefined) datagrams.push(full);
  }
  const last = packer.flush();
  if (last !== undefined) datagrams.push(last);
  expect(packer.waiting).to.equal(0);
  return datagrams;
}

function takenApart(bytes: Uint8Array): string[] {
  const split = splitDatagram(bytes);
  if (!split.ok) throw new Error(split.reason);
  return textsOf(split);
}

describe('datagram: taking apart', () => {
  const cases: [string, string, string[]][] = [
    ['one object', '{"type":11}', ['{"type":11}']],
    ['one object and a newline', '{"type":11}\n', ['{"type":11}']],
    ['two objects', '{}\n{"type":11}', ['{}', '{"type":11}']],
    ['blank lines', '\n \n{}\r\n\r\n\t\n{"type":11}\n\n', ['{}\r', '{"type":11}']],
    ['trailing garbage', '{}\ngarbage', ['{}', 'garbage']],
    ['a byte order mark, which stays', '\ufeff{}', ['\ufeff{}']],
  ];
  for (const [name, datagram, texts] of cases) {
    it(name, () => {
      expect(takenApart(Buffer.from(datagram))).to.deep.equal(texts);
    });
  }

  for (const empty of ['', '\n', ' \r\n\t\n']) {
    it(`refuses ${JSON.stringify(empty)}, which holds nothing`, () => {
      expect(splitDatagram(Buffer.from(empty))).to.deep.equal({ ok: false, reason: 'empty' });
    });
  }

  for (const bytes of [
    [0xff],
    [0x7b, 0xc3, 0x28, 0x7d],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x9f, 0x98],
    [0xc0, 0x80],
  ]) {
    it(`refuses ${Buffer.from(bytes).toString('hex')}, which isn't UTF-8`, () => {
      expect(splitDatagram(Uint8Array.from(bytes))).to.deep.equal({ ok: false, reason: 'not valid UTF-8' });
    });
  }

  it('reads a view into a larger buffer only as far as it reaches', () => {
    const large = new TextEncoder().encode('garbage{}garbage');
    expect(takenApart(large.subarray(7, 9))).to.deep.equal(['{}']);
  });
});

describe('datagram: packing', () => {
  it('gives back every message, in order, in datagrams within the target', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { maxLength: 40 }),
        fc.integer({ min: 200, max: 2000 }),
        (messages, target) => {
          const texts = messages.map((message) => encodeMessage(message, SELF));
          const datagrams = pack(texts, target);
          for (const datagram of datagrams) {
            expect(datagram.length <= target || takenApart(datagram).length === 1).to.equal(true);
          }
          const back = datagrams.flatMap((datagram) => takenApart(datagram));
          expect(back).to.deep.equal(texts);
          expect(back.map((text) => decodeMessage(text))).to.deep.equal(
            messages.map((message) => ({ ok: true, message, from: SELF })),
          );
        },
      ),
      { numRuns: 100, seed: 7 },
    );
  });

  it('fills a datagram to the last byte and not beyond', () => {
    expect(pack(['aaaa', 'bbbb'], 9).map(String)).to.deep.equal(['aaaa\nbbbb']);
    expect(pack(['aaaa', 'bbbb'], 8).map(String)).to.deep.equal(['aaaa', 'bbbb']);
    expect(pack(['é', 'é'], 5).map(String)).to.deep.equal(['é\né']);
    expect(pack(['é', 'é'], 4).map(String)).to.deep.equal(['é', 'é']);
  });

  it('sends what is longer than the target alone, and keeps the order', () => {
    const long = 'x'.repeat(COALESCED_BYTES + 1);
    expect(pack(['a', 'b', long, 'c', 'd']).map(String)).to.deep.equal(['a\nb', long, 'c\nd']);
  });

  it('fills datagrams to another size from where it is told to', () => {
    const packer = new DatagramPacker(10);
    for (const text of ['aaaa', 'bbbb']) expect(packer.add(text)).to.equal(undefined);
    packer.resize(4);
    expect(packer.add('c')?.toString(), 'what was joined before').to.equal('aaaa\nbbbb');
    expect(packer.add('ddd')?.toString()).to.equal('c');
    expect(packer.flush()?.toString()).to.equal('ddd');
    expect(() => packer.resize(0)).to.throw(RangeError);
  });

  it('makes what is broadcast once, and what differs for each', () => {
    const joiner = new DatagramJoiner();
    const send = (...texts: string[]): Buffer | undefined => {
      const packer = new DatagramPacker(COALESCED_BYTES, joiner);
      for (const text of texts) packer.add(text);
      return packer.flush();
    };
    const first = send('{"a":1}', '{"b":2}');
    expect(send('{"a":1}', '{"b":2}')).to.equal(first);
    for (const others of [['{"a":1}'], ['{"a":1}', '{"b":3}'], ['{"a":1}', '{"b":2}', '{}']]) {
      expect(send(...others)?.toString()).to.equal(others.join('\n'));
    }
    expect(first?.toString(), 'as it was sent').to.equal('{"a":1}\n{"b":2}');
  });

  it('gives nothing back when nothing waits', () => {
    expect(new DatagramPacker().flush()).to.equal(undefined);
  });

  it('knows what no datagram holds', () => {
    expect(fitsAlone('x'.repeat(MAX_DATAGRAM_BYTES))).to.equal(true);
    expect(fitsAlone('x'.repeat(MAX_DATAGRAM_BYTES + 1))).to.equal(false);
    expect(fitsAlone('é'.repeat(MAX_DATAGRAM_BYTES / 2 + 1))).to.equal(false);
    for (const target of [0, -1, MAX_DATAGRAM_BYTES + 1, Number.NaN]) {
      expect(() => new DatagramPacker(target), String(target)).to.throw(RangeError);
    }
  });
});
