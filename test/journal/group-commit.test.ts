import { expect } from 'chai';
import fc from 'fast-check';
import { entry } from '../../src/core/ids.js';
import { encodeRecord, GROUP_HEADER_BYTES, lineBytes } from '../../src/journal/format.js';
import { accepted, MEMBERS, newDisk, Opened, recover, RECORDS, segment, SEGMENT_BYTES } from './support.js';
import type { Call, MemoryStorage } from './memory-storage.js';

/** Holds back every flush of a segment until it is let go. */
class Gate {
  readonly waiting: (() => void)[] = [];
  private arrived: (() => void)[] = [];

  constructor(storage: MemoryStorage) {
    storage.before = async (call) => {
      if (call.operation !== 'datasync') return undefined;
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        for (const tell of this.arrived.splice(0)) tell();
      });
      return undefined;
    };
  }

  async next(): Promise<() => void> {
    if (this.waiting.length === 0) await new Promise<void>((resolve) => this.arrived.push(resolve));
    return this.waiting.shift()!;
  }
}

function count(calls: readonly Call[], operation: Call['operation'], path: string): number {
  return calls.filter((call) => call.operation === operation && call.path === path).length;
}

describe('group commit (spec.md, "Durability")', () => {
  it('gives back what was appended, in order, after any grouping', async () => {
    const groups = fc.array(fc.array(RECORDS, { minLength: 1, maxLength: 5 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(groups, async (batches) => {
        const storage = await newDisk(16 * 1024);
        const opened = await Opened.on(storage, { segment_bytes: 16 * 1024 });
        for (const batch of batches) await opened.write(...batch);
        await opened.journal.close();
        expect(await recover(storage)).to.deep.equal(batches.flat());
      }),
      { numRuns: 40 },
    );
  });

  it('writes and flushes once for all that one turn appends', async () => {
    const storage = await newDisk(64 * 1024);
    const opened = await Opened.on(storage, { segment_bytes: 64 * 1024 });
    storage.calls = [];
    const first = opened.journal.append(accepted(0));
    for (let n = 1; n < 100; n++) opened.journal.append(accepted(n));
    await Promise.resolve();
    opened.journal.append(accepted(100));
    expect(first).to.equal(1);
    expect(opened.journal.durable).to.equal(0);
    await opened.durableUpTo(101);
    expect(opened.durable).to.deep.equal([101]);
    expect(count(storage.calls, 'write', segment(1))).to.equal(1);
    expect(count(storage.calls, 'datasync', segment(1))).to.equal(1);
    await opened.journal.close();
  });

  it('has one group in flight, and lets the next one gather meanwhile', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    const gate = new Gate(storage);
    opened.journal.append(accepted(0));
    const first = await gate.next();
    const writes = count(storage.calls, 'write', segment(1));
    for (let n = 1; n < 4; n++) {
      opened.journal.append(accepted(n));
      await new Promise(setImmediate);
    }
    expect(count(storage.calls, 'write', segment(1))).to.equal(writes);
    expect(opened.durable).to.deep.equal([]);
    const lines = 3 * lineBytes(encodeRecord(accepted(1), MEMBERS));
    expect(opened.journal.waiting_bytes).to.equal(GROUP_HEADER_BYTES + lines);
    first();
    const second = await gate.next();
    expect(opened.journal.waiting_bytes).to.equal(0);
    expect(opened.durable).to.deep.equal([1]);
    expect(count(storage.calls, 'write', segment(1))).to.equal(writes + 1);
    second();
    await opened.durableUpTo(4);
    expect(opened.durable).to.deep.equal([1, 4]);
    expect(opened.journal.appended).to.equal(4);
    await opened.journal.close();
  });

  it('writes what is appended while durability is being reported', async () => {
    const storage = await newDisk();
    const seen: number[] = [];
    let done: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (done = resolve));
    const opened = await Opened.on(storage, {
      onDurable: (position) => {
        seen.push(position);
        if (position < 3) opened.journal.append(accepted(position));
        else done();
      },
    });
    opened.journal.append(accepted(0));
    await finished;
    expect(seen).to.deep.equal([1, 2, 3]);
    await opened.journal.close();
  });

  it('writes what is appended in every microtask after a group is done', async () => {
    const storage = await newDisk(64 * 1024);
    const opened = await Opened.on(storage, { segment_bytes: 64 * 1024 });
    for (let gap = 0; gap < 12; gap++) {
      await opened.write(accepted(2 * gap));
      for (let i = 0; i < gap; i++) await Promise.resolve();
      await opened.write(accepted(2 * gap + 1));
    }
    expect(opened.journal.durable).to.equal(24);
    await opened.journal.close();
  });

  it('bounds a group, and splits what doesn’t fit into one', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    const records = Array.from({ length: 40 }, (_, n) => accepted(n, 'x'.repeat(100)));
    await opened.write(...records);
    expect(opened.durable.length).to.be.above(5);
    expect(opened.durable).to.deep.equal([...opened.durable].sort((a, b) => a - b));
    for (const call of storage.calls) {
      if (call.operation === 'write') expect(call.length).to.be.at.most(SEGMENT_BYTES);
    }
    await opened.journal.close();
    expect(await recover(storage)).to.deep.equal(records);
  });

  it('refuses a record that no group could hold, and stays usable', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    expect(() => opened.journal.append(accepted(0, 'x'.repeat(SEGMENT_BYTES)))).to.throw(RangeError);
    expect(opened.journal.appended).to.equal(0);
    await opened.write(accepted(1));
    await opened.journal.close();
    expect(await recover(storage)).to.deep.equal([accepted(1)]);
  });

  it('writes what is pending when it is closed, and takes nothing after that', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    opened.journal.append(accepted(0));
    const closed = opened.journal.close();
    expect(() => opened.journal.append(accepted(1))).to.throw('closed');
    await closed;
    await opened.journal.close();
    expect(opened.durable).to.deep.equal([1]);
    expect(await recover(storage)).to.deep.equal([accepted(0)]);
  });

  it('goes on where an earlier life ended, with positions of its own', async () => {
    const storage = await newDisk();
    for (let life = 0; life < 5; life++) {
      const opened = await Opened.on(storage);
      expect(opened.recovered).to.deep.equal(Array.from({ length: life }, (_, n) => accepted(n)));
      expect(opened.journal.append(accepted(life))).to.equal(1);
      await opened.journal.close();
    }
  });

  it('says how large it is', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    for (let n = 0; n < 30; n++) await opened.write(accepted(n));
    expect(opened.journal.size().begun).to.be.above(2);
    await opened.journal.close();
    const logs = storage.paths().filter((path) => path.endsWith('.log'));
    const { segments, begun, bytes } = opened.journal.size();
    expect(logs, 'those begun, and the one that is prepared').to.have.length(begun + 1);
    expect(segments).to.equal(logs.length);
    expect(bytes).to.equal(logs.length * SEGMENT_BYTES);
    const again = await Opened.on(storage);
    expect(again.journal.size()).to.deep.equal(opened.journal.size());
    expect((await again.journal.read(entry(7))).entry).to.equal(7);
    await again.journal.close();
  });

  it('lets go what leaves beside a group before it writes it, and knows its entries all the time', async () => {
    const storage = await newDisk();
    const writes: number[] = [];
    const found: Promise<unknown>[] = [];
    const look = (): void => {
      writes.push(count(storage.calls, 'write', segment(1)));
      found.push(opened.journal.read(entry(0)));
    };
    let isDurable = (): void => undefined;
    const durable = new Promise<void>((resolve) => (isDurable = resolve));
    const opened = await Opened.on(storage, {
      onWriting: look,
      onDurable: () => {
        look();
        isDurable();
      },
    });
    storage.calls = [];
    opened.journal.append(accepted(0));
    await durable;
    look();
    expect(writes).to.deep.equal([0, 1, 1]);
    const [first, ...others] = await Promise.all(found);
    expect(first).to.have.property('entry', 0);
    for (const other of others) expect(other).to.deep.equal(first);
    await opened.journal.close();
  });

  it('begins a group when it may, or is told to, and puts all that came meanwhile into it', async () => {
    const storage = await newDisk(64 * 1024);
    let may = false;
    let begun = 0;
    const opened = await Opened.on(storage, {
      segment_bytes: 64 * 1024,
      mayBegin: () => may,
      onWriting: () => {
        begun++;
      },
    });
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    opened.journal.append(accepted(0));
    await turn();
    expect(opened.journal.held).to.equal(true);
    opened.journal.append(accepted(1));
    await turn();
    expect([begun, opened.journal.held]).to.deep.equal([0, true]);
    opened.journal.release();
    expect([begun, opened.journal.held]).to.deep.equal([1, false]);
    opened.journal.append(accepted(2));
    await opened.durableUpTo(2);
    await turn();
    expect([opened.durable, opened.journal.held], 'the next one waits as well').to.deep.equal([[2], true]);
    may = true;
    opened.journal.release();
    await opened.durableUpTo(3);
    expect(opened.journal.held).to.equal(false);
    may = false;
    opened.journal.append(accepted(3));
    await opened.journal.close();
    expect(opened.durable, 'closing waits for nothing but the disk').to.deep.equal([2, 3, 4]);
  });
});
