/**
 * Why a data directory is refused.
 * `missing`: nothing was initialised here, or something is gone. `foreign`: it is another node's, cluster's or
 * version's. `corrupt`: its bytes are damaged. `in-use`: another process has it. `not-a-file`: something else stands
 * where a file should. `not-empty`: it can't be initialised. `unreadable`: the system doesn't let us.
 */
export type JournalErrorCode =
  'missing' | 'foreign' | 'corrupt' | 'in-use' | 'not-a-file' | 'not-empty' | 'unreadable';

/** A data directory that can't be used; the message says what, where, and what to do. */
export class JournalError extends Error {
  override readonly name = 'JournalError';

  constructor(
    readonly code: JournalErrorCode,
    message: string,
    /** The file that is at fault. */
    readonly file?: string,
    /** Where in that file, in bytes. */
    readonly offset?: number,
  ) {
    super(message);
  }
}

/** What to do about a node whose votes may be lost. */
export const RESTORE_ADVICE =
  'Restore the whole data directory from a backup of this very node taken after it last stopped, or take the node ' +
  'out of the cluster: a member must not vote without its journal.';

/** A file whose bytes are damaged, named with the offset. */
export function corruption(file: string, offset: number, what: string): JournalError {
  const message = `The journal is damaged: ${file}, offset ${offset}: ${what}. ${RESTORE_ADVICE}`;
  return new JournalError('corrupt', message, file, offset);
}

/** The system's own words and code, of whatever was thrown. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
