import { EntryMap } from '../core/entry-map.js';
import { position, type Entry, type Position } from '../core/ids.js';
import { formatAddress, sameAddress, compareAddresses, type Address } from '../core/address.js';
import type { JournalRecord, StoredEntry } from '../core/record.js';
import { EntryIndex } from './entry-index.js';
import {
  EntryReader,
  storedEntry,
  type ReadLimit,
  type UnflushedEntry,
  type EntrySink,
} from './entry-reader.js';
import { leaveMark } from './failure-mark.js';
import {
  GroupBuilder,
  GROUP_HEADER_BYTES,
  lineBytes,
  mostBytes,
  recordSource,
  MAX_GROUP_BYTES,
  MAX_RECORD_BYTES,
  MAX_SEGMENT_HEADER_BYTES,
  type Members,
  type RecordSource,
} from './format.js';
import { membersOf, readIdentity, stampOf, type Identity } from './identity.js';
import { describeError, JournalError } from './journal-error.js';
import type { Log } from './log.js';
import { recoverJournal } from './recover.js';
import { identityPath, MIN_SEGMENT_BYTES, SEGMENT_BYTES } from './segment.js';
import { SegmentWriter, type JournalSize, type Placement } from './segment-writer.js';
import { disk, type Storage } from './storage.js';

export interface JournalOptions {
  /** An initialised data directory; the caller holds its lock. */
  readonly directory: string;
  /** The cluster's agents as the caller knows them; the directory must belong to the same cluster. */
  readonly agents: readonly Address[];
  /** Called for each record of earlier lives, in order, before `openJournal` resolves. */
  readonly onRecord: (record: JournalRecord) => void;
  /** A group of records is about to be written: what may leave beside it leaves now. */
  readonly onWriting?: () => void;
  /**
   * Whether a group may begin; absent: as soon as the one before it is durable. What is appended meanwhile joins the
   * group that waits, until `release`.
   */
  readonly mayBegin?: () => boolean;
  /** Every record up to `position` is on the disk. Positions never go back. */
  readonly onDurable: (position: Position) => void;
  /** A write or flush failed. Nothing appended since the last `onDurable` may be relied on: the agent must stop. */
  readonly onFailure: (error: Error) => void;
  readonly log: Log;
  /** How far recovery is, in bytes. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Size of the segments that this life makes. */
  readonly segment_bytes?: number;
  readonly storage?: Storage;
}

/** An agent's message log (spec.md, "Durability"). */
export interface Journal {
  /** The position of the last record appended in this life; 0 before the first. */
  readonly appended: Position;
  /** The position up to which everything is on the disk. */
  readonly durable: Position;
  /** Of the records that wait to be written, in bytes: large only when the disk can't keep up. */
  readonly waiting_bytes: number;
  /** Whether a group waits that `mayBegin` did not let begin. */
  readonly held: boolean;
  /** Begins the group that was held. */
  release(): void;
  /** Appends a record, which becomes durable with its group; its position is its count in this life, from 1. */
  append(record: JournalRecord): Position;
  /** The latest acceptance or learnt decree of an entry; rejects if the journal holds none, or can't read it. */
  read(entry: Entry): Promise<StoredEntry>;
  /** Consecutive entries from `first` on, up to the first that isn't held; empty if `first` isn't. */
  readRange(first: Entry, limit: ReadLimit): Promise<StoredEntry[]>;
  /** The same, for a sink, one after the other. */
  readInto(first: Entry, limit: ReadLimit, sink: EntrySink): Promise<void>;
  size(): JournalSize;
  /** Writes what is pending, and closes. Nothing may be appended any more. */
  close(): Promise<void>;
}

