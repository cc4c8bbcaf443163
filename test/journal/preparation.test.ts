import { expect } from 'chai';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSegment, journalPath, segmentPath } from '../../src/journal/segment.js';
import { disk, type Storage, type StorageFile } from '../../src/journal/storage.js';

const PART_BYTES = 256 * 1024;

/** The real disk, with a list of what was asked of it. */
function watched(done: string[]): Storage {
  return {
    ...disk,
    async open(path, mode) {
      const file = await disk.open(path, mode);
      const watchedFile: StorageFile = {
        size: file.size,
        read: (buffer, offset) => file.read(buffer, offset),
        write: (buffer, offset) => {
          done.push(`write ${buffer.length}`);
          return file.write(buffer, offset);
        },
        writeNow: (buffer, offset) => file.writeNow(buffer, offset),
        datasync: () => {
          done.push('flush');
          return file.datasync();
        },
        sync: () => {
          done.push('flush all');
          return file.sync();
        },
        close: () => file.close(),
      };
      return watchedFile;
    },
  };
}

describe('journal: preparing a segment', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'paxosd-'));
    await mkdir(journalPath(directory));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('leaves the disk to others between its parts', async () => {
    const done: string[] = [];
    const rest = (): Promise<void> => {
      done.push('rest');
      return Promise.resolve();
    };
    await createSegment(watched(done), directory, 1, 2 * PART_BYTES + 10, [Buffer.from('head')], rest);
    const part = [`write ${PART_BYTES}`, 'flush', 'rest'];
    expect(done).to.deep.equal(['write 4', ...part, ...part, 'write 6', 'flush all']);
    const bytes = await readFile(segmentPath(directory, 1));
    expect(bytes.equals(Buffer.concat([Buffer.from('head'), Buffer.alloc(2 * PART_BYTES + 6)]))).to.equal(
      true,
    );
  });

  it('does it in one go where nobody is to be left anything', async () => {
    const done: string[] = [];
    await createSegment(watched(done), directory, 1, 2 * PART_BYTES);
    expect(done).to.deep.equal([`write ${2 * PART_BYTES}`, 'flush all']);
  });
});
