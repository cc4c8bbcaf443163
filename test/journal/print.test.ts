import { expect } from 'chai';
import { agentIndex, entry, round } from '../../src/core/ids.js';
import type { JournalRecord } from '../../src/core/record.js';
import { NO_OP } from '../../src/core/decree.js';
import { identityPath } from '../../src/journal/segment.js';
import { printJournal, type Verification } from '../../src/journal/print.js';
import type { MemoryStorage } from './memory-storage.js';
import {
  accepted,
  DIRECTORY,
  diskWith,
  endOf,
  learnt,
  newDisk,
  Opened,
  refusal,
  segment,
} from './support.js';

async function print(storage: MemoryStorage): Promise<{ lines: string[]; found: Verification }> {
  const lines: string[] = [];
  const printing = printJournal(DIRECTORY, storage);
  for (;;) {
    const next = await printing.next();
    if (next.done) return { lines, found: next.value };
    lines.push(next.value);
  }
}

const RECORDS: JournalRecord[] = [
  { verdict: 'used', round: round(4), entry: entry(0) },
  { verdict: 'promised', round: round(4), owner: agentIndex(1), entry: entry(0) },
  accepted(0, 'hello', 4),
  { verdict: 'accepted', entry: entry(1), round: round(7), owner: agentIndex(0), decree: NO_OP },
  learnt(2),
  accepted(0, 'hello', 7),
  { verdict: 'committed', committed: entry(3) },
];

describe('printing a journal (spec.md, "Durability")', () => {
  it('shows every record with its place, and sums up', async () => {
    const storage = await diskWith(RECORDS.slice(0, 4), RECORDS.slice(4));
    const { lines, found } = await print(storage);
    expect(found).to.deep.equal({
      ok: true,
      segments: 1,
      groups: 2,
      records: 7,
      entries: 3,
      promised: { round: 7, owner: { address: '127.0.0.1', port: '7001' } },
      committed: 3,
      torn: undefined,
      damage: undefined,
    });
    const text = lines.join('\n');
    expect(text).to.include('journal of 127.0.0.1:7002');
    expect(text).to.match(/ \d+ group 2: 3 records/);
    expect(text).to.match(/used +round 4 is spent, for entries from 0 on {2}\{"type":1/);
    expect(text).to.match(/promised +round 4 to 127.0.0.1:7002/);
    expect(text).to.match(
      /accepted +entry 0 at round 4 from 127.0.0.1:7001: request 1 of session 65537, "hello"/,
    );
    expect(text).to.match(/accepted +entry 1 at round 7 from 127.0.0.1:7001: no-op/);
    expect(text).to.match(/learnt +entry 2 from 127.0.0.1:7003: .*"learnt 2"/);
    expect(text).to.match(/committed +every entry below 3 is chosen {2}\{"committed":3\}/);
    expect(lines.at(-1)).to.include('whole');
    const offset = Number(/^ *(\d+) +committed/m.exec(text)?.[1]);
    expect(storage.bytes(segment(1)).toString('latin1', offset + 9, offset + 18)).to.equal('committed');
  });

  it('changes nothing, also where recovery would', async () => {
    const storage = await diskWith(RECORDS);
    const bytes = storage.bytes(segment(1));
    bytes.fill(0, endOf(bytes) - 5);
    const before = Buffer.from(bytes);
    storage.calls = [];
    const { lines, found } = await print(storage);
    expect(found.ok).to.equal(true);
    expect(found.records).to.equal(6);
    expect(found.torn).to.include({ file: segment(1) });
    expect(found.torn?.offset).to.be.a('number');
    expect(lines.join('\n')).to.include('unfinished: 0000000001.log, offset');
    expect(storage.bytes(segment(1)).equals(before)).to.equal(true);
    const operations = new Set(storage.calls.map(({ operation }) => operation));
    expect([...operations]).to.have.members(['open', 'read', 'list']);
  });

  it('shows what is whole before damage, and names file and offset', async () => {
    const storage = await diskWith(RECORDS.slice(0, 2), RECORDS.slice(2, 4), RECORDS.slice(4));
    const bytes = storage.bytes(segment(1));
    const at = bytes.indexOf('hello');
    bytes[at]! ^= 1;
    const { lines, found } = await print(storage);
    expect(found).to.include({ ok: false, groups: 1, records: 2 });
    expect(found.damage).to.include({ file: segment(1) });
    expect(found.damage?.offset).to.be.below(at);
    expect(lines.at(-1)).to.match(/^DAMAGED: .*0000000001\.log, offset \d+/);
  });

  it('shows nothing that a terminal would act upon', async () => {
    const storage = await diskWith([accepted(0, '\u001b[31mred\u009b1m\u007f\u202e')]);
    const { lines } = await print(storage);
    // eslint-disable-next-line no-control-regex
    for (const line of lines) expect(line).not.to.match(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    expect(lines.join('\n')).to.include('\\u009b');
  });

  it('follows a node that is writing meanwhile', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    const records = Array.from({ length: 60 }, (_, n) => accepted(n));
    await opened.write(...records.slice(0, 20));
    let writing: Promise<void> | undefined;
    const printing = printJournal(DIRECTORY, storage);
    let found: Verification | undefined;
    let lines = 0;
    while (!found) {
      const next = await printing.next();
      if (next.done) found = next.value;
      else if (++lines === 10) writing = opened.write(...records.slice(20));
    }
    await writing;
    expect(found.ok).to.equal(true);
    expect(found.records).to.be.within(20, 60);
    await opened.journal.close();
    expect((await print(storage)).found.records).to.equal(60);
  });

  it('looks again where a node has written since', async () => {
    const whole = await diskWith(RECORDS.slice(0, 2), RECORDS.slice(2));
    const bytes = Buffer.from(whole.bytes(segment(1)));
    const second = bytes.lastIndexOf(' group ') - 8;
    for (let cut = second; cut < endOf(bytes); cut += 5) {
      const storage = whole.clone();
      storage.bytes(segment(1)).fill(0, cut);
      const printing = printJournal(DIRECTORY, storage);
      /* The title, the file, the first group: by now its segment has been looked at. */
      for (let line = 0; line < 3; line++) await printing.next();
      bytes.copy(storage.bytes(segment(1)));
      let next = await printing.next();
      while (!next.done) next = await printing.next();
      expect(next.value, `${cut}`).to.include({ ok: true, records: RECORDS.length, torn: undefined });
    }
  });

  it('refuses without an identity', async () => {
    const storage = await diskWith(RECORDS);
    storage.put(identityPath(DIRECTORY), undefined);
    expect(await refusal(print(storage))).to.include({ code: 'missing' });
  });
});
