import {
  differenceOfHeader,
  GROUP_HEADER_BYTES,
  GROUP_MARK,
  GROUP_MARK_AT,
  hasZeroSector,
  isCutShort,
  isZero,
  MAX_GROUP_BYTES,
  MAX_SEGMENT_HEADER_BYTES,
  parseGroupHeader,
  segmentHeader,
  splitGroup,
  type HeaderDifference,
  type RecordLine,
  type Stamp,
  type Stretch,
} from './format.js';
import { corruption, JournalError } from './journal-error.js';
import { SegmentReader } from './segment-reader.js';
import { emptied, listSegments, segmentPath } from './segment.js';
import type { Storage } from './storage.js';

/**
 * Reads a journal group by group in bounded memory, and tells what a crash tore from what was damaged
 * (spec.md, "Durability"). It changes nothing: recovery and the printing of a journal both stand on it.
 */

export interface ScannedGroup {
  readonly segment: number;
  readonly file: string;
  /** Of the group's header, in the file. */
  readonly offset: number;
  readonly sequence: number;
  /** Its whole records, placed from the end of the header; at least one. */
  readonly lines: readonly RecordLine[];
  /** Where the next group begins: behind the last whole record. */
  readonly end: number;
  /** The crash that ended the journal tore this group behind its last whole record. */
  readonly torn: boolean;
}

/** What a crash tore: it was never acknowledged. */
export interface Torn {
  readonly file: string;
  readonly offset: number;
  readonly reason: string;
}

export interface ScanResult {
  /** The last segment that holds groups, or the first one. */
  readonly segment: number;
  /** Where the next group goes in it. */
  readonly end: number;
  /** In bytes. */
  readonly size: number;
  readonly next_sequence: number;
  readonly torn: Torn | undefined;
  /** The last group, as a stretch of its file; undefined if the last segment has none. */
  readonly last_group: Stretch | undefined;
  /** A segment that was prepared and not begun, or torn while it was begun. */
  readonly prepared: { readonly number: number; readonly usable: boolean; readonly size: number } | undefined;
  /** The sum of all files. */
  readonly bytes: number;
}

/** A place that should hold something whole and doesn't. */
interface BadPlace extends Stretch {
  /** Where its group ends; undefined if the header that says so is bad. */
  readonly group_end: number | undefined;
  readonly reason: string;
}

interface Position {
  segment: number;
  end: number;
  size: number;
  next_sequence: number;
  torn: Torn | undefined;
  last_group: Stretch | undefined;
}

/** Bytes that go through memory at a time while looking for what follows a bad place. */
const SEARCH_BYTES = 64 * 1024;

/**
 * Yields every group in order; throws a JournalError at the first damaged place. `onProgress` is told the bytes of
 * the segments that were read, and of all of them.
 */
export async function* scanJournal(
  storage: Storage,
  directory: string,
  stamp: Stamp,
  onProgress?: (done: number, total: number) => void,
): AsyncGenerator<ScannedGroup, ScanResult> {
  const scan = new Scan(storage, directory, stamp);
  return yield* scan.run(onProgress);
}

class Scan {
  private segments = 0;
  private readonly at: Position = {
    segment: 1,
    end: 0,
    size: 0,
    next_sequence: 1,
    torn: undefined,
    last_group: undefined,
  };
  private prepared: ScanResult['prepared'];

  constructor(
    private readonly storage: Storage,
    private readonly directory: string,
    private readonly stamp: Stamp,
  ) {}

  async *run(onProgress?: (done: number, total: number) => void): AsyncGenerator<ScannedGroup, ScanResult> {
    this.segments = (await listSegments(this.storage, this.directory)).segments;
    const sizes = await this.sizes();
    const total = sizes.reduce((sum, size) => sum + size, 0);
    let before = 0;
    for (let number = 1; number <= this.segments; number++) {
      const reader = await this.open(number);
      try {
        for await (const group of this.segment(reader, number)) {
          yield group;
          onProgress?.(before + group.end, total);
        }
      } finally {
        await reader.close();
      }
      before += sizes[number - 1] ?? 0;
      onProgress?.(before, total);
    }
    return { ...this.at, prepared: this.prepared, bytes: total };
  }

