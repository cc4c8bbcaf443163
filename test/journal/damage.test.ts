import { expect } from 'chai';
import { GROUP_HEADER_BYTES, GroupBuilder, MAX_GROUP_BYTES, SECTOR_BYTES } from '../../src/journal/format.js';
import { encodeIdentity } from '../../src/journal/identity.js';
import { identityPath } from '../../src/journal/segment.js';
import { MemoryStorage } from './memory-storage.js';
import {
  accepted,
  AGENTS,
  DIRECTORY,
  diskWith,
  endOf,
  IDENTITY,
  newDisk,
  Opened,
  recover,
  refusal,
  segment,
  SEGMENT_BYTES,
} from './support.js';

const GROUPS = [
  [accepted(0), accepted(1)],
  [accepted(2), accepted(3), accepted(4, 'the last one')],
];
const WHOLE = GROUPS.flat();

interface Tail {
  storage: MemoryStorage;
  /** Where the last group's header, last record and zeros begin. */
  group: number;
  record: number;
  end: number;
}

async function twoGroups(): Promise<Tail> {
  const storage = await diskWith(...GROUPS);
  const bytes = storage.bytes(segment(1));
  const end = endOf(bytes);
  const record = bytes.lastIndexOf(0x0a, end - 2) + 1;
  const group = bytes.lastIndexOf(' group ') - 8;
  return { storage, group, record, end };
}

/** Recovers twice, and appends: the tail was cut for good, and the journal is whole again. */
async function expectCut(storage: MemoryStorage, kept: number): Promise<void> {
  const records = WHOLE.slice(0, kept);
  const opened = await Opened.on(storage);
  expect(opened.recovered).to.deep.equal(records);
  await opened.journal.close();
  const after = storage.bytes(segment(1));
  const once = Buffer.from(after);
  expect(await recover(storage)).to.deep.equal(records);
  expect(storage.bytes(segment(1)).equals(once)).to.equal(true);
  const again = await Opened.on(storage);
  await again.write(accepted(9));
  await again.journal.close();
  expect(await recover(storage)).to.deep.equal([...records, accepted(9)]);
}

/** Refuses with the file and the offset, and changes nothing. */
async function expectRefused(storage: MemoryStorage, file: number, offset: number): Promise<void> {
  const before = storage.paths().map((path) => Buffer.from(storage.bytes(path)));
  const error = await refusal(recover(storage));
  expect(error).to.include({ code: 'corrupt', file: segment(file), offset });
  expect(error.message)
    .to.include(`${segment(file)}, offset ${offset}`)
    .and.to.include('must not vote');
  const after = storage.paths().map((path) => storage.bytes(path));
  expect(after.every((bytes, i) => bytes.equals(before[i]!))).to.equal(true);
}

