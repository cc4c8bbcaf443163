import { join } from 'node:path';
import { corruption, hasCode, JournalError, RESTORE_ADVICE } from './journal-error.js';
import { unreadable, writeWhole, type Storage, type StorageFile } from './storage.js';

/** Where things are in a data directory, and how a segment's file comes to be (spec.md, "Durability"). */

/** Large enough that changing it is rare, small enough that preparing it doesn't hold up the disk for long. */
export const SEGMENT_BYTES = 16 * 1024 * 1024;

/** What tests may go down to: the longest segment header and some groups fit. */
export const MIN_SEGMENT_BYTES = 1024;

export const identityPath = (directory: string): string => join(directory, 'identity.json');
export const lockPath = (directory: string): string => join(directory, 'lock');
/** Tells the next start that a write or flush failed here, so that nothing cached may be trusted. */
export const markPath = (directory: string): string => join(directory, 'failed');
export const journalPath = (directory: string): string => join(directory, 'journal');

export function segmentPath(directory: string, number: number): string {
  return join(journalPath(directory), `${String(number).padStart(10, '0')}.log`);
}

const SEGMENT_NAME = /^(\d{10})\.log$/;
const UNFINISHED_NAME = /^\d{10}\.log\.new$/;
const unfinished = (path: string): string => `${path}.new`;

export interface Listing {
  /** How many segments there are; they are numbered from 1 without a gap. */
  readonly segments: number;
  /** Files that a crash left while they were being made. */
  readonly unfinished: readonly string[];
}

/** Finds the segments of an initialised directory; refuses one from which any is missing. */
export async function listSegments(storage: Storage, directory: string): Promise<Listing> {
  const path = journalPath(directory);
  const names = await storage.list(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) {
      throw new JournalError('missing', `${path} is missing. ${RESTORE_ADVICE}`, path);
    }
    throw unreadable(path, error);
  });
  const numbers = names.flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? []).map(Number);
  numbers.sort((a, b) => a - b);
  if (numbers.length === 0) {
    throw new JournalError('missing', `${path} holds no segment. ${RESTORE_ADVICE}`, path);
  }
  const gap = numbers.findIndex((number, index) => number !== index + 1);
  if (gap >= 0) {
    const missing = segmentPath(directory, gap + 1);
    const message = `${missing} is missing, though later segments are there. ${RESTORE_ADVICE}`;
    throw new JournalError('missing', message, missing);
  }
  const leftovers = names.filter((name) => UNFINISHED_NAME.test(name)).map((name) => join(path, name));
  return { segments: numbers.length, unfinished: leftovers };
}

/** How many zeros one write carries while a segment is being filled. */
const FILL_BYTES = 1024 * 1024;

/** How many they are where others wait for the disk meanwhile: a group is flushed as fast behind them. */
const GENTLE_FILL_BYTES = 256 * 1024;

/** Bytes at the beginning of a new segment, in the order in which they stand there. */
export type Contents = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Makes the segment at `path`: `contents`, then zeros up to `bytes`. It gets its name, taking the place of any file
 * of that name, when all of it is durable; the name is durable when this resolves. So a crash leaves the whole new
 * file, or the old one, and a segment under its own name never is a part of one. With `rest`, which is awaited between
 * parts, each part is flushed by itself: the disk never has more to do at once than one of them.
 */
export async function createSegment(
  storage: Storage,
  directory: string,
  number: number,
  bytes: number,
  contents: Contents = [],
  rest?: () => Promise<void> | undefined,
): Promise<void> {
  const path = segmentPath(directory, number);
  const temporary = unfinished(path);
  await removeIfThere(storage, temporary);
  const file = await storage.open(temporary, 'create');
  try {
    await fill(file, bytes, contents, rest);
  } catch (error) {
    // On a full disk, what was begun would keep the little room from everybody else.
    await removeIfThere(storage, temporary).catch(() => undefined);
    throw error;
  }
  await storage.rename(temporary, path);
  await storage.syncDirectory(journalPath(directory));
}

/** Writes and flushes `contents` and zeros behind them up to `bytes`, and closes the file. */
async function fill(
  file: StorageFile,
  bytes: number,
  contents: Contents,
  rest: (() => Promise<void> | undefined) | undefined,
): Promise<void> {
  try {
    let at = 0;
    for await (const part of contents) {
      await writeWhole(file, part, at);
      at += part.length;
    }
    const most_bytes = rest ? GENTLE_FILL_BYTES : FILL_BYTES;
    const zeros = Buffer.alloc(Math.min(most_bytes, Math.max(0, bytes - at)));
    while (at < bytes) {
      const part = zeros.subarray(0, bytes - at);
      await writeWhole(file, part, at);
      at += part.length;
      if (!rest || at >= bytes) continue;
      await file.datasync();
      await rest();
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

export async function removeIfThere(storage: Storage, path: string): Promise<void> {
  await storage.remove(path).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw error;
  });
}

/** A segment under its own name that has no bytes: it was written whole before it got that name. */
export function emptied(path: string): JournalError {
  return corruption(path, 0, 'the file is empty, and no crash leaves it so');
}
