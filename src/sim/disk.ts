import { dirname } from 'node:path';
import { SECTOR_BYTES } from '../journal/format.js';
import { writeNewJournal, type Identity } from '../journal/identity.js';
import { journalPath, segmentPath } from '../journal/segment.js';
import { DiskFile } from './disk-file.js';
import { DiskSession, type DiskHost } from './disk-session.js';
import type { Random } from './random.js';

/** Where a node keeps its journal, on its own disk. */
export const DIRECTORY = '/data';

/** How much of what wasn't flushed a power failure leaves. */
type Remains = 'nothing' | 'all' | 'beginning' | 'some sectors';

/**
 * The disk of one node, which outlives its processes: files with their durable bytes, and names with theirs. The journal
 * that ships writes to it and recovers from it.
 */
export class Disk {
  readonly #directories = new Set<string>();
  #names = new Map<string, DiskFile>();
  #durable_names = new Map<string, DiskFile>();

  constructor(private readonly random: Random) {}

  /** Prepares it as `paxosd init` does. */
  async initialise(identity: Identity, segment_bytes: number, host: DiskHost): Promise<void> {
    await writeNewJournal(new DiskSession(this, host), DIRECTORY, identity, segment_bytes);
  }

  /* --- names ----------------------------------------------------------------------------------------------------- */

  find(path: string): DiskFile | undefined {
    return this.#names.get(path);
  }

  put(path: string, file: DiskFile): void {
    this.#names.set(path, file);
  }

  remove(path: string): boolean {
    return this.#names.delete(path);
  }

  makeDirectory(path: string): void {
    this.#directories.add(path);
  }

  /** Names in a directory, without it; undefined if there is none. */
  list(directory: string): string[] | undefined {
    if (!this.#directories.has(directory)) return undefined;
    return pathsIn(this.#names, directory).map((path) => path.slice(directory.length + 1));
  }

  syncDirectory(directory: string): void {
    for (const path of pathsIn(this.#durable_names, directory)) this.#durable_names.delete(path);
    for (const path of pathsIn(this.#names, directory)) {
      const file = this.#names.get(path);
      if (file !== undefined) this.#durable_names.set(path, file);
    }
  }

  /** The segments that there are, in their order. */
  get segments(): DiskFile[] {
    const found: DiskFile[] = [];
    for (let number = 1; ; number++) {
      const file = this.#names.get(segmentPath(DIRECTORY, number));
      if (file === undefined) return found;
      found.push(file);
    }
  }

  /** How many files there are beside the segments, which a crash left while they were being made. */
  get unfinished(): number {
    return pathsIn(this.#names, journalPath(DIRECTORY)).length - this.segments.length;
  }

  /* --- crashes --------------------------------------------------------------------------------------------------- */

  /** The process is gone, and with `power` what the disk hadn't flushed may be gone too. */
  crash(power: boolean): void {
    const files = new Set([...this.#names.values(), ...this.#durable_names.values()]);
    for (const file of files) file.abandonFlush();
    if (!power) return;
    if (this.random.chance(0.5)) this.#names = new Map(this.#durable_names);
    else this.#durable_names = new Map(this.#names);
    const remains = this.random.pick<Remains>(['nothing', 'all', 'beginning', 'some sectors']);
    for (const file of files) file.losePower(this.#tear(file, remains));
  }

  #tear(file: DiskFile, remains: Remains): (sector: number) => number {
    switch (remains) {
      case 'nothing':
        return () => 0;
      case 'all':
        return () => SECTOR_BYTES;
      case 'beginning': {
        const { uncertain } = file;
        const last = uncertain.length === 0 ? 0 : this.random.pick(uncertain);
        const kept = this.random.whole(0, SECTOR_BYTES);
        return (sector) => (sector < last ? SECTOR_BYTES : sector === last ? kept : 0);
      }
      case 'some sectors':
        return () => (this.random.chance(0.5) ? SECTOR_BYTES : 0);
    }
  }

  /** A disk of its own with the same files, all of them durable. */
  clone(): Disk {
    const copy = new Disk(this.random);
    for (const [path, file] of this.#names) copy.put(path, file.clone());
    for (const directory of this.#directories) copy.makeDirectory(directory);
    copy.#durable_names = new Map(copy.#names);
    return copy;
  }
}

function pathsIn(names: ReadonlyMap<string, DiskFile>, directory: string): string[] {
  return [...names.keys()].filter((path) => dirname(path) === directory);
}