describe('damage to the journal (spec.md, "Durability")', () => {
  it('drops the last record when it is cut at any byte, and keeps those before it', async () => {
    const { storage, record, end } = await twoGroups();
    for (let cut = record; cut < end; cut++) {
      const zeroed = storage.clone();
      zeroed.bytes(segment(1)).fill(0, cut);
      await expectCut(zeroed, 4);
      const truncated = storage.clone();
      truncated.put(segment(1), storage.bytes(segment(1)).subarray(0, cut));
      await expectCut(truncated, 4);
    }
  });

  it('drops the whole last group when its header is cut at any byte', async () => {
    const { storage, group } = await twoGroups();
    for (let cut = group; cut <= group + GROUP_HEADER_BYTES; cut++) {
      const zeroed = storage.clone();
      zeroed.bytes(segment(1)).fill(0, cut);
      await expectCut(zeroed, 2);
      const truncated = storage.clone();
      truncated.put(segment(1), storage.bytes(segment(1)).subarray(0, cut));
      await expectCut(truncated, 2);
    }
  });

  it('takes a segment whose zeros were cut off', async () => {
    const { storage, end } = await twoGroups();
    for (const length of [end, end + 1, SEGMENT_BYTES - 1]) {
      const shorter = storage.clone();
      shorter.put(segment(1), storage.bytes(segment(1)).subarray(0, length));
      expect(await recover(shorter)).to.deep.equal(WHOLE);
      const opened = await Opened.on(shorter);
      for (let n = 5; n < 20; n++) await opened.write(accepted(n));
      await opened.journal.close();
      expect((await recover(shorter)).length).to.equal(20);
    }
  });

  it('refuses a bit flipped at any byte of the last group', async () => {
    const { storage, group, record, end } = await twoGroups();
    for (let at = group; at < end; at++) {
      const flipped = storage.clone();
      flipped.bytes(segment(1))[at]! ^= 1 << (at & 7);
      const error = await refusal(recover(flipped));
      expect(error.code, `byte ${at}`).to.equal('corrupt');
      expect(error.offset).to.be.at.most(at);
      expect(error.file).to.equal(segment(1));
      if (at < group + GROUP_HEADER_BYTES) expect(error.offset).to.equal(group);
      if (at >= record) expect(error.offset).to.equal(record);
    }
  });

  it('cuts at the record that has a zeroed sector, whatever was written behind it', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    const records = [accepted(0), accepted(1, 'x'.repeat(900)), accepted(2)];
    await opened.write(...records);
    await opened.journal.close();
    const bytes = storage.bytes(segment(1));
    const sectors = [1, 2].filter((sector) => sector * SECTOR_BYTES < endOf(bytes));
    expect(sectors).to.deep.equal([1, 2]);
    for (const sector of sectors) {
      const torn = storage.clone();
      torn.bytes(segment(1)).fill(0, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
      expect(await recover(torn)).to.deep.equal(records.slice(0, 1));
      expect(await recover(torn)).to.deep.equal(records.slice(0, 1));
    }
    /* One byte short of a sector: no crash leaves that. */
    const record = bytes.indexOf(' accepted', bytes.indexOf(' accepted') + 1) - 8;
    storage.bytes(segment(1)).fill(0, SECTOR_BYTES + 1, 2 * SECTOR_BYTES);
    await expectRefused(storage, 1, record);
  });

  it('cuts a last group whose header lies in a zeroed sector', async () => {
    const storage = await newDisk(4096);
    const opened = await Opened.on(storage, { segment_bytes: 4096 });
    await opened.write(accepted(0));
    const start = endOf(storage.bytes(segment(1)));
    /* Fills up so that the next header begins at a sector. */
    const overhead = GROUP_HEADER_BYTES + 150;
    let filler = 1024 - start - overhead;
    await opened.journal.close();
    for (;;) {
      const trial = storage.clone();
      const next = await Opened.on(trial, { segment_bytes: 4096 });
      await next.write(accepted(1, 'x'.repeat(filler)));
      const end = endOf(trial.bytes(segment(1)));
      if (end === 1024) {
        await next.write(accepted(2, 'y'.repeat(600)));
        await next.journal.close();
        trial.bytes(segment(1)).fill(0, 1024, 1536);
        const torn = await Opened.on(trial, { segment_bytes: 4096 });
        expect(torn.recovered).to.deep.equal([accepted(0), accepted(1, 'x'.repeat(filler))]);
        expect(torn.notes).to.include('journal-torn');
        await torn.journal.close();
        return;
      }
      await next.journal.close();
      filler += 1024 - end;
    }
  });

  it('refuses damage before a good group, whatever it looks like', async () => {
    const { storage, group } = await twoGroups();
    const first = storage.bytes(segment(1)).indexOf(' group 000000000000001 0') - 8;
    for (let at = first; at < group; at++) {
      const flipped = storage.clone();
      flipped.bytes(segment(1))[at]! ^= 1 << (at & 7);
      const error = await refusal(recover(flipped));
      expect(error.code, `byte ${at}`).to.equal('corrupt');
      const torn = storage.clone();
      torn.bytes(segment(1)).fill(0, at, group);
      const refused = await refusal(recover(torn));
      expect(refused.code, `zeros from ${at}`).to.equal('corrupt');
      expect(refused.offset).to.be.at.most(at);
    }
    const headless = storage.clone();
    headless.bytes(segment(1)).fill(0, first, first + GROUP_HEADER_BYTES);
    await expectRefused(headless, 1, first);
  });

  it('cuts what a crash left of a group whose first sectors it lost', async () => {
    const { storage } = await twoGroups();
    storage.bytes(segment(1))[SEGMENT_BYTES - 1] = 0x41;
    await expectCut(storage, WHOLE.length);
    expect(storage.bytes(segment(1)).at(-1)).to.equal(0);
  });

  it('refuses anything but zeros where no torn group can reach', async () => {
    const { storage, end } = await twoGroups();
    const longer = Buffer.concat([storage.bytes(segment(1)), Buffer.alloc(MAX_GROUP_BYTES)]);
    longer[longer.length - 1] = 0x41;
    storage.put(segment(1), longer);
    await expectRefused(storage, 1, end);
  });

  it('restores the size of a segment when it cuts a tail', async () => {
    const { storage, end } = await twoGroups();
    storage.put(segment(1), storage.bytes(segment(1)).subarray(0, end - 1));
    expect(await recover(storage)).to.deep.equal(WHOLE.slice(0, 4));
    expect(storage.bytes(segment(1)).length).to.equal(SEGMENT_BYTES);
  });

  it('refuses a torn group that something else was written behind', async () => {
    const { storage, record, end } = await twoGroups();
    storage.bytes(segment(1)).fill(0, record, end);
    storage.bytes(segment(1))[end + 50] = 0x41;
    await expectRefused(storage, 1, record);
  });

  it('refuses a header whose end alone is zero, while its records are there', async () => {
    const { storage, group } = await twoGroups();
    const header = group + GROUP_HEADER_BYTES;
    storage.bytes(segment(1)).fill(0, header - 5, header);
    await expectRefused(storage, 1, group);
  });

  it('refuses groups that are out of order', async () => {
    const { storage, group, end } = await twoGroups();
    const bytes = storage.bytes(segment(1));
    bytes.copy(bytes, end, group, end);
    await expectRefused(storage, 1, end);
  });

  it('refuses a record with a right checksum that makes no sense', async () => {
    const storage = await newDisk();
    const group = new GroupBuilder();
    const text = 'accepted {"type":4,"request":7}';
    group.append(text);
    const start = endOf(storage.bytes(segment(1)));
    group.finish(1).copy(storage.bytes(segment(1)), start);
    await expectRefused(storage, 1, start + GROUP_HEADER_BYTES);
  });
});

