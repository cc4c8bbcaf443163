import { SECTOR_BYTES } from '../journal/format.js';
import type { JournalRecord } from '../core/record.js';
import type { Disk } from './disk.js';
import type { DiskFile } from './disk-file.js';
import { mustHold } from './failure.js';
import type { Random } from './random.js';

/**
 * What may happen to durable bytes (faults.md, rows 35 to 37). A flipped bit, and zeros before something that was written
 * later, can be told from what a crash leaves: such a node must refuse its journal, or have lost nothing.
 */
export type Damage = 'flip' | 'zero';

/** What is done to a copy of a disk, to see that its recovery invents nothing, and ends. */
export type Harm = 'none' | 'cut' | 'last sector';
export const HARMS: readonly Harm[] = ['none', 'cut', 'cut', 'last sector'];

/** As far from the end as a cut goes: some records. */
const CUT_BYTES = 400;

interface Written {
  readonly file: DiskFile;
  /** Behind its last byte that isn't zero. */
  readonly end: number;
}

function writtenSegments(disk: Disk): Written[] {
  const all = disk.segments.map((file) => ({
    file,
    end: file.bytes.findLastIndex((byte) => byte !== 0) + 1,
  }));
  return all.filter(({ end }) => end > 0);
}

/** Does it; false if the disk has no place for it. */
export function damage(disk: Disk, how: Damage, random: Random): boolean {
  const written = writtenSegments(disk);
  const places = how === 'zero' ? written.slice(0, -1) : written;
  if (places.length === 0) return false;
  const { file, end } = random.pick(places);
  if (how === 'flip') {
    const at = random.below(end);
    file.damage(at, Buffer.of((file.bytes[at] ?? 0) ^ (1 << random.below(8))));
    return true;
  }
  const at = random.below(Math.floor(end / SECTOR_BYTES)) * SECTOR_BYTES;
  file.damage(at, Buffer.alloc(Math.min(SECTOR_BYTES, end - at)));
  return true;
}

/** The last segment loses its end: as a crash would leave it, were those bytes not durable. */
export function harm(disk: Disk, how: Harm, random: Random): void {
  const last = writtenSegments(disk).at(-1);
  if (how === 'none' || last === undefined) return;
  const { file, end } = last;
  const lastSector = Math.floor((end - 1) / SECTOR_BYTES) * SECTOR_BYTES;
  const from = how === 'cut' ? Math.max(0, end - 1 - random.below(CUT_BYTES)) : lastSector;
  file.damage(from, Buffer.alloc(end - from));
}

/** Recovery of a harmed copy hands out a beginning of what was there; of an unharmed one, all of it. */
export function mustBeBeginning(
  found: readonly JournalRecord[],
  all: readonly JournalRecord[],
  how: Harm,
): void {
  const isBeginning = found.every((record, i) => JSON.stringify(record) === JSON.stringify(all[i]));
  const isEnough = how === 'none' ? found.length === all.length : found.length <= all.length;
  mustHold(
    isBeginning && isEnough,
    '10 recovery',
    () => `${found.length} records of ${all.length} after ${how}`,
  );
}
