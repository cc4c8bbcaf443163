/**
 * What an error says about the request (spec.md, "Errors"). `definite`: it did not happen and will not.
 * `unknown`: it may have happened; ask again with the same id and number. `executed`: it happened, and its answer
 * can't be given.
 */
export type Certainty = 'definite' | 'unknown' | 'executed';

/** Every code that a node sends, with what a client may conclude. A code that isn't here counts as unknown. */
export const ERROR_CODES: Readonly<Record<string, Certainty>> = {
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
};

/**
 * Codes that this client adds. `unreachable`: no server could be talked to, and nothing was sent. `closed`: the
 * client was closed; its certainty depends on whether the request had been sent. `session-lost`: a node gave another
 * session than the one asked for.
 */
export const LOCAL_CODES = ['unreachable', 'closed', 'session-lost', 'timeout'] as const;

/** What a client may conclude from a code that a node sent. */
export function certaintyOf(code: string): Certainty {
  return Object.hasOwn(ERROR_CODES, code) ? (ERROR_CODES[code] ?? 'unknown') : 'unknown';
}

/** Splits `code: text`, as it travels in the `error` field of an Error. */
export function parseErrorText(error: string): { code: string; text: string } {
  const colon = error.indexOf(':');
  if (colon < 0) return { code: error.trim(), text: '' };
  return { code: error.slice(0, colon).trim(), text: error.slice(colon + 1).trim() };
}

/** What a request was: enough to ask for it again. `entry` is set for a query, which changes nothing. */
export interface Asked {
  /** The session's id; 0 if the request was never numbered. */
  readonly id: number;
  readonly no: number;
  readonly value: string;
  readonly entry?: number | undefined;
}

/** A request that got no answer. `code` is a node's or one of `LOCAL_CODES`. */
export abstract class RequestError extends Error {
  abstract readonly certainty: Certainty;
  readonly code: string;
  readonly asked: Asked;

  constructor(code: string, text: string, asked: Asked) {
    super(text === '' ? code : `${code}: ${text}`);
    this.code = code;
    this.asked = asked;
  }
}

/** The request did not happen and will not. */
export class DefiniteError extends RequestError {
  override readonly name = 'DefiniteError';
  readonly certainty = 'definite';
}

/** The request may have happened. `Client.outcome` finds out, with the id, number and value in `asked`. */
export class UnknownOutcomeError extends RequestError {
  override readonly name = 'UnknownOutcomeError';
  readonly certainty = 'unknown';
}

/** The request happened, and its answer can't be given. */
export class ExecutedError extends RequestError {
  override readonly name = 'ExecutedError';
  readonly certainty = 'executed';
}

/** Makes the error whose class says what may be concluded. */
export function requestError(
  certainty: Certainty,
  code: string,
  text: string,
  asked: Asked,
): DefiniteError | UnknownOutcomeError | ExecutedError {
  switch (certainty) {
    case 'definite':
      return new DefiniteError(code, text, asked);
    case 'unknown':
      return new UnknownOutcomeError(code, text, asked);
    case 'executed':
      return new ExecutedError(code, text, asked);
  }
}