  private async sizes(): Promise<number[]> {
    const sizes: number[] = [];
    for (let number = 1; number <= this.segments; number++) {
      const reader = await this.open(number);
      sizes.push(reader.size);
      await reader.close();
    }
    return sizes;
  }

  private open(number: number): Promise<SegmentReader> {
    return SegmentReader.open(this.storage, segmentPath(this.directory, number));
  }

  private async *segment(reader: SegmentReader, number: number): AsyncGenerator<ScannedGroup, void> {
    const begun = await this.readHeader(reader, number);
    if (begun === undefined) return;
    Object.assign(this.at, { segment: number, end: begun, size: reader.size, last_group: undefined });
    for (;;) {
      const group = await this.readGroup(reader, number);
      if (!group) return;
      if (group.lines.length > 0) yield group;
      if (group.torn) return;
    }
  }

  /** Where the groups of a segment begin; undefined for a segment that was prepared and not begun. */
  private async readHeader(reader: SegmentReader, number: number): Promise<number | undefined> {
    if (reader.size === 0) throw emptied(reader.path);
    const sequence = this.at.next_sequence;
    const expected = segmentHeader(this.stamp, number, sequence);
    for (;;) {
      const bytes = await reader.view(0, MAX_SEGMENT_HEADER_BYTES);
      if (bytes.subarray(0, expected.length).equals(expected)) return expected.length;
      const difference = differenceOfHeader(bytes, this.stamp, number, sequence);
      if (difference.kind !== 'damaged') throw this.misplaced(reader.path, difference);
      const blank = isZero(bytes) && (await reader.firstNonZero(0)) === undefined;
      if (!blank && (await reader.changed(0, MAX_SEGMENT_HEADER_BYTES))) continue;
      const reason = blank ? 'the segment is blank' : 'the header of the segment is damaged';
      /* The first one was durable before the identity was, any other before the one behind it got its name. */
      if (number === 1 || number < this.segments) throw corruption(reader.path, 0, reason);
      if (!blank) {
        const bad = { start: 0, end: expected.length, group_end: undefined, reason };
        await this.judge(reader, number, sequence - 1, bad);
      }
      this.prepared = { number, usable: blank, size: reader.size };
      return undefined;
    }
  }

  private misplaced(file: string, difference: Exclude<HeaderDifference, { kind: 'damaged' }>): JournalError {
    if (difference.kind === 'groups-missing') {
      const { segment, end, next_sequence } = this.at;
      const what = `groups ${next_sequence} to ${difference.first - 1} are missing; ${file} goes on behind them`;
      return corruption(segmentPath(this.directory, segment), end, what);
    }
    const message = `${file} doesn't belong here: ${difference.reason}. Put this node's own file back, unchanged.`;
    return new JournalError('foreign', message, file, 0);
  }

  /** The next group; undefined where the segment's groups end. */
  private async readGroup(reader: SegmentReader, number: number): Promise<ScannedGroup | undefined> {
    const offset = this.at.end;
    const sequence = this.at.next_sequence;
    for (;;) {
      const head = await reader.view(offset, GROUP_HEADER_BYTES);
      const header = parseGroupHeader(head);
      if (header && header.sequence !== sequence) {
        const what = `group ${header.sequence} stands where group ${sequence} was expected`;
        throw corruption(reader.path, offset, what);
      }
      if (!header) {
        if (isZero(head) && (await reader.firstNonZero(offset)) === undefined) return undefined;
        if (await reader.changed(offset, GROUP_HEADER_BYTES)) continue;
        const reason = `the header of group ${sequence} is damaged`;
        const bad = { start: offset, end: offset + GROUP_HEADER_BYTES, group_end: undefined, reason };
        await this.judge(reader, number, sequence, bad);
        return this.tornGroup(number, reader.path, offset, offset, []);
      }
      const start = offset + GROUP_HEADER_BYTES;
      const bytes = await reader.view(start, header.bytes);
      const { lines, bad } = splitGroup(bytes, header);
      const end = start + (bad ? bad.start : header.bytes);
      if (bad) {
        if (await reader.changed(start, header.bytes)) continue;
        const reason = `record ${lines.length + 1} of group ${sequence} is damaged`;
        const place = { start: end, end: start + bad.end, group_end: start + header.bytes, reason };
        await this.judge(reader, number, sequence, place);
        return this.tornGroup(number, reader.path, offset, end, lines);
      }
      const group = { segment: number, file: reader.path, offset, sequence, lines, end, torn: false };
      Object.assign(this.at, { end, next_sequence: sequence + 1, last_group: { start: offset, end } });
      return group;
    }
  }

