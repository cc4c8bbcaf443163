import type { EntryMap } from '../core/entry-map.js';
import { NO_ROUND, type Entry } from '../core/ids.js';
import { entry as entryOf } from '../core/ids.js';
import type { JournalRecord, StoredEntry } from '../core/record.js';
import type { EntryIndex, Location } from './entry-index.js';
import { textOfLine, type Members } from './format.js';
import { messageStart, parseRecord } from './record-reader.js';
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

/** Who takes entries as they stand in the journal, where they are on the disk. */
export interface EntrySink {
  /**
   * Takes an entry out of the message in `bytes` from `start` up to `end`, which its record was made of and nobody has
   * read; only now is it there. False if it wants the entry instead.
   */
  pass(bytes: Buffer, start: number, end: number, entry: Entry): boolean;
  take(stored: StoredEntry): void;
}

/** Gets the bytes that hold a record's line from `at` on; only now are they there. */
type TakeLine = (path: string, place: Placed, bytes: Buffer, at: number) => void;

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
  /** Memory that was read into, and is used again: as many as there were reads at once. */
  private readonly spares: Buffer[] = [];
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
  async readRange(first: Entry, limit: ReadLimit): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    const take = (stored: StoredEntry): unknown => found.push(stored);
    await this.visit(first, limit, take, (path, place, bytes, at) =>
      take(this.parse(path, place, bytes, at)),
    );
    return found;
  }

  /** The same, for a sink, one after the other. */
  readInto(first: Entry, limit: ReadLimit, sink: EntrySink): Promise<void> {
    const take = (stored: StoredEntry): void => sink.take(stored);
    return this.visit(first, limit, take, (path, place, bytes, at) => {
      const end = at + place.bytes;
      const start = messageStart(bytes, at, end);
      if (start === undefined || !sink.pass(bytes, start, end - 1, place.entry))
        take(this.parse(path, place, bytes, at));
    });
  }

  private async visit(
    first: Entry,
    limit: ReadLimit,
    take: (stored: StoredEntry) => void,
    takeLine: TakeLine,
  ): Promise<void> {
    let entries = 0;
    let bytes = 0;
    while (entries < limit.entries && (entries === 0 || bytes < limit.bytes)) {
      const next = entryOf(first + entries);
      const room = entries === 0 ? Infinity : limit.bytes - bytes;
      const pending = this.unflushed.get(next);
      if (pending) {
        if (pending.bytes > room) break;
        take(pending.stored);
        entries++;
        bytes += pending.bytes;
        continue;
      }
      const run = this.runFrom(next, limit.entries - entries, limit.bytes - bytes, room);
      if (run.length === 0) break;
      await this.readRun(run, takeLine);
      entries += run.length;
      bytes += run.reduce((sum, place) => sum + place.bytes, 0);
    }
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
      run.push({ segment: place.segment, offset: place.offset, bytes: place.bytes, entry });
    }
    return run;
  }

  /** In its turn, so that what waits holds neither a file nor a buffer. */
  private async readRun(run: readonly Placed[], takeLine: TakeLine): Promise<void> {
    if (this.reading < MAX_READS_AT_ONCE) this.reading++;
    else await new Promise<void>((resolve) => this.waiting.add(resolve));
    try {
      await this.readPlaces(run, takeLine);
    } finally {
      this.passOn();
    }
  }

  private async readPlaces(run: readonly Placed[], takeLine: TakeLine): Promise<void> {
    const [start] = run;
    const last = run[run.length - 1];
    if (!start || !last) return;
    const path = segmentPath(this.directory, start.segment);
    const length = last.offset + last.bytes - start.offset;
    // Only the first of a run may be longer than what is read at once.
    const room = length > READ_AHEAD_BYTES ? Buffer.allocUnsafe(length) : this.spareRoom();
    const bytes = room.subarray(0, await this.fill(path, room.subarray(0, length), start.offset));
    for (const place of run) takeLine(path, place, bytes, place.offset - start.offset);
    if (room.length === READ_AHEAD_BYTES) this.spares.push(room);
  }

  private spareRoom(): Buffer {
    return this.spares.pop() ?? Buffer.allocUnsafeSlow(READ_AHEAD_BYTES);
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
