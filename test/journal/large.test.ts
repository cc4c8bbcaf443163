import { expect } from 'chai';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entry } from '../../src/core/ids.js';
import type { JournalRecord } from '../../src/core/record.js';
import { initialise } from '../../src/journal/identity.js';
import { openJournal, type Journal } from '../../src/journal/journal.js';
import { disk, type Storage } from '../../src/journal/storage.js';
import { accepted, AGENTS, SELF } from './support.js';

const ENTRIES = 100_000;
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** A group, its header, and some room. */
const MAX_READ_BYTES = 1024 * 1024 + 4096;

/** The real disk, telling the largest read. */
function watched(onRead: (bytes: number) => void): Storage {
  return {
    ...disk,
    async open(path, mode) {
      const file = await disk.open(path, mode);
      return {
        size: file.size,
        read: (buffer, offset) => {
          onRead(buffer.length);
          return file.read(buffer, offset);
        },
        write: (buffer, offset) => file.write(buffer, offset),
        writeNow: (buffer, offset) => file.writeNow(buffer, offset),
        datasync: () => file.datasync(),
        sync: () => file.sync(),
        close: () => file.close(),
      };
    },
  };
}

describe('a large journal (spec.md, "Durability")', () => {
  let directory = '';
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'paxosd-journal-'));
    await initialise(directory, { self: SELF, agents: AGENTS, segment_bytes: SEGMENT_BYTES });
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const open = (onRecord: (record: JournalRecord) => void, options = {}): Promise<Journal> =>
    openJournal({
      directory,
      agents: AGENTS,
      segment_bytes: SEGMENT_BYTES,
      onRecord,
      onDurable: () => undefined,
      onFailure: (error) => {
        throw error;
      },
      log: () => undefined,
      ...options,
    });

  it(`recovers ${ENTRIES} entries, reading a bounded stretch at a time`, async () => {
    const journal = await open(() => undefined);
    for (let n = 0; n < ENTRIES; n++) journal.append(accepted(n));
    await journal.close();
    expect(journal.durable).to.equal(ENTRIES);
    let next = 0;
    let largest = 0;
    const progress: [number, number][] = [];
    const again = await open(
      (record) => {
        if (record.verdict === 'accepted' && record.entry === next) next++;
      },
      {
        storage: watched((bytes) => (largest = Math.max(largest, bytes))),
        onProgress: (done: number, total: number) => progress.push([done, total]),
      },
    );
    expect(next).to.equal(ENTRIES);
    expect(largest).to.be.at.most(MAX_READ_BYTES);
    expect(again.size().begun).to.be.above(3);
    expect(progress.at(-1)?.[0]).to.equal(progress.at(-1)?.[1]);
    expect(progress.every(([done], i) => i === 0 || done >= progress[i - 1]![0])).to.equal(true);
    const tail = await again.readRange(entry(ENTRIES - 3), { entries: 10, bytes: 10_000 });
    expect(tail.map((one) => one.entry)).to.deep.equal([ENTRIES - 3, ENTRIES - 2, ENTRIES - 1]);
    await again.close();
  });
});
