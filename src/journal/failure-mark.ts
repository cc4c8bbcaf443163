import { describeError } from './journal-error.js';
import { removeIfThere, markPath } from './segment.js';
import { readSmallFile, type Storage } from './storage.js';

/** A write or flush of the journal that failed: what was being written, and the system's words. */
export interface Failure {
  readonly file: string;
  /** Where the write began, in bytes. */
  readonly offset: number;
  readonly error: string;
}

/** A mark holds one path and one message of the system. */
const MAX_MARK_BYTES = 64 * 1024;

/**
 * Tells the next start that after this failure nothing cached of the file can be trusted: the system may say that
 * lost bytes are clean (spec.md, "Durability").
 */
export async function leaveMark(
  storage: Storage,
  directory: string,
  file: string,
  offset: number,
  error: unknown,
): Promise<void> {
  const failure: Failure = { file, offset, error: describeError(error) };
  await storage.replace(markPath(directory), `${JSON.stringify(failure)}\n`);
  await storage.syncDirectory(directory);
}

/** The text of the mark that an earlier life left; undefined if there is none. */
export function readMark(storage: Storage, directory: string): Promise<string | undefined> {
  return readSmallFile(storage, markPath(directory), MAX_MARK_BYTES);
}

export async function removeMark(storage: Storage, directory: string): Promise<void> {
  await removeIfThere(storage, markPath(directory));
  await storage.syncDirectory(directory);
}
