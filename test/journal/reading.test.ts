import { expect } from 'chai';
import { agentIndex, entry, NO_ROUND, round, type Entry } from '../../src/core/ids.js';
import type { StoredEntry } from '../../src/core/record.js';
import type { EntrySink } from '../../src/journal/entry-reader.js';
import { encodeRecord } from '../../src/journal/format.js';
import type { Journal } from '../../src/journal/journal.js';
import type { MemoryStorage } from './memory-storage.js';
import { accepted, decree, learnt, MEMBERS, newDisk, Opened, refusal, segment } from './support.js';

const NO_LIMIT = { entries: 1000, bytes: 1_000_000 };

function stored(n: number, value = `value ${n}`, at = 1): StoredEntry {
  return { entry: entry(n), round: round(at), decree: decree(value) };
}

const numbers = (found: readonly StoredEntry[]): number[] => found.map((one) => one.entry);
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** Entries 0…49 over several segments, one group each. */
async function fifty(): Promise<{ storage: MemoryStorage; opened: Opened }> {
  const storage = await newDisk();
  const opened = await Opened.on(storage);
  for (const n of range(0, 50)) await opened.write(accepted(n));
  expect(opened.journal.size().begun).to.be.above(3);
  return { storage, opened };
}

async function expectAll(journal: Journal): Promise<void> {
  for (const n of range(0, 50)) expect(await journal.read(entry(n))).to.deep.equal(stored(n));
  expect(await journal.readRange(entry(0), NO_LIMIT)).to.deep.equal(range(0, 50).map((n) => stored(n)));
}

/** What comes into a sink: messages of those entries that it wants so, and all others read. */
class Messages implements EntrySink {
  readonly all: string[] = [];
  readonly entries: number[] = [];
  /** The entries that came read. */
  readonly read: number[] = [];

  constructor(private readonly wants: (entry: number) => boolean = () => true) {}

  pass(bytes: Buffer, start: number, end: number, at: Entry): boolean {
    if (!this.wants(at)) return false;
    this.all.push(bytes.toString('utf8', start, end));
    this.entries.push(at);
    return true;
  }

  take({ entry: at, round: r, decree: what }: StoredEntry): void {
    const record = { verdict: 'accepted', entry: at, round: r, owner: agentIndex(0), decree: what } as const;
    this.all.push(encodeRecord(record, MEMBERS).slice('accepted '.length));
    this.entries.push(at);
    this.read.push(at);
  }
}

