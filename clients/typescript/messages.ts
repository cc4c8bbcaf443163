/**
 * The messages between a node and its clients and applications (spec.md, "Messages"), and how they are written and
 * read. Zero values are left out on the wire and read back as 0, "" and false (spec.md, "Encoding").
 */
export const MessageType = {
  ClientRequest: 7,
  ClientResponse: 8,
  ClientRedirect: 9,
  ClientConn: 10,
  ClientConnectRequest: 11,
  LogResponse: 12,
  ClientApp: 13,
  AppResponse: 14,
  Error: 16,
} as const;

/** The longest line taken from a node, in characters; more means that it doesn't speak this protocol. */
export const MAX_LINE_LENGTH = 16 * 1024 * 1024;

/** The largest value that agents can carry, as counted by `valueCost`: a constant of the format (spec.md, "Limits"). */
export const MAX_VALUE_COST = 65_034;

/**
 * The length of a value's JSON text under the worst escaping in use, for each UTF-16 unit: two for `"`, `\` and `/`;
 * six for control characters, `<`, `>`, `&` and whatever is beyond ASCII; one for the rest (spec.md, "Limits").
 */
export function valueCost(value: string): number {
  const two = value.match(/["\\/]/g)?.length ?? 0;
  // Without the flag u, each match is one UTF-16 unit.
  const six = value.match(/[^\x20-\x7e]|[<>&]/g)?.length ?? 0;
  return value.length + two + 5 * six;
}

/** Whether nodes will take a value. A larger one is better refused here: a node may cut its line off unread. */
export function isLoggable(value: string): boolean {
  return value.length * 6 <= MAX_VALUE_COST || valueCost(value) <= MAX_VALUE_COST;
}

/** A received message, flat and complete: what was absent holds its zero value. */
export interface Received {
  readonly type: number;
  readonly id: number;
  readonly no: number;
  readonly noset: boolean;
  readonly entry: number;
  readonly value: string;
  readonly error: string;
  readonly leaderaddress: string;
  readonly leaderport: string;
}

/** What arrived is not a message of this protocol; nothing more can be read from the connection. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** One message as it travels: a line of JSON with its newline, without its zero values. */
export function encodeLine(message: object): string {
  return `${JSON.stringify(message, withoutZero)}\n`;
}

function withoutZero(_key: string, value: unknown): unknown {
  return value === 0 || value === '' || value === false ? undefined : value;
}

/** Reads a line: usually one message, but several objects on a line are taken too. Throws ProtocolError. */
export function decodeLine(line: string): Received[] {
  const text = line.trim();
  if (text === '') return [];
  try {
    return [flatten(JSON.parse(text))];
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    const parts = splitObjects(text);
    if (parts.length < 2) throw new ProtocolError(`not JSON: ${text.slice(0, 80)}`);
    return parts.flatMap((part) => decodeLine(part));
  }
}

/** Cuts `{…}{…}` into its objects; text that isn't made of them comes back in one piece. */
function splitObjects(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (inString) {
      if (character === '\\') i++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) {
      parts.push(text.slice(start, i + 1));
      start = i + 1;
    }
  }
  return text.slice(start).trim() === '' ? parts : [text];
}

function flatten(parsed: unknown): Received {
  if (!isObject(parsed)) throw new ProtocolError('a message must be an object');
  const request = own(parsed, 'request', {});
  if (!isObject(request)) throw new ProtocolError('request must be an object');
  return {
    type: wholeNumber(parsed, 'type'),
    id: wholeNumber(request, 'id'),
    no: wholeNumber(request, 'no'),
    noset: own(request, 'noset') === true,
    entry: wholeNumber(own(parsed, 'entry') === undefined ? request : parsed, 'entry'),
    value: text(parsed, 'value'),
    error: text(parsed, 'error'),
    leaderaddress: text(parsed, 'leaderaddress'),
    leaderport: text(parsed, 'leaderport'),
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of the object itself, never one that every object inherits; or what an absent one stands for. */
function own(object: object, field: string, absent?: unknown): unknown {
  return Object.hasOwn(object, field) ? (object as Readonly<Record<string, unknown>>)[field] : absent;
}

function wholeNumber(object: object, field: string): number {
  const value = own(object, field, 0);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ProtocolError(`${field} must be a whole number from 0 to 2^53 - 1`);
}

function text(object: object, field: string): string {
  const value = own(object, field, '');
  if (typeof value === 'string') return value;
  throw new ProtocolError(`${field} must be a string`);
}

/** Where a node listens. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/** Where a bare port is looked for. */
const DEFAULT_HOST = '127.0.0.1';

/**
 * Reads `HOST:PORT` or `PORT`, several of them separated by commas or as a list. A bare port is on 127.0.0.1.
 * Throws RangeError that says which one is wrong.
 */
export function parseServers(servers: string | readonly string[]): ServerAddress[] {
  const parts = (typeof servers === 'string' ? [servers] : servers).flatMap((part) => part.split(','));
  const named = parts.map((part) => part.trim()).filter((part) => part !== '');
  if (named.length === 0) throw new RangeError('no server given: name at least one HOST:PORT or PORT');
  return named.map(parseServer);
}

function parseServer(server: string): ServerAddress {
  const colon = server.lastIndexOf(':');
  const host = colon < 0 ? DEFAULT_HOST : server.slice(0, colon);
  const port = server.slice(colon + 1);
  if (host !== '' && /^[0-9]{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535) {
    return { host, port: Number(port) };
  }
  throw new RangeError(`"${server}" is not a server: write HOST:PORT or PORT, with a port from 1 to 65535`);
}

/** `HOST:PORT`, as people write it. */
export function formatServer(server: ServerAddress): string {
  return `${server.host}:${server.port}`;
}
