/** The exit codes of every command. */
export const Exit = {
  Ok: 0,
  /** It was asked for properly and could not be done. */
  Failed: 1,
  /** The command line, an option's value or an environment variable makes no sense. */
  Usage: 2,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

/** Errors of these names are about what was asked for, not about what happened. */
const USAGE_ERRORS: ReadonlySet<string> = new Set(['OptionError', 'RangeError']);

/** Something that a command can't do; the message says what, where, and what to do. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}

/** What went wrong in one line, and with LOG_LEVEL=debug where in the program. */
export function describeFailure(
  error: unknown,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  if (!(error instanceof Error)) return `paxosd: ${String(error)}`;
  const wants_stack = ['debug', 'trace'].includes((env['LOG_LEVEL'] ?? '').toLowerCase());
  return `paxosd: ${wants_stack && error.stack !== undefined ? error.stack : error.message}`;
}

export function exitCodeOf(error: unknown): Exit {
  return error instanceof Error && USAGE_ERRORS.has(error.name) ? Exit.Usage : Exit.Failed;
}