  /** What a crash left of the last group: its first `lines`, perhaps none. */
  private tornGroup(
    segment: number,
    file: string,
    offset: number,
    end: number,
    lines: readonly RecordLine[],
  ): ScannedGroup {
    const sequence = this.at.next_sequence;
    if (lines.length > 0) {
      const last_group = { start: offset, end };
      Object.assign(this.at, { end, next_sequence: sequence + 1, last_group });
    }
    return { segment, file, offset, sequence, lines, end, torn: true };
  }

  /** Returns if a crash tore the bad place, and notes so; throws if it is damage. */
  private async judge(reader: SegmentReader, number: number, sequence: number, bad: BadPlace): Promise<void> {
    const follower = await this.findFollower(reader, sequence, bad);
    if (follower !== undefined) {
      const what = `${bad.reason}, and more was written behind it, at offset ${follower}`;
      throw corruption(reader.path, bad.start, what);
    }
    await this.requireNothingAfter(number, corruption(reader.path, bad.start, bad.reason));
    if (!(await this.looksTorn(reader, bad))) {
      throw corruption(
        reader.path,
        bad.start,
        `${bad.reason}, and not as a crash in mid-write would leave it`,
      );
    }
    this.at.torn = { file: reader.path, offset: bad.start, reason: bad.reason };
  }

  private async looksTorn(reader: SegmentReader, bad: BadPlace): Promise<boolean> {
    const length = (bad.group_end ?? bad.end) - bad.start;
    const bytes = await reader.view(bad.start, length);
    const stretch = { start: 0, end: bad.end - bad.start };
    if (hasZeroSector(bytes, bad.start, stretch)) return true;
    if (!isCutShort(bytes, stretch, length)) return false;
    /* Where a group without a header ends isn't known: its tail is missing if nothing at all stands behind. */
    return bad.group_end !== undefined || (await reader.firstNonZero(bad.end)) === undefined;
  }

  /**
   * Where something stands that was written later than the bad place; undefined if there is no such thing. Groups
   * are written one after the other is durable, so that a bad place before a later group was durable once.
   */
  private async findFollower(
    reader: SegmentReader,
    sequence: number,
    bad: BadPlace,
  ): Promise<number | undefined> {
    if (bad.group_end !== undefined) return reader.firstNonZero(bad.group_end);
    const reach = bad.end + MAX_GROUP_BYTES;
    let from = bad.start;
    while (from < Math.min(reach, reader.size)) {
      const bytes = await reader.view(from, SEARCH_BYTES + GROUP_HEADER_BYTES);
      for (let at = bytes.indexOf(GROUP_MARK); at >= 0; at = bytes.indexOf(GROUP_MARK, at + 1)) {
        const start = at - GROUP_MARK_AT;
        const header = start < 0 ? undefined : parseGroupHeader(bytes.subarray(start));
        if (header && header.sequence > sequence) return from + start;
      }
      from += SEARCH_BYTES;
    }
    return reader.firstNonZero(reach);
  }

  /** Throws `error` if any segment after `number` has been written to. */
  private async requireNothingAfter(number: number, error: JournalError): Promise<void> {
    for (let later = number + 1; later <= this.segments; later++) {
      const reader = await this.open(later);
      const written = await reader.firstNonZero(0).finally(() => reader.close());
      if (written !== undefined) throw error;
    }
    if (number + 1 < this.segments) throw error;
  }
}