/** Four segments with groups, and a prepared one. */
async function manySegments(): Promise<MemoryStorage> {
  const storage = await newDisk();
  const opened = await Opened.on(storage);
  let n = 0;
  while (opened.journal.size().begun < 4) await opened.write(accepted(n++));
  await opened.journal.close();
  expect(storage.paths().filter((path) => path.endsWith('.log'))).to.have.length(5);
  return storage;
}

describe('damage to whole files (spec.md, "Durability")', () => {
  it('refuses a journal from which a segment is missing, and names it', async () => {
    const whole = await manySegments();
    for (const missing of [1, 2, 3, 4]) {
      const storage = whole.clone();
      storage.put(segment(missing), undefined);
      const error = await refusal(recover(storage));
      expect(error).to.include({ code: 'missing', file: segment(missing) });
      expect(error.message).to.include('must not vote');
    }
  });

  it('refuses a journal without any segment, and one without its directory', async () => {
    const storage = await newDisk();
    storage.put(segment(1), undefined);
    expect(await refusal(recover(storage))).to.include({ code: 'missing' });
    const empty = new MemoryStorage();
    empty.put(identityPath(DIRECTORY), Buffer.from(encodeIdentity(IDENTITY)));
    const error = await refusal(recover(empty));
    expect(error).to.include({ code: 'missing' });
    expect(error.message).to.match(/journal is missing.*must not vote/);
  });

  it('refuses a segment that was emptied, blanked or filled with NULs from any point', async () => {
    const whole = await manySegments();
    for (const number of [1, 2, 3, 4]) {
      const emptied = whole.clone();
      emptied.put(segment(number), Buffer.alloc(0));
      expect(await refusal(recover(emptied))).to.include({ code: 'corrupt', file: segment(number) });
      const blank = whole.clone();
      blank.bytes(segment(number)).fill(0);
      expect(await refusal(recover(blank))).to.include({ code: 'corrupt', file: segment(number), offset: 0 });
      if (number === 4) continue;
      for (let from = 0; from < endOf(whole.bytes(segment(number))); from += 97) {
        const padded = whole.clone();
        padded.bytes(segment(number)).fill(0, from);
        const error = await refusal(recover(padded));
        expect(error).to.include({ code: 'corrupt', file: segment(number) });
        expect(error.offset).to.be.at.most(from);
      }
    }
    const prepared = whole.clone();
    prepared.put(segment(5), Buffer.alloc(0));
    expect(await refusal(recover(prepared))).to.include({ code: 'corrupt', file: segment(5) });
  });

  it('refuses a segment that was cut short and isn’t the last', async () => {
    const whole = await manySegments();
    for (let length = 1; length < endOf(whole.bytes(segment(2))); length += 61) {
      const storage = whole.clone();
      storage.put(segment(2), whole.bytes(segment(2)).subarray(0, length));
      expect(await refusal(recover(storage)), `${length}`).to.include({ code: 'corrupt', file: segment(2) });
    }
  });

  it('refuses a cut last group in a segment that another one follows', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    let n = 0;
    while (opened.journal.size().begun < 2) await opened.write(accepted(n++), accepted(n++));
    await opened.journal.close();
    const bytes = storage.bytes(segment(1));
    const record = bytes.lastIndexOf(0x0a, endOf(bytes) - 2) + 1;
    bytes.fill(0, record);
    await expectRefused(storage, 1, record);
  });

  it('refuses a segment that lost its header, and nothing else', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    let n = 0;
    while (opened.journal.size().begun < 2) await opened.write(accepted(n++));
    await opened.journal.close();
    storage.put(segment(3), undefined);
    const bytes = storage.bytes(segment(2));
    bytes.fill(0, 0, bytes.indexOf('\n') + 1);
    await expectRefused(storage, 2, 0);
  });

  it('refuses segments that were swapped, copied, or taken from elsewhere', async () => {
    const whole = await manySegments();
    const swapped = whole.clone();
    const third = Buffer.from(swapped.bytes(segment(3)));
    swapped.put(segment(3), swapped.bytes(segment(2)));
    swapped.put(segment(2), third);
    const error = await refusal(recover(swapped));
    expect(error).to.include({ code: 'foreign', file: segment(2) });
    expect(error.message).to.include('it is segment 3');
    const foreign = whole.clone();
    const other = { ...IDENTITY, self: AGENTS[0]! };
    foreign.put(identityPath(DIRECTORY), Buffer.from(encodeIdentity(other)));
    expect((await refusal(recover(foreign))).message).to.include('belongs to the node 127.0.0.1:7002');
    const reborn = whole.clone();
    reborn.put(
      identityPath(DIRECTORY),
      Buffer.from(encodeIdentity({ ...IDENTITY, journal: 'f'.repeat(32) })),
    );
    expect((await refusal(recover(reborn))).message).to.include('initialised separately');
  });

  it('refuses whole records that contradict each other, and says where', async () => {
    const storage = await diskWith(...GROUPS);
    const { record } = await twoGroups();
    const seen: unknown[] = [];
    const onRecord = (one: unknown): void => {
      if (seen.push(one) === WHOLE.length) throw new Error('a promise only rises');
    };
    const error = await refusal(Opened.on(storage, { onRecord }));
    expect(error).to.include({ code: 'corrupt', file: segment(1), offset: record });
    expect(error.message).to.include('"accepted" contradicts').and.to.include('a promise only rises');
  });

  it('refuses a damaged segment header', async () => {
    const whole = await manySegments();
    for (const number of [1, 2, 4]) {
      for (let at = 0; at < 120; at += 7) {
        const storage = whole.clone();
        storage.bytes(segment(number))[at]! ^= 4;
        const error = await refusal(recover(storage));
        expect(error).to.include({ code: 'corrupt', file: segment(number), offset: 0 });
      }
    }
  });

  it('refuses a large file of garbage within bounded memory', async () => {
    const garbage = Buffer.alloc(8 * 1024 * 1024);
    for (let at = 0; at < garbage.length; at++) garbage[at] = (at * 2654435761) >>> 13;
    for (const number of [1, 2]) {
      const storage = await diskWith([accepted(0)]);
      storage.put(segment(number), garbage);
      storage.calls = [];
      expect(await refusal(recover(storage))).to.include({ code: 'corrupt', file: segment(number) });
      const largest = Math.max(...storage.calls.map((call) => call.length));
      expect(largest).to.be.at.most(2 * 1024 * 1024);
    }
    const storage = await diskWith([accepted(0)]);
    const behind = Buffer.concat([storage.bytes(segment(1)), garbage]);
    storage.put(segment(1), behind);
    expect(await refusal(recover(storage))).to.include({ code: 'corrupt', file: segment(1) });
  });

  it('takes any number of zeros behind the last group', async () => {
    const storage = await diskWith([accepted(0)]);
    storage.put(segment(1), Buffer.concat([storage.bytes(segment(1)), Buffer.alloc(3 * 1024 * 1024)]));
    expect(await recover(storage)).to.deep.equal([accepted(0)]);
  });

  it('leaves files that aren’t its own alone', async () => {
    const storage = await diskWith([accepted(0)]);
    storage.put(`${DIRECTORY}/journal/notes.txt`, Buffer.from('mine'));
    storage.put(`${segment(3)}.new`, Buffer.from('left by a crash'));
    expect(await recover(storage)).to.deep.equal([accepted(0)]);
    expect(storage.paths()).to.include(`${DIRECTORY}/journal/notes.txt`);
    expect(storage.paths()).not.to.include(`${segment(3)}.new`);
  });
});
