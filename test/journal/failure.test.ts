import { expect } from 'chai';
import { entry } from '../../src/core/ids.js';
import { markPath } from '../../src/journal/segment.js';
import type { Call, MemoryStorage } from './memory-storage.js';
import { accepted, DIRECTORY, endOf, newDisk, Opened, recover, segment, SEGMENT_BYTES } from './support.js';

/** Fails the k-th call of this kind on a segment, and from then on only that one. */
function failOnce(storage: MemoryStorage, operation: Call['operation'], path: string, k: number): void {
  let seen = 0;
  storage.before = (call) => {
    if (call.operation === operation && call.path === path && ++seen === k) throw new Error('EIO: i/o error');
    return undefined;
  };
}

async function failed(storage: MemoryStorage, opened: Opened): Promise<Error> {
  const position = opened.journal.append(accepted(1));
  const error = await opened.durableUpTo(position).then(
    () => undefined,
    (why: unknown) => why as Error,
  );
  expect(storage.paths()).to.include(markPath(DIRECTORY));
  return error!;
}

async function oneRecord(): Promise<{ storage: MemoryStorage; opened: Opened }> {
  const storage = await newDisk();
  const opened = await Opened.on(storage);
  await opened.write(accepted(0));
  return { storage, opened };
}

describe('a disk that fails under the journal (spec.md, "Durability")', () => {
  for (const operation of ['datasync', 'write'] as const) {
    it(`never tries again after a failed ${operation}: reports it, leaves a mark, stops`, async () => {
      const { storage, opened } = await oneRecord();
      failOnce(storage, operation, segment(1), 1);
      const error = await failed(storage, opened);
      expect(error.message).to.match(/0000000001\.log, offset \d+: EIO/);
      const mark = JSON.parse(storage.bytes(markPath(DIRECTORY)).toString()) as Record<string, unknown>;
      expect(mark).to.include({ file: segment(1) });
      expect(mark['offset']).to.be.a('number');
      storage.calls = [];
      expect(opened.journal.append(accepted(2))).to.equal(3);
      await new Promise(setImmediate);
      expect(storage.calls).to.deep.equal([]);
      expect(opened.durable).to.deep.equal([1]);
      expect(opened.failures).to.have.length(1);
      await opened.journal.close();
      expect(opened.durable).to.deep.equal([1]);
    });
  }

  it('takes a short write for a failure, and cuts what it left', async () => {
    const { storage: whole } = await oneRecord();
    const { length } = whole.calls.findLast(
      ({ operation, path }) => operation === 'write' && path === segment(1),
    )!;
    for (let taken = 0; taken < length; taken += 9) {
      const { storage, opened } = await oneRecord();
      let cut = false;
      storage.before = (call) => {
        if (call.operation !== 'write' || call.path !== segment(1) || cut) return undefined;
        cut = true;
        return taken;
      };
      const error = await failed(storage, opened);
      expect(error.message).to.match(new RegExp(`short write: ${taken} of \\d+ bytes`));
      storage.before = () => undefined;
      await opened.journal.close();
      expect(await recover(storage)).to.deep.equal([accepted(0)]);
      expect(storage.paths()).not.to.include(markPath(DIRECTORY));
    }
  });

  it('copies what is valid into a new file at the next start, and then removes the mark', async () => {
    const { storage, opened } = await oneRecord();
    failOnce(storage, 'datasync', segment(1), 1);
    await failed(storage, opened);
    await opened.journal.close();
    storage.before = () => undefined;
    const old = storage.bytes(segment(1));
    storage.calls = [];
    const next = await Opened.on(storage);
    expect(next.notes).to.include('journal-copied');
    expect(next.recovered).to.deep.equal([accepted(0), accepted(1)]);
    expect(storage.bytes(segment(1))).not.to.equal(old);
    const steps = storage.calls
      .filter(({ operation }) => !['open', 'read', 'list'].includes(operation))
      .map(({ operation, path }) => `${operation} ${path.slice(DIRECTORY.length + 1)}`);
    const named = ['sync journal/0000000001.log.new', 'rename journal/0000000001.log'];
    const order = [...named, 'syncDirectory journal', 'remove failed', 'syncDirectory '];
    let from = -1;
    for (const step of order) {
      from = steps.findIndex((found, at) => at > from && found === step);
      expect(from, `${step} in ${steps.join(', ')}`).to.be.at.least(0);
    }
    await next.write(accepted(2));
    expect((await next.journal.read(entry(1))).entry).to.equal(1);
    await next.journal.close();
    expect(await recover(storage)).to.deep.equal([accepted(0), accepted(1), accepted(2)]);
  });

  it('keeps the mark until the copy is durable', async () => {
    const { storage, opened } = await oneRecord();
    failOnce(storage, 'datasync', segment(1), 1);
    await failed(storage, opened);
    await opened.journal.close();
    const failing = storage.clone();
    failOnce(failing, 'sync', `${segment(1)}.new`, 1);
    const error = await recover(failing).then(
      () => undefined,
      (why: unknown) => why as Error,
    );
    expect(error?.message).to.include('EIO');
    expect(failing.paths()).to.include(markPath(DIRECTORY));
    failing.before = () => undefined;
    expect(await recover(failing)).to.deep.equal([accepted(0), accepted(1)]);
  });

  it('stops even if no mark can be left', async () => {
    const { storage, opened } = await oneRecord();
    storage.before = (call) => {
      if (call.operation === 'datasync' || call.operation === 'replace') throw new Error('EROFS');
      return undefined;
    };
    opened.journal.append(accepted(1));
    const error = await opened.durableUpTo(2).catch((why: unknown) => why as Error);
    expect(error).to.be.instanceOf(Error);
    expect(opened.notes).to.include.members(['journal-failed', 'journal-mark']);
    await opened.journal.close();
  });

  it('stops when a new segment can’t be begun, and recovers', async () => {
    for (const operation of ['write', 'datasync', 'open'] as const) {
      const storage = await newDisk();
      const opened = await Opened.on(storage);
      let appended = 0;
      let durable = 0;
      await opened.write(accepted(appended++));
      storage.before = (call) => {
        if (call.operation === operation && call.path === segment(2)) throw new Error('EIO');
        return undefined;
      };
      while (opened.failures.length === 0) {
        durable = appended;
        await opened.write(accepted(appended++)).catch(() => undefined);
      }
      await opened.journal.close();
      storage.before = () => undefined;
      const records = await recover(storage);
      expect(records.length).to.be.within(durable, appended);
      expect(records).to.deep.equal(records.map((_, n) => accepted(n)));
    }
  });

  /** A disk without room for another file until `free` says so. */
  async function fullDisk(free: () => boolean): Promise<MemoryStorage> {
    const storage = await newDisk();
    storage.before = (call) => {
      const lacks_room = call.operation === 'write' && call.path.endsWith('.new') && !free();
      if (lacks_room) throw new Error('ENOSPC: no space left');
      return undefined;
    };
    return storage;
  }

  it('prepares the next segment later if there is room by then', async () => {
    let free = false;
    const storage = await fullDisk(() => free);
    const opened = await Opened.on(storage);
    let n = 0;
    for (; n < 3; n++) await opened.write(accepted(n));
    expect(storage.paths().filter((path) => path.endsWith('.new'))).to.deep.equal([]);
    expect(opened.journal.size()).to.deep.equal({ segments: 1, begun: 1, bytes: SEGMENT_BYTES });
    free = true;
    while (!opened.notes.includes('journal-prepared')) await opened.write(accepted(n++));
    expect(opened.journal.size(), 'before it is needed').to.deep.equal({
      segments: 2,
      begun: 1,
      bytes: 2 * SEGMENT_BYTES,
    });
    while (opened.journal.size().begun < 3) await opened.write(accepted(n++));
    await opened.journal.close();
    expect(opened.failures).to.deep.equal([]);
    expect(opened.notes.filter((note) => note === 'journal-prepared')).to.have.length(1);
    expect(await recover(storage)).to.deep.equal(Array.from({ length: n }, (_, i) => accepted(i)));
  });

  it('tries it a last time in the moment in which it is needed, and not at every group before', async () => {
    let free = false;
    const storage = await fullDisk(() => free);
    const opened = await Opened.on(storage);
    const attempts = (): number => opened.notes.filter((note) => note === 'journal-preparation').length;
    const end = (): number => endOf(storage.bytes(segment(1)));
    for (let n = 0, length = 0; end() + length <= SEGMENT_BYTES; n++) {
      const before = end();
      await opened.write(accepted(n, 'x'));
      length = end() - before;
    }
    expect(attempts()).to.be.within(2, 17);
    free = true;
    await opened.write(accepted(100, 'x'));
    expect(opened.journal.size().begun).to.equal(2);
    expect(opened.failures).to.deep.equal([]);
    await opened.journal.close();
  });

  it('tells at once that the next segment can’t be prepared, and stops when it is needed', async () => {
    const storage = await fullDisk(() => false);
    const opened = await Opened.on(storage);
    let durable = 0;
    await opened.write(accepted(durable++));
    expect(opened.notes).to.include('journal-preparation');
    expect(opened.failures).to.deep.equal([]);
    while (opened.failures.length === 0) {
      await opened.write(accepted(durable)).then(
        () => durable++,
        () => undefined,
      );
    }
    expect(durable).to.be.above(5);
    expect(opened.failures[0]?.message).to.include('ENOSPC');
    await opened.journal.close();
    storage.before = () => undefined;
    const again = await Opened.on(storage);
    expect(again.recovered).to.have.length(durable);
    await again.write(accepted(durable));
    await again.journal.close();
  });

  it('believes a mark that can’t be read', async () => {
    const { storage, opened } = await oneRecord();
    await opened.journal.close();
    storage.put(markPath(DIRECTORY), Buffer.from('\0\0\0'));
    const next = await Opened.on(storage);
    expect(next.notes).to.include('journal-copied');
    await next.journal.close();
    expect(storage.paths()).not.to.include(markPath(DIRECTORY));
  });
});