/** Recovers the journal in `directory` and opens it for appending. Rejects with a JournalError if it refuses to. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { directory, storage = disk, segment_bytes = SEGMENT_BYTES, log } = options;
  if (segment_bytes < MIN_SEGMENT_BYTES)
    throw new RangeError(`segments have at least ${MIN_SEGMENT_BYTES} bytes`);
  const identity = await readIdentity(directory, storage);
  requireSameCluster(directory, identity, options.agents);
  const index = new EntryIndex();
  const { onRecord, onProgress } = options;
  const stamp = stampOf(identity);
  const shared = { storage, directory, segment_bytes, log, stamp };
  const recovered = await recoverJournal({ ...shared, identity, index, onRecord, onProgress });
  const writer = await SegmentWriter.open(shared, recovered);
  return new GroupCommitJournal(writer, membersOf(identity), index, { ...options, storage, segment_bytes });
}

function requireSameCluster(directory: string, identity: Identity, agents: readonly Address[]): void {
  const sorted = [...agents].sort(compareAddresses);
  const same =
    sorted.length === identity.agents.length &&
    identity.agents.every((agent, i) => sameAddress(agent, sorted[i] ?? agent));
  if (same) return;
  const path = identityPath(directory);
  const [theirs, ours] = [identity.agents, sorted].map((list) => list.map(formatAddress).join(', '));
  throw new JournalError(
    'foreign',
    `${path} belongs to the cluster of ${String(theirs)}, not to that of ${String(ours)}. Name this node's own directory.`,
    path,
  );
}

/** Groups whose memory is kept, two megabytes each at most: one is written, one is filled, more wait for a slow disk. */
const MAX_SPARES = 4;

/** Records that become durable together. */
class Group {
  readonly builder = new GroupBuilder();
  /** The position of its last record. */
  last = position(0);
  /** Entry, place in the group and length of each record that holds an entry, one after the other. */
  entries: number[] = [];
}

interface Unflushed extends UnflushedEntry {
  readonly group: Group;
}

/**
 * Group commit: what is appended while a group is being flushed makes up the next one. One group is in flight at a
 * time, so that a torn group is always the last one.
 */
class GroupCommitJournal implements Journal {
  appended = position(0);
  durable = position(0);
  private readonly reader: EntryReader;
  private readonly unflushed = new EntryMap<Unflushed>();
  private readonly max_group_bytes: number;
  /** Waiting to be written, oldest first; records are added to the last one. */
  private queue: Group[] = [];
  /** Written ones, whose memory is used again. */
  private readonly spares: Group[] = [];
  /** Whether `run` is at work, and will see what is appended. */
  private busy = false;
  private running: Promise<void> | undefined;
  private scheduled: NodeJS.Immediate | undefined;
  /** Whether the first group of the queue was not let begin. */
  held = false;
  private failed = false;
  private closing: Promise<void> | undefined;

  constructor(
    private readonly writer: SegmentWriter,
    private readonly members: Members,
    private readonly index: EntryIndex,
    private readonly options: JournalOptions & { readonly storage: Storage; readonly segment_bytes: number },
  ) {
    const { storage, directory, segment_bytes } = options;
    this.reader = new EntryReader(storage, directory, members, index, this.unflushed);
    const room = segment_bytes - MAX_SEGMENT_HEADER_BYTES - GROUP_HEADER_BYTES;
    this.max_group_bytes = Math.min(MAX_GROUP_BYTES, room);
  }

  append(record: JournalRecord): Position {
    if (this.closing) throw new Error('the journal is closed');
    const text = recordSource(record, this.members);
    const group = this.failed ? undefined : this.groupFor(text);
    this.appended = position(this.appended + 1);
    if (group === undefined) return this.appended;
    const offset = group.builder.append(text);
    group.last = this.appended;
    const stored = storedEntry(record);
    if (stored) {
      const bytes = group.builder.length - offset;
      group.entries.push(stored.entry, offset, bytes);
      this.unflushed.set(stored.entry, { stored, bytes, group });
    }
    /* All that one turn of the event loop appends shares a group. */
    if (!this.busy && !this.held) this.scheduled ??= setImmediate(() => this.start());
    return this.appended;
  }

  get waiting_bytes(): number {
    return this.queue.reduce((sum, { builder }) => sum + builder.length, 0);
  }

