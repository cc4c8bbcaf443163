import type { EntryMap } from '../core/entry-map.js';
import { NO_ROUND, type Entry } from '../core/ids.js';
import { entry as entryOf } from '../core/ids.js';
import type { JournalRecord, StoredEntry } from '../core/record.js';
import type { EntryIndex, Location } from './entry-index.js';
import { parseRecord, textOfLine, type Members } from './format.js';
import { corruption, JournalError } from './journal-error.js';
import { segmentPath } from './segment.js';
import { unreadable, type Storage, type StorageFile } from './storage.js';

/** How much of the log one answer may hold. */
export interface ReadLimit {
  readonly entries: number;
  /** Of record lines; the first entry is given whatever its size. */
  readonly bytes: number;
}

/** An entry whose group isn't durable yet, and so isn't in the index. */
export interface UnflushedEntry {
  readonly stored: StoredEntry;
  /** Of its line. */
  readonly bytes: number;
}

/** An entry's record as it stands in the journal, unread but for its checksum: the verdict, a space, the message. */
export interface RecordText {
  readonly entry: Entry;
  readonly text: string;
}

type Take<T> = (path: string, place: Placed, bytes: Buffer, at: number) => T;

/** Records of neighbouring entries are fetched by one read of at most this many bytes. */
const READ_AHEAD_BYTES = 256 * 1024;

/**
 * Files that are open for reading back at a time; further reads wait their turn. Half of the four threads that the
 * platform has for files, so that a flush never waits behind readers, and few enough that any number of clients that
 * ask for old entries can't use up the file descriptors.
 */
const MAX_READS_AT_ONCE = 2;

/** What the journal gives back for a record that holds an entry; undefined for one that doesn't. */
export function storedEntry(record: JournalRecord): StoredEntry | undefined {
  switch (record.verdict) {
    case 'accepted':
      return { entry: record.entry, round: record.round, decree: record.decree };
    case 'learnt':
      return { entry: record.entry, round: NO_ROUND, decree: record.decree };
    case 'used':
    case 'promised':
    case 'committed':
      return undefined;
  }
}

interface Placed extends Location {
  readonly entry: Entry;
}

