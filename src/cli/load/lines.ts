import { fitsDatagram, MAX_VALUE_COST, valueCost } from '../../core/limits.js';
import { MessageType } from '../../core/message.js';

const NEWLINE = 0x0a;

/** A request's line is these two with its number in between. */
export interface RequestTemplate {
  readonly before: string;
  readonly after: string;
}

function putOf(key: string, value: string): string {
  return JSON.stringify({ op: 'put', key, value });
}

/** The most bytes that a value of the key-value application can have under a key: the rest frames it. */
export function maxValueBytes(key: string): number {
  return MAX_VALUE_COST - valueCost(putOf(key, ''));
}

/** The lines of requests that put a value of `value_bytes` ASCII letters under `key`. */
export function putTemplate(key: string, value_bytes: number): RequestTemplate {
  const value = putOf(key, 'v'.repeat(value_bytes));
  if (!fitsDatagram(value)) throw new RangeError(`a value has at most ${maxValueBytes(key)} bytes`);
  const type = MessageType.ClientRequest;
  return { before: `{"type":${type},"request":{"no":`, after: `,"value":${JSON.stringify(value)}}}\n` };
}

/** The line that opens a session, or goes on with one. */
export function helloLine(id: number): string {
  const type = MessageType.ClientConnectRequest;
  return `${JSON.stringify(id === 0 ? { type } : { type, request: { id } })}\n`;
}

/** The parts of a message that a load needs; zero values where it has none. */
export interface NodeMessage {
  readonly type: number;
  readonly id: number;
  readonly no: number;
  /** The code of an Error; '' otherwise. */
  readonly code: string;
  readonly leader_host: string;
  readonly leader_port: number;
}

/** Reads any message of a node, at leisure; undefined if it is none. */
export function parseMessage(text: string): NodeMessage | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const message = parsed as Readonly<Record<string, unknown>>;
  const request = (message['request'] ?? {}) as Readonly<Record<string, unknown>>;
  const error = typeof message['error'] === 'string' ? message['error'] : '';
  return {
    type: Number(message['type'] ?? 0),
    id: Number(request['id'] ?? 0),
    no: Number(request['no'] ?? 0),
    code: error.split(':')[0] ?? '',
    leader_host: typeof message['leaderaddress'] === 'string' ? message['leaderaddress'] : '',
    leader_port: Number(message['leaderport'] ?? 0),
  };
}

const RESPONSE_START = Buffer.from(`{"type":${MessageType.ClientResponse},`);
const NO_KEY = Buffer.from('"no":');

export interface LineHandlers {
  /** A ClientResponse to request `no`. */
  onResponse(no: number): void;
  /** A line that is something else. */
  onOther(text: string): void;
}

/**
 * Cuts a stream into lines and reads the number out of each ClientResponse without parsing it. Within a JSON text, the
 * bytes `"no":` can only be the key: in a string, a quote has a backslash before it. Where the key was in the last
 * response it usually is in the next one.
 */
export class ResponseReader {
  readonly #handlers: LineHandlers;
  #rest: Buffer | undefined;
  #key_at = 0;

  constructor(handlers: LineHandlers) {
    this.#handlers = handlers;
  }

  push(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      if (end < 0) break;
      this.#readLine(bytes, start, end);
      start = end + 1;
    }
    this.#rest = start < bytes.length ? bytes.subarray(start) : undefined;
  }

  #readLine(bytes: Buffer, start: number, end: number): void {
    const no = startsWith(bytes, start, RESPONSE_START) ? this.#numberIn(bytes, start, end) : undefined;
    if (no !== undefined) this.#handlers.onResponse(no);
    else if (end > start) this.#handlers.onOther(bytes.toString('utf8', start, end));
  }

  #numberIn(bytes: Buffer, start: number, end: number): number | undefined {
    if (this.#key_at === 0 || !startsWith(bytes, start + this.#key_at, NO_KEY)) {
      const found = bytes.indexOf(NO_KEY, start);
      if (found < 0 || found > end) return undefined;
      this.#key_at = found - start;
    }
    let at = start + this.#key_at + NO_KEY.length;
    let no = 0;
    for (let digit = digitAt(bytes, at); digit >= 0; digit = digitAt(bytes, ++at)) no = no * 10 + digit;
    return no;
  }
}

function startsWith(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/** The digit at a place; −1 if there is none. */
function digitAt(bytes: Buffer, at: number): number {
  const digit = (bytes[at] ?? 0) - 0x30;
  return digit >= 0 && digit <= 9 ? digit : -1;
}
