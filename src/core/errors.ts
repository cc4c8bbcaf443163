/**
 * Every error a client can get, with what it may conclude (spec.md, "Errors").
 * `definite`: the request did not happen and will not. `unknown`: it may have happened; ask again with the same
 * id and number. `executed`: it did happen, and its answer can't be given.
 */
export const ERROR_CODES = {
  malformed: 'definite',
  'line-too-long': 'definite',
  'not-allowed': 'definite',
  'not-connected': 'definite',
  'foreign-id': 'definite',
  'value-too-large': 'definite',
  'too-many-requests': 'definite',
  'too-many-connections': 'definite',
  overloaded: 'definite',
  'no-leader': 'definite',
  'no-such-session': 'definite',
  idle: 'definite',
  'session-expired': 'unknown',
  'session-taken-over': 'unknown',
  'leadership-lost': 'unknown',
  timeout: 'unknown',
  'app-left': 'unknown',
  'not-known-chosen': 'unknown',
  stopping: 'unknown',
  'answer-too-large': 'executed',
  'answer-forgotten': 'executed',
} as const;

/** What stands before the colon in an Error's text. */
export type ErrorCode = keyof typeof ERROR_CODES;
/** What a client may conclude from an Error about its request. */
export type Certainty = (typeof ERROR_CODES)[ErrorCode];

/** `code: text`, as it travels in the `error` field. */
export function errorText(code: ErrorCode, text: string): string {
  return `${code}: ${text}`;
}