/** Reads entries back, wherever they are: in memory on their way to the disk, or in any segment. */
export class EntryReader {
  private reading = 0;
  /** The file that was read last, still open: who reads on in the log needs it again at once. */
  private idle: { readonly path: string; readonly file: StorageFile } | undefined;
  private closed = false;
  /** Reads that wait for one of MAX_READS_AT_ONCE to end, oldest first. */
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly storage: Storage,
    private readonly directory: string,
    private readonly members: Members,
    private readonly index: EntryIndex,
    private readonly unflushed: Pick<EntryMap<UnflushedEntry>, 'get' | 'has'>,
  ) {}

  /** Consecutive entries from `first` on, up to the first that isn't held. */
  readRange(first: Entry, limit: ReadLimit): Promise<StoredEntry[]> {
    return this.collect(first, limit, (path, place, bytes, at) => this.parse(path, place, bytes, at));
  }

  /** The same, as texts where they are on the disk. */
  readTexts(first: Entry, limit: ReadLimit): Promise<(StoredEntry | RecordText)[]> {
    return this.collect<StoredEntry | RecordText>(first, limit, (path, place, bytes, at) => ({
      entry: place.entry,
      text: this.text(path, place, bytes, at),
    }));
  }

  private async collect<T>(first: Entry, limit: ReadLimit, take: Take<T>): Promise<(T | StoredEntry)[]> {
    const found: (T | StoredEntry)[] = [];
    let bytes = 0;
    while (found.length < limit.entries && (found.length === 0 || bytes < limit.bytes)) {
      const next = entryOf(first + found.length);
      const room = found.length === 0 ? Infinity : limit.bytes - bytes;
      const pending = this.unflushed.get(next);
      if (pending) {
        if (pending.bytes > room) break;
        found.push(pending.stored);
        bytes += pending.bytes;
        continue;
      }
      const run = this.runFrom(next, limit.entries - found.length, limit.bytes - bytes, room);
      if (run.length === 0) break;
      found.push(...(await this.readRun(run, take)));
      bytes += run.reduce((sum, place) => sum + place.bytes, 0);
    }
    return found;
  }

  /**
   * The places of consecutive entries that stand near to each other in one segment, in their order. `room` bounds
   * the first one, `bytes` all of them.
   */
  private runFrom(first: Entry, entries: number, bytes: number, room: number): Placed[] {
    const run: Placed[] = [];
    let total = 0;
    for (let entry = first; run.length < entries; entry = entryOf(entry + 1)) {
      const place = this.unflushed.has(entry) ? undefined : this.index.get(entry);
      if (!place) break;
      total += place.bytes;
      const [start] = run;
      const last = run[run.length - 1];
      if (!start || !last) {
        if (place.bytes > room) break;
      } else if (
        total > bytes ||
        place.segment !== start.segment ||
        place.offset < last.offset ||
        place.offset + place.bytes - start.offset > READ_AHEAD_BYTES
      ) {
        break;
      }
      const { segment, offset, bytes: length } = place;
      run.push({ segment, offset, bytes: length, entry });
    }
    return run;
  }

  /** In its turn, so that what waits holds neither a file nor a buffer. */
  private async readRun<T>(run: readonly Placed[], take: Take<T>): Promise<T[]> {
    if (this.reading < MAX_READS_AT_ONCE) this.reading++;
    else await new Promise<void>((resolve) => this.waiting.add(resolve));
    try {
      return await this.readPlaces(run, take);
    } finally {
      this.passOn();
    }
  }

  private async readPlaces<T>(run: readonly Placed[], take: Take<T>): Promise<T[]> {
    const [start] = run;
    const last = run[run.length - 1];
    if (!start || !last) return [];
    const path = segmentPath(this.directory, start.segment);
    const room = Buffer.allocUnsafe(last.offset + last.bytes - start.offset);
    const bytes = room.subarray(0, await this.fill(path, room, start.offset));
    return run.map((place) => take(path, place, bytes, place.offset - start.offset));
  }

  private async fill(path: string, bytes: Buffer, offset: number): Promise<number> {
    try {
      const file = await this.open(path);
      const length = await file.read(bytes, offset).catch(async (error: unknown) => {
        await file.close();
        throw error;
      });
      await this.putAside(path, file);
      return length;
    } catch (error) {
      throw error instanceof JournalError ? error : unreadable(path, error);
    }
  }

  private async open(path: string): Promise<StorageFile> {
    const { idle } = this;
    if (idle?.path !== path) return this.storage.open(path, 'read');
    this.idle = undefined;
    return idle.file;
  }

  private async putAside(path: string, file: StorageFile): Promise<void> {
    const other = this.closed ? file : this.idle?.file;
    if (!this.closed) this.idle = { path, file };
    await other?.close();
  }

  /** Closes what is open, once nothing is read any more. */
  async close(): Promise<void> {
    this.closed = true;
    const { idle } = this;
    this.idle = undefined;
    await idle?.file.close();
  }

  /** A read has ended: its turn goes to the one that waits longest. */
  private passOn(): void {
    const [next] = this.waiting;
    if (next === undefined) {
      this.reading--;
      return;
    }
    this.waiting.delete(next);
    next();
  }

  private text(path: string, place: Placed, bytes: Buffer, at: number): string {
    const text = textOfLine(bytes, at, at + place.bytes);
    if (text === undefined) throw corruption(path, place.offset, 'a record that was whole is damaged now');
    return text;
  }

  private parse(path: string, place: Placed, bytes: Buffer, at: number): StoredEntry {
    const parsed = parseRecord(this.text(path, place, bytes, at), this.members);
    if (!parsed.ok) throw corruption(path, place.offset, parsed.reason);
    const stored = storedEntry(parsed.record);
    if (stored?.entry === place.entry) return stored;
    throw corruption(path, place.offset, `another record stands where entry ${place.entry} was`);
  }
}
