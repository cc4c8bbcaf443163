import { expect } from 'chai';
import fc from 'fast-check';
import type { Address } from '../../src/core/address.js';
import type { Decree } from '../../src/core/decree.js';
import { agentIndex, entry as entryOf, round, type Entry } from '../../src/core/ids.js';
import {
  differenceOfHeader,
  encodeRecord,
  GROUP_HEADER_BYTES,
  GroupBuilder,
  groupHeader,
  hasZeroSector,
  isCutShort,
  isZero,
  lineBytes,
  MAX_GROUP_BYTES,
  MAX_SEGMENT_HEADER_BYTES,
  parseGroupHeader,
  recordSource,
  segmentHeader,
  splitGroup,
  type RecordSource,
} from '../../src/journal/format.js';
import { parseRecord } from '../../src/journal/record-reader.js';
import { ChosenLineReader } from '../../src/wire/chosen-line.js';
import { ProposalReader } from '../../src/wire/proposal-reader.js';
import { accepted, AGENTS, learnt, MEMBERS, RECORDS, SELF } from './support.js';

const STAMP = { node: SELF, journal: '0123456789abcdef0123456789abcdef' };

function parseLine(from: Address, line: string): { entry: Entry; decree: Decree } {
  const decree = new ChosenLineReader(from).read(Buffer.from(`${line}\n`), 0);
  if (decree === undefined) throw new Error(`not as usual: ${line}`);
  return { entry: decree.entry, decree };
}

function build(texts: readonly RecordSource[], sequence = 7): Buffer {
  const group = new GroupBuilder();
  for (const text of texts) group.append(text);
  return Buffer.from(group.finish(sequence));
}