  async read(entry: Entry): Promise<StoredEntry> {
    const [stored] = await this.readRange(entry, { entries: 1, bytes: 0 });
    if (stored) return stored;
    throw new JournalError('missing', `The journal in ${this.options.directory} holds no entry ${entry}.`);
  }

  readRange(first: Entry, limit: ReadLimit): Promise<StoredEntry[]> {
    return this.reader.readRange(first, limit);
  }

  readInto(first: Entry, limit: ReadLimit, sink: EntrySink): Promise<void> {
    return this.reader.readInto(first, limit, sink);
  }

  size(): JournalSize {
    return this.writer.used;
  }

  close(): Promise<void> {
    this.closing ??= this.finish();
    return this.closing;
  }

  private async finish(): Promise<void> {
    if (this.scheduled) this.start();
    this.release();
    await this.running;
    await this.reader.close();
    await this.writer.close();
  }

  /** The group that a record of this text is put into. Throws if it is too long for any. */
  private groupFor(text: RecordSource): Group {
    const last = this.queue[this.queue.length - 1];
    const room = last ? this.max_group_bytes + GROUP_HEADER_BYTES - last.builder.length : 0;
    // Nearly always there is room for so many that they needn't be counted.
    if (last && mostBytes(text) <= Math.min(room, MAX_RECORD_BYTES)) return last;
    const bytes = lineBytes(text);
    if (bytes > Math.min(MAX_RECORD_BYTES, this.max_group_bytes)) {
      throw new RangeError(`a record of ${bytes} bytes is larger than the journal takes`);
    }
    if (last && bytes <= room) return last;
    const group = this.spares.pop() ?? new Group();
    this.queue.push(group);
    return group;
  }

  release(): void {
    if (this.held) this.begin();
  }

  private start(): void {
    clearImmediate(this.scheduled);
    this.scheduled = undefined;
    if (this.mustWait()) this.held = true;
    else this.begin();
  }

  private begin(): void {
    this.held = false;
    this.busy = true;
    this.running = this.run();
  }

  private mustWait(): boolean {
    return this.closing === undefined && this.options.mayBegin?.() === false;
  }

  /**
   * Writes groups until none is left, or the next one has to wait. Others wait for what leaves beside a group, and for
   * what it made durable: that goes first each time.
   */
  private async run(): Promise<void> {
    for (let group = this.queue.shift(); group; group = this.queue.shift()) {
      const { builder } = group;
      let placement: Placement;
      try {
        this.options.onWriting?.();
        placement = await this.writer.write(builder.length, (n) => builder.finish(n));
      } catch (error) {
        await this.fail(error);
        break;
      }
      this.durable = group.last;
      this.options.onDurable(this.durable);
      this.place(group, placement);
      builder.clear();
      group.entries = [];
      if (this.spares.length < MAX_SPARES) this.spares.push(group);
      this.held = this.queue.length > 0 && this.mustWait();
      if (this.held) break;
    }
    this.busy = false;
  }

  /** From now on the group's entries are read from the disk. */
  private place(group: Group, { segment, offset }: Placement): void {
    const { entries } = group;
    for (let i = 0; i < entries.length; i += 3) {
      const entry = entries[i] as Entry;
      this.index.set(entry, segment, offset + (entries[i + 1] ?? 0), entries[i + 2] ?? 0);
      if (this.unflushed.get(entry)?.group === group) this.unflushed.delete(entry);
    }
  }

  /** Never tried again: after a failed flush the system may take lost bytes for clean (spec.md, "Durability"). */
  private async fail(error: unknown): Promise<void> {
    this.failed = true;
    const { storage, directory, log, onFailure } = this.options;
    const { file, offset } = this.writer.place;
    const words = describeError(error);
    log('error', 'journal-failed', "The journal can't be written; the node stops.", {
      file,
      offset,
      error: words,
    });
    try {
      await leaveMark(storage, directory, file, offset, error);
    } catch (why) {
      log('error', 'journal-mark', 'No mark of the failure could be left.', { error: describeError(why) });
    }
    onFailure(new Error(`${file}, offset ${offset}: ${words}`, { cause: error }));
  }
}
