import { segmentHeader, type Stamp } from './format.js';
import type { Log } from './log.js';
import type { Recovered } from './recover.js';
import { describeError } from './journal-error.js';
import { createSegment, segmentPath } from './segment.js';
import { writeWholeNow, type Storage, type StorageFile } from './storage.js';

/** Where a group was put. */
export interface Placement {
  readonly segment: number;
  readonly offset: number;
}

/**
 * How much of a segment is written, at least, until a preparation that failed is tried again: a part of it, so that
 * room that was made is found in time, and a full disk isn't filled with zeros at every group.
 */
const PREPARED_AGAIN_AFTER = 1 / 16;

/**
 * How long its preparation rests between two parts: a segment is ready within half a second, of which the disk belongs
 * to the groups that are written meanwhile nearly all the time.
 */
const PREPARATION_REST_MS = 5;

/** Whether the next segment could be prepared. */
type Preparation = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

export interface JournalSize {
  /** Files, the one that is prepared for the next change among them. */
  readonly segments: number;
  /** Those that groups have been written to. */
  readonly begun: number;
  /** What all files take. */
  readonly bytes: number;
}

export interface SegmentWriterOptions {
  readonly storage: Storage;
  readonly directory: string;
  readonly stamp: Stamp;
  readonly segment_bytes: number;
  readonly log: Log;
}

/**
 * Writes groups one behind the other, each durable before the next is begun, and changes to the next segment when
 * one is full. The next segment is always prepared ahead: zero-filled, durable, and under its name
 * (spec.md, "Durability"). So beginning it takes one write and one flush, like any other group, and its presence
 * proves that the one before it has been written to.
 */
export class SegmentWriter {
  private file: StorageFile;
  private segment: number;
  private end: number;
  private size: number;
  private sequence: number;
  private preparation: Promise<Preparation>;
  /** Somebody waits for it. */
  private hurried = false;
  /** Where groups went when the last preparation failed; undefined if it didn't, or is under way. */
  private unprepared_at: number | undefined;
  private total_segments: number;
  private total_bytes: number;

  private constructor(
    private readonly options: SegmentWriterOptions,
    recovered: Recovered,
    file: StorageFile,
  ) {
    this.file = file;
    this.segment = recovered.segment;
    this.end = recovered.end;
    this.size = recovered.size;
    this.sequence = recovered.next_sequence;
    const ready = recovered.prepared_bytes !== undefined;
    this.total_bytes = recovered.bytes;
    this.total_segments = recovered.segment + (ready ? 1 : 0);
    this.preparation = ready ? Promise.resolve({ ok: true }) : this.prepare();
  }

  static async open(options: SegmentWriterOptions, recovered: Recovered): Promise<SegmentWriter> {
    const path = segmentPath(options.directory, recovered.segment);
    return new SegmentWriter(options, recovered, await options.storage.open(path, 'write'));
  }

  /** Where the next write goes, for the mark that a failed one leaves. */
  get place(): { readonly file: string; readonly offset: number } {
    return { file: segmentPath(this.options.directory, this.segment), offset: this.end };
  }

  /** All files, how many of them have been begun, and their bytes. */
  get used(): JournalSize {
    return { segments: this.total_segments, begun: this.segment, bytes: this.total_bytes };
  }

  /**
   * Writes the group that `finish` completes for its sequence number and makes it durable. Rejects when that fails;
   * nothing may be written any more then.
   */
  async write(length: number, finish: (sequence: number) => Buffer): Promise<Placement> {
    const group = finish(this.sequence);
    if (this.end + length > this.size) return this.writeInNext(group);
    const offset = this.end;
    writeWholeNow(this.file, group, offset);
    await this.file.datasync();
    this.end = offset + length;
    this.sequence++;
    if (
      this.unprepared_at !== undefined &&
      this.end - this.unprepared_at >= this.size * PREPARED_AGAIN_AFTER
    ) {
      this.preparation = this.prepare();
    }
    return { segment: this.segment, offset };
  }

  /** Begins the next segment: its header and its first group are one write. */
  private async writeInNext(group: Buffer): Promise<Placement> {
    const { storage, directory, stamp, log } = this.options;
    this.hurried = true;
    let preparation = await this.preparation;
    if (!preparation.ok) preparation = await this.prepare();
    if (!preparation.ok) throw preparation.error;
    const full = this.file;
    const segment = this.segment + 1;
    const file = await storage.open(segmentPath(directory, segment), 'write');
    this.file = file;
    this.segment = segment;
    this.end = 0;
    this.size = file.size;
    await full.close();
    const header = segmentHeader(stamp, segment, this.sequence);
    writeWholeNow(file, Buffer.concat([header, group]), 0);
    await file.datasync();
    this.end = header.length + group.length;
    this.sequence++;
    log('debug', 'journal-segment', 'Began a segment.', { segment });
    this.hurried = false;
    this.preparation = this.prepare();
    return { segment, offset: header.length };
  }

  /**
   * Makes the segment behind the present one. A failure is told at once, and tried again as this one fills; it counts
   * when it is still there in the moment in which that segment is needed.
   */
  private async prepare(): Promise<Preparation> {
    const { storage, directory, segment_bytes, log } = this.options;
    const number = this.segment + 1;
    const is_repeated = this.unprepared_at !== undefined;
    this.unprepared_at = undefined;
    const rest = (): Promise<void> | undefined =>
      this.hurried ? undefined : storage.rest?.(PREPARATION_REST_MS);
    try {
      await createSegment(storage, directory, number, segment_bytes, [], storage.rest && rest);
      this.total_segments++;
      this.total_bytes += segment_bytes;
      if (is_repeated) log('info', 'journal-prepared', 'The next segment is prepared.', { segment: number });
      return { ok: true };
    } catch (error) {
      this.unprepared_at = this.end;
      const text =
        "The next segment can't be prepared; the node stops when this one is full. Make room on the disk.";
      log('error', 'journal-preparation', text, { segment: number, error: describeError(error) });
      return { ok: false, error };
    }
  }

  /** Nothing is written after this. */
  async close(): Promise<void> {
    this.hurried = true;
    await this.preparation;
    await this.file.close();
  }
}