describe('journal format (spec.md, "Durability")', () => {
  it('gives every record back as it was', () => {
    fc.assert(
      fc.property(RECORDS, (record) => {
        const text = encodeRecord(record, MEMBERS);
        expect(text).not.to.match(/[\n\0]/);
        expect(parseRecord(text, MEMBERS)).to.deep.equal({ ok: true, record });
      }),
    );
  });

  it('writes the line of a chosen entry as it came, and as it would have been written', () => {
    const from = AGENTS[2]!;
    const line = encodeRecord(learnt(5, 'a "quoted" value'), MEMBERS).slice('learnt '.length);
    const { entry, decree } = parseLine(from, line);
    const record = { verdict: 'learnt', entry, peer: agentIndex(2), decree } as const;
    const source = recordSource(record, MEMBERS);
    expect(source).to.equal(decree);
    const text = encodeRecord(record, MEMBERS);
    expect(text).to.equal(`learnt ${line}`);
    expect(lineBytes(source)).to.equal(lineBytes(text));
    // Behind others, and in a builder that has to grow for it.
    const others = ['first', 'x'.repeat(20_000)];
    expect(build([...others, source])).to.deep.equal(build([...others, text]));
    expect(build(Array<RecordSource>(200).fill(source))).to.deep.equal(build(Array<string>(200).fill(text)));

    for (const other of [
      { ...record, entry: entryOf(6) },
      { ...record, peer: agentIndex(0) },
      { ...record, verdict: 'accepted', round: round(1), owner: agentIndex(2) },
    ] as const)
      expect(recordSource(other, MEMBERS)).to.equal(encodeRecord(other, MEMBERS));
  });

  it('writes the line of a vote as it came, without the commit index, and as it would have been written', () => {
    for (const behind of ['', ',"committed":5']) {
      const text = encodeRecord(accepted(6, 'a "quoted" value', 2), MEMBERS);
      const line = `${text.slice('accepted '.length, -1)}${behind}}`;
      const [decree] = new ProposalReader(AGENTS[0]!).readAll(Buffer.from(line)) ?? [];
      if (decree === undefined) throw new Error(`not as usual: ${line}`);
      const owner = agentIndex(0);
      const record = { verdict: 'accepted', entry: entryOf(6), round: round(2), owner, decree } as const;
      const source = recordSource(record, MEMBERS);
      expect(source).to.equal(decree);
      expect(encodeRecord(record, MEMBERS)).to.equal(text);
      expect(lineBytes(source)).to.equal(lineBytes(text));
      const others = ['first', 'x'.repeat(20_000)];
      expect(build([...others, source])).to.deep.equal(build([...others, text]));
      expect(build(Array<RecordSource>(200).fill(source))).to.deep.equal(
        build(Array<string>(200).fill(text)),
      );

      // Accepted again for another proposer, as an old value is; or learnt by whatever way.
      for (const other of [
        { ...record, entry: entryOf(5) },
        { ...record, round: round(3) },
        { ...record, owner: agentIndex(1) },
        { verdict: 'learnt', entry: entryOf(6), peer: owner, decree },
      ] as const)
        expect(recordSource(other, MEMBERS)).to.equal(encodeRecord(other, MEMBERS));
    }
  });

  it('writes the received message and the verdict on it, readable as text', () => {
    expect(encodeRecord(accepted(3, 'hi', 4), MEMBERS)).to.equal(
      'accepted {"type":4,"fromaddress":"127.0.0.1","fromport":"7001","request":{"id":65537,"no":1,"entry":3},' +
        '"entry":3,"round":4,"value":"hi"}',
    );
  });

  it('gives every group back as it was, whatever its records', () => {
    fc.assert(
      fc.property(fc.array(RECORDS, { minLength: 1, maxLength: 20 }), fc.nat(), (records, sequence) => {
        const texts = records.map((record) => encodeRecord(record, MEMBERS));
        const bytes = build(texts, sequence);
        const header = parseGroupHeader(bytes);
        expect(header).to.include({ sequence, records: records.length });
        const { lines, bad } = splitGroup(bytes.subarray(GROUP_HEADER_BYTES), header!);
        expect(bad).to.equal(undefined);
        expect(lines.map(({ text }) => text)).to.deep.equal(texts);
      }),
    );
  });

  it('reuses the memory of a group', () => {
    const group = new GroupBuilder();
    group.append('first');
    group.finish(1);
    group.clear();
    expect(group.append('second')).to.equal(GROUP_HEADER_BYTES);
    expect(Buffer.from(group.finish(2))).to.deep.equal(build(['second'], 2));
  });

  it('refuses a group header with any bit flipped, of any other length, or too large', () => {
    const header = groupHeader({ sequence: 5, bytes: 100, records: 2 });
    expect(header.length).to.equal(GROUP_HEADER_BYTES);
    for (let bit = 0; bit < header.length * 8; bit++) {
      const flipped = Buffer.from(header);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(parseGroupHeader(flipped), `bit ${bit}`).to.equal(undefined);
    }
    expect(parseGroupHeader(header.subarray(0, -1))).to.equal(undefined);
    const large = groupHeader({ sequence: 5, bytes: MAX_GROUP_BYTES + 1, records: 2 });
    expect(parseGroupHeader(large)).to.equal(undefined);
    expect(parseGroupHeader(groupHeader({ sequence: 5, bytes: 0, records: 0 }))).to.equal(undefined);
  });

  it('finds the first bad record, and refuses a number of records that is not the header’s', () => {
    const bytes = build(['a {}', 'b {}', 'c {}']).subarray(GROUP_HEADER_BYTES);
    const header = { sequence: 7, bytes: bytes.length, records: 3 };
    const damaged = Buffer.from(bytes);
    damaged[lineBytes('a {}') + 10]! ^= 1;
    const { lines, bad } = splitGroup(damaged, header);
    expect(lines.map(({ text }) => text)).to.deep.equal(['a {}']);
    expect(bad).to.deep.equal({ start: lineBytes('a {}'), end: 2 * lineBytes('a {}') });
    expect(splitGroup(bytes, { ...header, records: 2 }).bad).to.deep.equal({ start: 0, end: bytes.length });
  });

  it('refuses records that no agent of this cluster could have written', () => {
    const cases: [string, RegExp][] = [
      ['accepted {"type":4', /can't be read/],
      ['accepted {"type":4,"fromaddress":"9.9.9.9","fromport":"1","request":{}}', /nobody in the cluster/],
      ['accepted {"type":4,"request":{}}', /nobody in the cluster|can't be read/],
      [
        'used {"type":1,"fromaddress":"127.0.0.1","fromport":"7001","request":{},"round":3}',
        /no verdict of this node/,
      ],
      ['promised {"type":12,"fromaddress":"127.0.0.1","fromport":"7001"}', /no verdict/],
      ['shrugged {"type":1,"fromaddress":"127.0.0.1","fromport":"7001","request":{}}', /no verdict/],
      ['committed {"committed":-1}', /no commit index/],
      ['committed {"committed":9999999999999999}', /no commit index/],
      ['', /can't be read/],
    ];
    for (const [text, reason] of cases) {
      const parsed = parseRecord(text, MEMBERS);
      expect(parsed.ok ? 'accepted' : parsed.reason, text).to.match(reason);
    }
  });

  it('tells whose segment it is, and which', () => {
    const header = segmentHeader(STAMP, 3, 40);
    expect(header.length).to.be.below(MAX_SEGMENT_HEADER_BYTES);
    const longest = { node: { address: '255.255.255.255', port: '65535' }, journal: STAMP.journal };
    expect(segmentHeader(longest, 1, 1).length).to.be.below(MAX_SEGMENT_HEADER_BYTES);
    const differ = (stamp = STAMP, number = 3, first = 40) =>
      differenceOfHeader(segmentHeader(stamp, number, first), STAMP, 3, 40);
    expect(differ({ ...STAMP, node: AGENTS[0]! })).to.deep.include({ kind: 'foreign' });
    expect(differ({ ...STAMP, journal: 'ff' })).to.deep.include({ kind: 'foreign' });
    expect(differ(STAMP, 2)).to.deep.equal({ kind: 'foreign', reason: 'it is segment 2' });
    expect(differ(STAMP, 3, 42)).to.deep.equal({ kind: 'groups-missing', first: 42 });
    expect(differ(STAMP, 3, 39)).to.deep.include({ kind: 'foreign' });
    header[20]! ^= 1;
    expect(differenceOfHeader(header, STAMP, 3, 40)).to.deep.equal({ kind: 'damaged' });
  });

  it('tells a cut and a lost sector from flipped bits', () => {
    const bytes = Buffer.alloc(1500, 'x');
    const bad = { start: 100, end: 1500 };
    expect(isCutShort(bytes, bad, 1500)).to.equal(false);
    expect(hasZeroSector(bytes, 0, bad)).to.equal(false);
    expect(isCutShort(bytes.subarray(0, 1499), bad, 1500)).to.equal(true);
    bytes.fill(0, 512, 1023);
    expect(hasZeroSector(bytes, 0, bad)).to.equal(false);
    bytes[1023] = 0;
    expect(hasZeroSector(bytes, 0, bad)).to.equal(true);
    expect(hasZeroSector(bytes, 1, bad), 'placed so that no sector is all zero').to.equal(false);
    expect(isCutShort(bytes, bad, 1500)).to.equal(false);
    bytes[1499] = 0;
    expect(isCutShort(bytes, bad, 1500)).to.equal(true);
    expect(hasZeroSector(Buffer.from('\0'), 512, { start: 0, end: 1 })).to.equal(true);
  });

  it('knows zeros of any length', () => {
    for (const length of [0, 1, 65_535, 65_536, 65_537, 200_000]) {
      const bytes = Buffer.alloc(length);
      expect(isZero(bytes)).to.equal(true);
      if (length === 0) continue;
      bytes[length - 1] = 1;
      expect(isZero(bytes), `${length}`).to.equal(false);
    }
  });

  it('names members by their place among the agents', () => {
    const record = { verdict: 'promised', owner: agentIndex(2) } as const;
    const text = encodeRecord({ ...record, round: 5 as never, entry: 0 as never }, MEMBERS);
    expect(text).to.include('"fromport":"7003"');
  });
});