describe('reading old entries back (spec.md, "Durability")', () => {
  it('finds each entry in any segment, in this life and in the next', async () => {
    const { storage, opened } = await fifty();
    await expectAll(opened.journal);
    await opened.journal.close();
    const again = await Opened.on(storage);
    await expectAll(again.journal);
    await again.journal.close();
  });

  it('finds entries that are not flushed, being flushed, and flushed, in one range', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    await opened.write(accepted(0), accepted(1));
    let release: () => void = () => undefined;
    const arrived = new Promise<void>((arrive) => {
      storage.before = async ({ operation }) => {
        if (operation !== 'datasync') return undefined;
        await new Promise<void>((resolve) => {
          release = resolve;
          arrive();
        });
        return undefined;
      };
    });
    opened.journal.append(accepted(2));
    await arrived;
    opened.journal.append(accepted(3));
    opened.journal.append(learnt(4));
    expect(await opened.journal.readRange(entry(0), NO_LIMIT)).to.deep.equal([
      ...range(0, 4).map((n) => stored(n)),
      { entry: 4, round: NO_ROUND, decree: decree('learnt 4') },
    ]);
    expect(await opened.journal.read(entry(3))).to.deep.equal(stored(3));
    storage.before = () => undefined;
    release();
    await opened.durableUpTo(5);
    expect(numbers(await opened.journal.readRange(entry(0), NO_LIMIT))).to.deep.equal(range(0, 5));
    await opened.journal.close();
  });

  it('gives the latest acceptance, or the decree learnt after it', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    const check = async (expected: StoredEntry): Promise<void> => {
      expect(await opened.journal.read(entry(0))).to.deep.equal(expected);
      await opened.durableUpTo(opened.journal.appended);
      expect(await opened.journal.read(entry(0))).to.deep.equal(expected);
    };
    opened.journal.append(accepted(0, 'old', 1));
    opened.journal.append(accepted(0, 'newer', 2));
    await check(stored(0, 'newer', 2));
    opened.journal.append(learnt(0, 'chosen'));
    await check({ entry: entry(0), round: NO_ROUND, decree: decree('chosen') });
    opened.journal.append(accepted(0, 'chosen', 5));
    await check(stored(0, 'chosen', 5));
    await opened.journal.close();
    const again = await Opened.on(storage);
    expect(await again.journal.read(entry(0))).to.deep.equal(stored(0, 'chosen', 5));
    await again.journal.close();
  });

  it('gives a newer acceptance that waits behind one being flushed', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    await opened.write(...range(0, 5).map((n) => accepted(n)));
    const releases: (() => void)[] = [];
    let arrived: () => void = () => undefined;
    storage.before = async ({ operation }) => {
      if (operation === 'datasync') {
        await new Promise<void>((resolve) => {
          releases.push(resolve);
          arrived();
        });
      }
      return undefined;
    };
    const flush = (): Promise<void> => new Promise((resolve) => (arrived = resolve));
    let flushing = flush();
    opened.journal.append(accepted(2, 'newer', 2));
    await flushing;
    opened.journal.append(accepted(2, 'newest', 3));
    flushing = flush();
    releases.shift()?.();
    await flushing;
    expect(opened.journal.durable).to.equal(6);
    const found = await opened.journal.readRange(entry(0), NO_LIMIT);
    expect(found.map((one) => one.decree.value)).to.deep.equal([
      'value 0',
      'value 1',
      'newest',
      'value 3',
      'value 4',
    ]);
    storage.before = () => undefined;
    releases.shift()?.();
    await opened.journal.close();
  });

  it('ends a range at the first entry that isn’t held, and at its limits', async () => {
    const { opened } = await fifty();
    const read = async (first: number, entries: number, bytes: number): Promise<number[]> =>
      numbers(await opened.journal.readRange(entry(first), { entries, bytes }));
    expect(await read(47, 100, 1_000_000)).to.deep.equal([47, 48, 49]);
    expect(await read(50, 100, 1_000_000)).to.deep.equal([]);
    expect(await read(5, 3, 1_000_000)).to.deep.equal([5, 6, 7]);
    expect(await read(5, 0, 1_000_000)).to.deep.equal([]);
    expect(await read(5, 100, 1), 'the first one is given whatever its size').to.deep.equal([5]);
    const some = await read(5, 100, 700);
    expect(some.length).to.be.within(3, 5);
    opened.journal.append(accepted(50));
    expect(await read(50, 5, 1)).to.deep.equal([50]);
    expect(await read(48, 5, 1)).to.deep.equal([48]);
    opened.journal.append(accepted(52));
    expect(await read(49, 5, 1_000_000)).to.deep.equal([49, 50]);
    await opened.journal.close();
  });

  it('reads entries in a row that were accepted in any order', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    const order = range(0, 40).sort((a, b) => ((a * 7) % 40) - ((b * 7) % 40));
    for (const n of order) opened.journal.append(accepted(n));
    for (const n of [3, 9, 10]) opened.journal.append(accepted(n, `newer ${n}`, 9));
    await opened.durableUpTo(43);
    const found = await opened.journal.readRange(entry(0), NO_LIMIT);
    expect(numbers(found)).to.deep.equal(range(0, 40));
    expect(found[9]).to.deep.equal(stored(9, 'newer 9', 9));
    await opened.journal.close();
  });

  it('gives messages as they stand on the disk, to many readers at once', async () => {
    const { opened } = await fifty();
    opened.journal.append(accepted(50));
    const read = async (first: number): Promise<Messages> => {
      const messages = new Messages();
      await opened.journal.readInto(entry(first), NO_LIMIT, messages);
      return messages;
    };
    for (const firsts of [range(0, 8), range(40, 51), [3]]) {
      for (const [i, { all }] of (await Promise.all(firsts.map(read))).entries()) {
        const expected = range(firsts[i]!, 51).map((n) => encodeRecord(accepted(n), MEMBERS));
        expect(all.map((text) => `accepted ${text}`)).to.deep.equal(expected);
      }
    }
    const picky = new Messages((n) => n % 2 === 0);
    await opened.journal.readInto(entry(0), NO_LIMIT, picky);
    expect(picky.entries).to.deep.equal(range(0, 51));
    expect(picky.read).to.deep.equal([...range(0, 50).filter((n) => n % 2 === 1), 50]);
    await opened.journal.close();
  });

  it('fetches neighbouring records by few reads', async () => {
    const storage = await newDisk(64 * 1024);
    const opened = await Opened.on(storage, { segment_bytes: 64 * 1024 });
    await opened.write(...range(0, 200).map((n) => accepted(n)));
    storage.calls = [];
    expect((await opened.journal.readRange(entry(0), NO_LIMIT)).length).to.equal(200);
    expect(storage.calls.filter(({ operation }) => operation === 'read')).to.have.length(1);
    await opened.journal.close();
  });

  it('bounds what one read takes into memory', async () => {
    const segment_bytes = 4 * 1024 * 1024;
    const storage = await newDisk(segment_bytes);
    const opened = await Opened.on(storage, { segment_bytes });
    await opened.write(...range(0, 50).map((n) => accepted(n, 'x'.repeat(30_000))));
    storage.calls = [];
    const found = await opened.journal.readRange(entry(0), { entries: 100, bytes: 100_000_000 });
    expect(numbers(found)).to.deep.equal(range(0, 50));
    for (const { length } of storage.calls) expect(length).to.be.at.most(256 * 1024);
    await opened.journal.close();
  });

  it('reads few files at a time, however many ask, and gives a failed one’s turn to the next', async () => {
    const { storage, opened } = await fifty();
    let open = 0;
    let most = 0;
    let fail = false;
    storage.before = async ({ operation }) => {
      if (operation === 'open') most = Math.max(most, ++open);
      if (operation !== 'read') return undefined;
      await new Promise((resolve) => setImmediate(resolve));
      open--;
      if (fail) throw new Error('EIO: i/o error');
      return undefined;
    };
    const all = range(0, 50).map((n) => opened.journal.read(entry(n)));
    expect(await Promise.all(all)).to.deep.equal(range(0, 50).map((n) => stored(n)));
    expect(most).to.be.within(1, 2);
    fail = true;
    const failing = await Promise.allSettled(range(0, 5).map((n) => opened.journal.read(entry(n))));
    expect(failing.map(({ status }) => status)).to.deep.equal(Array(5).fill('rejected'));
    fail = false;
    await expectAll(opened.journal);
    await opened.journal.close();
  });

  it('keeps far-away entries without room for those between', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    await opened.write(accepted(0), accepted(10 ** 15), accepted(2 ** 40));
    expect((await opened.journal.read(entry(10 ** 15))).decree.value).to.equal(`value ${10 ** 15}`);
    expect((await opened.journal.read(entry(2 ** 40))).entry).to.equal(2 ** 40);
    await opened.journal.close();
  });

  it('rejects what it doesn’t hold, and what was damaged since, with file and offset', async () => {
    const { storage, opened } = await fifty();
    expect((await refusal(opened.journal.read(entry(50)))).message).to.include('holds no entry 50');
    const bytes = storage.bytes(segment(2));
    const at = bytes.indexOf('value');
    bytes[at]! ^= 1;
    const all = opened.journal.readRange(entry(0), NO_LIMIT);
    const error = await refusal(all);
    expect(error).to.include({ code: 'corrupt', file: segment(2) });
    expect(error.offset).to.be.below(at);
    const before = new Messages();
    expect(await refusal(opened.journal.readInto(entry(0), NO_LIMIT, before))).to.deep.include({
      code: 'corrupt',
      file: segment(2),
      offset: error.offset,
    });
    expect(before.all).to.have.length.within(1, 49);
    storage.before = ({ operation }) => {
      if (operation === 'read') throw new Error('EIO: i/o error');
      return undefined;
    };
    const unreadable = await refusal(opened.journal.read(entry(0)));
    expect(unreadable.code).to.equal('unreadable');
    expect(unreadable.message).to.include('EIO');
    storage.before = () => undefined;
    await opened.journal.close();
  });
});
