import { expect } from 'chai';
import fc from 'fast-check';
import { agentIndex, entry, round } from '../../src/core/ids.js';
import {
  encodeRecord,
  GROUP_HEADER_BYTES,
  GroupBuilder,
  parseGroupHeader,
  splitGroup,
  type RecordLine,
} from '../../src/journal/format.js';
import { parseRecord, RecordReader, type Parsed } from '../../src/journal/record-reader.js';
import { ValueLine } from '../../src/wire/value-line.js';
import { edited, edits } from '../wire/arbitraries.js';
import { accepted, AGENTS, decree, learnt, MEMBERS, plainRecord, RECORDS } from './support.js';

/** The line of a text, as it is found in a group behind another one. */
function lineOf(text: string): RecordLine {
  const group = new GroupBuilder();
  group.append('first');
  group.append(text);
  const bytes = group.finish(1);
  const { lines } = splitGroup(bytes.subarray(GROUP_HEADER_BYTES), parseGroupHeader(bytes)!);
  return lines[1]!;
}

function plain(parsed: Parsed): Parsed {
  return parsed.ok ? { ok: true, record: plainRecord(parsed.record) } : parsed;
}

/** As agents make them, with texts that hold nothing unusual. */
const USUAL = fc
  .tuple(fc.integer({ min: 1, max: 9_999 }), fc.nat({ max: 3 }), fc.string({ minLength: 1 }))
  .chain(([n, at, value]) => fc.constantFrom(accepted(n, value, at), learnt(n, value)));

function isFromBytes(parsed: Parsed): boolean {
  return parsed.ok && 'decree' in parsed.record && parsed.record.decree instanceof ValueLine;
}

describe('journal: records from the bytes of their lines', () => {
  const reader = new RecordReader(MEMBERS);

  it('are what their texts say', () => {
    let from_bytes = 0;
    fc.assert(
      fc.property(fc.oneof(RECORDS, USUAL), (record) => {
        const text = encodeRecord(record, MEMBERS);
        const read = reader.read(lineOf(text));
        if (isFromBytes(read)) from_bytes++;
        expect(plain(read)).to.deep.equal(plain({ ok: true, record }));
      }),
      { numRuns: 1_000 },
    );
    expect(from_bytes).to.be.above(300);
  });

  it('are those of every member, and of nobody else', () => {
    AGENTS.forEach((agent, sender) => {
      const [at, by] = [entry(3), agentIndex(sender)];
      for (const record of [
        { verdict: 'accepted', entry: at, round: round(4), owner: by, decree: decree('hi') },
        { verdict: 'learnt', entry: at, peer: by, decree: decree('hi') },
      ] as const) {
        const text = encodeRecord(record, MEMBERS);
        const read = reader.read(lineOf(text));
        expect(isFromBytes(read)).to.equal(true);
        expect(plain(read)).to.deep.equal(plain(parseRecord(text, MEMBERS)));
        const stranger = text.replace(`"fromport":"${agent.port}"`, '"fromport":"9"');
        expect(reader.read(lineOf(stranger))).to.deep.equal({
          ok: false,
          reason: 'its message comes from nobody in the cluster',
        });
      }
    });
  });

  it('changed in any way, are refused or read as their texts are', () => {
    fc.assert(
      fc.property(fc.oneof(RECORDS, USUAL), edits, (record, edit) => {
        const line = lineOf(edited(encodeRecord(record, MEMBERS), edit).replaceAll('\n', ' '));
        expect(plain(reader.read(line))).to.deep.equal(plain(parseRecord(line.text, MEMBERS)));
      }),
      { numRuns: 2_000 },
    );
    for (const behind of [',"committed":5}', '} ', '}}', '']) {
      for (const record of [accepted(3, 'hi', 4), learnt(3, 'hi')]) {
        const text = encodeRecord(record, MEMBERS).slice(0, -1) + behind;
        expect(plain(reader.read(lineOf(text)))).to.deep.equal(plain(parseRecord(text, MEMBERS)));
      }
    }
  });

  it('stay as they are while others are read, whatever becomes of what was read', () => {
    const fresh = new RecordReader(MEMBERS);
    const records = Array.from({ length: 3_000 }, (_, n) => (n % 3 ? learnt(n + 1) : accepted(n + 1)));
    const read = records.map((record) => {
      const line = lineOf(encodeRecord(record, MEMBERS));
      const parsed = fresh.read(line);
      line.bytes.fill(0);
      return parsed;
    });
    expect(read.every(isFromBytes)).to.equal(true);
    expect(read.map(plain)).to.deep.equal(records.map((record) => ({ ok: true, record })));
  });

  it('keep no others in memory, however few of them are kept', () => {
    const fresh = new RecordReader(MEMBERS);
    const kept = new Set<ArrayBufferLike>();
    for (let n = 1; n <= 20_000; n++) {
      const ahead = n % 200 === 0;
      const record = ahead ? accepted(10_000_000 + n) : learnt(n);
      const parsed = fresh.read(lineOf(encodeRecord(record, MEMBERS)));
      if (!parsed.ok || !('decree' in parsed.record)) throw new Error('not read');
      const { decree: held } = parsed.record;
      if (!(held instanceof ValueLine)) throw new Error('not from bytes');
      if (ahead) kept.add(held.bytes.buffer);
    }
    expect(kept.size).to.equal(1);
  });
});
