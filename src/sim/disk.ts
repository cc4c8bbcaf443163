import type { JournalRecord } from '../core/record.js';
import {
  encodeRecord,
  GROUP_HEADER_BYTES,
  GroupBuilder,
  hasZeroSector,
  isCutShort,
  isZero,
  lineBytes,
  MAX_GROUP_BYTES,
  parseGroupHeader,
  parseRecord,
  SECTOR_BYTES,
  splitGroup,
  type Members,
} from '../journal/format.js';
import { mustHold } from './failure.js';
import type { Random } from './random.js';

/** How much of the group that is being written a crash leaves. */
type Remains = 'nothing' | 'all' | 'beginning' | 'some sectors';

/** What a journal gives back after a crash. */
export interface ReadBack {
  readonly records: readonly JournalRecord[];
  readonly torn: boolean;
}

/**
 * The disk of one node: the journal's bytes, in the format that ships. It outlives the processes. A group that is being
 * written is on the disk when its flush returns, and only partly if the power fails before.
 */
export class Disk {
  #bytes: Buffer = Buffer.alloc(16 * 1024);
  #length = 0;
  #sequence = 1;
  #writing: Buffer | undefined;
  #pending: { readonly text: string; readonly bytes: number; readonly record: JournalRecord }[] = [];
  readonly #group = new GroupBuilder();

  constructor(
    private readonly members: Members,
    private readonly random: Random,
  ) {}

  /** Bytes of the journal. */
  get length(): number {
    return this.#length;
  }

  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  append(record: JournalRecord): void {
    const text = encodeRecord(record, this.members);
    this.#pending.push({ text, bytes: lineBytes(text), record });
  }

  /** Begins to write what is pending, as one group as far as it fits; returns the records of the group. */
  beginFlush(): JournalRecord[] {
    const taken: JournalRecord[] = [];
    this.#group.clear();
    for (const { text, bytes, record } of this.#pending) {
      if (taken.length > 0 && this.#group.length + bytes > MAX_GROUP_BYTES) break;
      this.#group.append(text, bytes);
      taken.push(record);
    }
    this.#pending.splice(0, taken.length);
    this.#writing = Buffer.from(this.#group.finish(this.#sequence++));
    return taken;
  }

  /** The flush has returned: the group is there for good. */
  finishFlush(): void {
    if (this.#writing) this.#put(this.#writing);
    this.#writing = undefined;
  }

  /** The process is gone, and with `power` whatever the disk hadn't flushed may be gone too. */
  crash(power: boolean): void {
    this.#pending = [];
    const group = this.#writing;
    this.#writing = undefined;
    if (group === undefined) return;
    const remains: Remains = power
      ? this.random.pick(['nothing', 'all', 'beginning', 'some sectors'])
      : this.random.pick(['nothing', 'all']);
    this.#put(this.#tear(group, remains));
  }

  #tear(group: Buffer, remains: Remains): Buffer {
    switch (remains) {
      case 'nothing':
        return Buffer.alloc(0);
      case 'all':
        return group;
      case 'beginning':
        return group.subarray(0, this.random.whole(0, group.length));
      case 'some sectors': {
        const torn = Buffer.from(group);
        let from = 0;
        while (from < torn.length) {
          const to = (Math.floor((this.#length + from) / SECTOR_BYTES) + 1) * SECTOR_BYTES - this.#length;
          if (this.random.chance(0.5)) torn.fill(0, from, Math.min(to, torn.length));
          from = to;
        }
        return torn;
      }
    }
  }

  #put(bytes: Buffer): void {
    while (this.#length + bytes.length > this.#bytes.length) {
      const larger = Buffer.alloc(this.#bytes.length * 2);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    bytes.copy(this.#bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Reads the journal back, cuts what a crash has torn, and makes the rest ready to be gone on with. */
  readBack(): ReadBack {
    const records: JournalRecord[] = [];
    let at = 0;
    this.#sequence = 1;
    while (at < this.#length) {
      const header = parseGroupHeader(
        this.#bytes.subarray(at, Math.min(at + GROUP_HEADER_BYTES, this.#length)),
      );
      if (header === undefined) return this.#cut(records, at, []);
      mustHold(header.sequence === this.#sequence, 'disk', () => `group ${header.sequence} out of order`);
      const start = at + GROUP_HEADER_BYTES;
      const bytes = this.#bytes.subarray(start, Math.min(start + header.bytes, this.#length));
      const { lines, bad } = splitGroup(bytes, header);
      for (const { text } of lines) records.push(this.#parse(text));
      if (bad !== undefined) {
        const torn = hasZeroSector(bytes, start, bad) || isCutShort(bytes, bad, header.bytes);
        mustHold(torn, 'disk', () => 'a torn group is taken for damage');
        return this.#cut(
          records,
          at,
          lines.map(({ text }) => text),
        );
      }
      this.#sequence++;
      at = start + header.bytes;
    }
    return { records, torn: false };
  }

  #parse(text: string): JournalRecord {
    const parsed = parseRecord(text, this.members);
    mustHold(parsed.ok, 'disk', () => `a record can't be read back: ${text}`);
    return parsed.record;
  }

  /** Writes the whole records of a torn group again, as a group of their own, where it began. */
  #cut(records: JournalRecord[], at: number, texts: readonly string[]): ReadBack {
    const torn = !isZero(this.#bytes.subarray(at, this.#length));
    this.#bytes.fill(0, at, this.#length);
    this.#length = at;
    if (texts.length > 0) {
      this.#group.clear();
      for (const text of texts) this.#group.append(text, lineBytes(text));
      this.#put(this.#group.finish(this.#sequence++));
    }
    return { records, torn };
  }
}
