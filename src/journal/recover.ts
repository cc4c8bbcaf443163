import type { JournalRecord } from '../core/record.js';
import type { EntryIndex } from './entry-index.js';
import { readMark, removeMark } from './failure-mark.js';
import { GROUP_HEADER_BYTES, GroupBuilder, MAX_SEGMENT_HEADER_BYTES } from './format.js';
import { membersOf, stampOf, type Identity } from './identity.js';
import { corruption, describeError } from './journal-error.js';
import type { Log } from './log.js';
import { RecordReader } from './record-reader.js';
import { scanJournal, type ScannedGroup, type ScanResult } from './scan.js';
import {
  createSegment,
  journalPath,
  listSegments,
  removeIfThere,
  segmentPath,
  type Contents,
} from './segment.js';
import { SegmentReader } from './segment-reader.js';
import { writeWhole, type Storage } from './storage.js';

export interface RecoverOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly identity: Identity;
  readonly index: EntryIndex;
  readonly segment_bytes: number;
  readonly onRecord: (record: JournalRecord) => void;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly log: Log;
}

/** Where the journal goes on. */
export interface Recovered {
  readonly segment: number;
  /** Where the next group goes. */
  readonly end: number;
  /** Of the segment, in bytes. */
  readonly size: number;
  readonly next_sequence: number;
  /** Of a segment prepared by an earlier life that can be used next. */
  readonly prepared_bytes: number | undefined;
  /** All files. */
  readonly bytes: number;
}

/**
 * Hands every record to `onRecord`, in order; nothing is decided again (spec.md, "Durability"). What it has handed
 * out is durable when it resolves, and a second recovery would hand out the same. A crash at any point of it leaves
 * the journal as it was, or as it is afterwards.
 */
export async function recoverJournal(options: RecoverOptions): Promise<Recovered> {
  const { storage, directory, log } = options;
  const { unfinished } = await listSegments(storage, directory);
  for (const path of unfinished) await storage.remove(path);
  const { result, torn_lines } = await readAll(options);
  const mark = await readMark(storage, directory);
  const file = segmentPath(directory, result.segment);
  if (result.torn) {
    const { file, offset, reason } = result.torn;
    log('warn', 'journal-torn', 'Cut what a crash tore before it was acknowledged.', {
      file,
      offset,
      reason,
    });
  }
  let size = result.size;
  if (result.torn?.file === file || mark !== undefined) {
    size = Math.max(size, options.segment_bytes);
    await copySegment(options, result, torn_lines, size);
    const after = mark === undefined ? 'a crash in mid-write' : mark.trim();
    log('warn', 'journal-copied', 'Copied the whole records into a new file.', { file, after });
  } else {
    await writeLastGroupAgain(options, result);
  }
  const prepared_bytes = await keepPrepared(options, result, mark !== undefined);
  /* Whatever an earlier life renamed or removed is so for good before anything depends on it. */
  await storage.syncDirectory(journalPath(directory));
  if (mark !== undefined) await removeMark(storage, directory);
  const others = result.bytes - result.size - (result.prepared?.size ?? 0);
  return { ...result, size, prepared_bytes, bytes: others + size + (prepared_bytes ?? 0) };
}

interface Scanned {
  readonly result: ScanResult;
  /** The whole records of a torn last group. */
  readonly torn_lines: readonly string[];
}

async function readAll(options: RecoverOptions): Promise<Scanned> {
  const { storage, directory, identity } = options;
  const reader = new RecordReader(membersOf(identity));
  const groups = scanJournal(storage, directory, stampOf(identity), options.onProgress);
  let torn_lines: readonly string[] = [];
  for (;;) {
    const next = await groups.next();
    if (next.done) return { result: next.value, torn_lines };
    foldGroup(next.value, reader, options);
    if (next.value.torn) torn_lines = next.value.lines.map(({ text }) => text);
  }
}

function foldGroup(group: ScannedGroup, reader: RecordReader, { index, onRecord }: RecoverOptions): void {
  const body = group.offset + GROUP_HEADER_BYTES;
  for (const line of group.lines) {
    const { start, end } = line;
    const parsed = reader.read(line);
    if (!parsed.ok) throw corruption(group.file, body + start, parsed.reason);
    const { record } = parsed;
    if (record.verdict === 'accepted' || record.verdict === 'learnt') {
      index.set(record.entry, group.segment, body + start, end - start);
    }
    try {
      onRecord(record);
    } catch (error) {
      /* Every record is whole, so no crash did this: the file was put together from several, or forged. */
      const what = `"${record.verdict}" contradicts what stands before it (${describeError(error)})`;
      throw corruption(group.file, body + start, what);
    }
  }
}

/**
 * Puts a new file in the place of the last segment: its whole groups, what is whole of a torn one under a header of
 * its own, and zeros. Every record stays where it is.
 */
async function copySegment(
  { storage, directory }: RecoverOptions,
  result: ScanResult,
  torn_lines: readonly string[],
  bytes: number,
): Promise<void> {
  const file = segmentPath(directory, result.segment);
  const torn_group = torn_lines.length > 0 ? rebuildGroup(torn_lines, result.next_sequence - 1) : undefined;
  const whole = result.end - (torn_group?.length ?? 0);
  const contents = readUpTo(storage, file, whole, torn_group);
  await createSegment(storage, directory, result.segment, bytes, contents);
}

function rebuildGroup(lines: readonly string[], sequence: number): Buffer {
  const group = new GroupBuilder();
  for (const text of lines) group.append(text);
  return group.finish(sequence);
}

/** Bytes that a copy holds in memory at a time. */
const COPY_BYTES = 256 * 1024;

async function* readUpTo(storage: Storage, file: string, end: number, tail: Buffer | undefined): Contents {
  const reader = await SegmentReader.open(storage, file);
  try {
    for (let at = 0; at < end; at += COPY_BYTES) yield await reader.view(at, Math.min(COPY_BYTES, end - at));
  } finally {
    await reader.close();
  }
  if (tail) yield tail;
}

/**
 * The last group may never have reached the disk: the process died before its flush, or the flush failed and no mark
 * could be left, after which the system may take lost bytes for clean. So the same bytes are written again in their
 * place, and flushed, before anybody relies on them.
 */
async function writeLastGroupAgain(
  { storage, directory }: RecoverOptions,
  result: ScanResult,
): Promise<void> {
  const file = await storage.open(segmentPath(directory, result.segment), 'write');
  try {
    /* The segment's own header may have been written with it. */
    const start =
      result.last_group && result.last_group.start > MAX_SEGMENT_HEADER_BYTES ? result.last_group.start : 0;
    const bytes = Buffer.alloc(result.end - start);
    await file.read(bytes, start);
    await writeWhole(file, bytes, start);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Size of a segment that an earlier life prepared, if it can be used; otherwise it goes, and is made anew later. */
async function keepPrepared(
  { storage, directory, segment_bytes }: RecoverOptions,
  { prepared }: ScanResult,
  distrusted: boolean,
): Promise<number | undefined> {
  if (!prepared) return undefined;
  if (prepared.usable && !distrusted && prepared.size === segment_bytes) return prepared.size;
  await removeIfThere(storage, segmentPath(directory, prepared.number));
  return undefined;
}
