/**
 * The key-value application's language: what a value asks, and what the answer says (clients/README.md, "Key-value
 * application"). Answers are the same bytes in every language: members in the order given here, no spaces, strings
 * escaped as JSON.stringify does.
 */
export type KvRequest =
  | { readonly op: 'put'; readonly key: string; readonly value: string }
  | { readonly op: 'get'; readonly key: string };

/** What the application answers: the value put or found, or one of `KvError`. */
export type KvAnswer =
  { readonly ok: true; readonly value: string } | { readonly ok: false; readonly error: string };

/** The answers' errors. */
export const KvError = {
  Malformed: 'not a key-value request',
  UnknownOperation: 'unknown operation',
  NoKey: 'key missing',
  NoValue: 'value missing',
  NotFound: 'not found',
} as const;

/**
 * A JSON object whose members are all strings. JSON parsers differ in what they take for numbers, in how deep they
 * follow, and in what they do to characters; over these texts they agree, and answers must.
 */
const SPACE = '[ \\t\\n\\r]*';
const STRING = '"[^"\\\\\\x00-\\x1f]*(?:\\\\(?:["\\\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\\\\x00-\\x1f]*)*"';
const MEMBER = `${SPACE}${STRING}${SPACE}:${SPACE}${STRING}${SPACE}`;
const REQUEST = new RegExp(`^${SPACE}\\{(?:${MEMBER}(?:,${MEMBER})*|${SPACE})\\}${SPACE}$`);

/** The value that asks for an operation. */
export function encodeKvRequest(request: KvRequest): string {
  return request.op === 'put'
    ? JSON.stringify({ op: 'put', key: request.key, value: request.value })
    : JSON.stringify({ op: 'get', key: request.key });
}

/** Reads an answer; undefined when it isn't one of a key-value application. */
export function decodeKvAnswer(text: string): KvAnswer | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof answer !== 'object' || answer === null) return undefined;
  if (!('ok' in answer)) return undefined;
  if (answer.ok === true && 'value' in answer && typeof answer.value === 'string') {
    return { ok: true, value: answer.value };
  }
  if (answer.ok === false && 'error' in answer && typeof answer.error === 'string') {
    return { ok: false, error: answer.error };
  }
  return undefined;
}

/** The key-value application: its keys, and what one value does to them. */
export class KvStore {
  readonly #values = new Map<string, string>();

  /** Carries out one value of the log and returns the answer. Never throws: any text is a value. */
  apply(value: string): string {
    if (!REQUEST.test(value)) return refuse(KvError.Malformed);
    const request = JSON.parse(value) as Readonly<Record<string, string>>;
    const { op, key } = request;
    if (op !== 'put' && op !== 'get') return refuse(KvError.UnknownOperation);
    if (key === undefined) return refuse(KvError.NoKey);
    if (op === 'get') {
      const found = this.#values.get(key);
      return found === undefined ? refuse(KvError.NotFound) : grant(found);
    }
    if (request['value'] === undefined) return refuse(KvError.NoValue);
    this.#values.set(key, request['value']);
    return grant(request['value']);
  }
}

function grant(value: string): string {
  return JSON.stringify({ ok: true, value });
}

function refuse(error: string): string {
  return JSON.stringify({ ok: false, error });
}
