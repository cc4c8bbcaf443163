import type { Address } from '../core/address.js';
import { NO_REQUEST, type Request } from '../core/decree.js';
import { clientId, entry, requestNumber, round, type Entry } from '../core/ids.js';
import { fitsDatagram, MAX_ROUND } from '../core/limits.js';
import { MessageType, type Message } from '../core/message.js';
import { bodyAt, keepBody } from './bodies.js';
import { rememberLiteral } from './literals.js';

/**
 * A short cut through the codec for what makes up nearly all traffic: a message of one of five types in the plainest
 * text that says it, with no blanks and its fields in the order in which `encodeMessage` puts them. It reads such a text
 * once, where JSON.parse and the validator walk over it several times. Whatever looks different in any way is left to
 * them: here nothing is ever refused, and nothing is read otherwise than they would (test/wire/plain.test.ts).
 */

/** A message and its sender, as the codec would have read them. */
export interface Plain {
  readonly message: Message;
  readonly from: Address | undefined;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
const CLOSING_BRACE = 0x7d;

/** Numbers of so many digits are safe integers; longer ones are left to the codec. */
const MAX_DIGITS = 15;

/** Senders that are kept in mind: more than a cluster has agents. */
const MAX_SENDERS = 64;

/** Characters that a string can't hold as they are. */
// eslint-disable-next-line no-control-regex
const SPECIAL = /[\u0000-\u001f"\\]/;

/** Senders that the codec has found in order, each with the text that names it. */
const senders: { readonly text: string; readonly address: Address }[] = [];

/** Keeps a sender in mind that the codec has passed. */
export function rememberSender(address: Address): void {
  const text = `,"fromaddress":"${address.address}","fromport":"${address.port}"`;
  if (senders.some((sender) => sender.text === text)) return;
  if (senders.length >= MAX_SENDERS) senders.shift();
  senders.push({ text, address });
}

/**
 * What is read, from where to where of a longer text: cutting it out first would make each look at a character slower.
 * One is read at a time, to its end. Then where the reader is, and whether a brace has just been opened.
 */
let text = '';
let end = 0;
let at = 0;
let opened = false;

/** Whether this stands there. `startsWith` would say the same, one character after the other. */
function stands(piece: string, start: number): boolean {
  return text.slice(start, start + piece.length) === piece;
}

/** Goes over the next key, if it is this one. */
function key(name: string): boolean {
  const start = opened ? at : at + 1;
  if (!opened && text.charCodeAt(at) !== COMMA) return false;
  if (!stands(name, start)) return false;
  at = start + name.length;
  opened = false;
  return true;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** A number of up to 15 digits without sign, point or exponent; −1 for any other. */
function digits(): number {
  const start = at;
  let n = 0;
  for (;;) {
    const digit = text.charCodeAt(at);
    if (!isDigit(digit)) break;
    n = n * 10 + (digit - ZERO);
    at++;
  }
  const length = at - start;
  if (length === 0 || length > MAX_DIGITS) return -1;
  return length > 1 && text.charCodeAt(start) === ZERO ? -1 : n;
}

/** The number behind a key, 0 if the key isn't there; −1 if it is left to the codec. */
function numberOf(name: string): number {
  return key(name) ? digits() : 0;
}

/** Where the last field begins, if it is this one with a number; else where the closing brace is. */
function startOfLast(name: string): number {
  const closing = end - 1;
  let start = closing;
  while (isDigit(text.charCodeAt(start - 1))) start--;
  const before = start - name.length;
  return start < closing && stands(name, before) ? before : closing;
}

/**
 * The string behind a key, '' if the key isn't there; undefined if it is left to the codec. It must end right before
 * `behind`: values stand last, and looking for their ends quote by quote would take longer than all the rest.
 */
function stringOf(name: string, behind: number): string | undefined {
  if (!key(name)) return '';
  const start = at;
  if (behind < start + 2 || text.charCodeAt(start) !== QUOTE || text.charCodeAt(behind - 1) !== QUOTE)
    return undefined;
  at = behind;
  const content = text.slice(start + 1, behind - 1);
  // If another string ends in between, JSON.parse says so.
  return SPECIAL.test(content) ? unescaped(text.slice(start, behind)) : content;
}

/** Whether the value that was read last is one that stands as `encodeMessage` would write it. */
let usual = false;

/** As `stringOf`, for a value that will be written again. */
function valueOf(name: string, behind: number): string | undefined {
  const start = at + name.length + (opened ? 0 : 1);
  const value = stringOf(name, behind);
  usual = value !== undefined && value !== '' && rememberLiteral(value, text.slice(start, behind));
  return value;
}

function unescaped(literal: string): string | undefined {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}

/** The sender, if it is one that is known: `absent` if none is named, undefined if it is left to the codec. */
function sender(): Address | 'absent' | undefined {
  for (const known of senders) {
    if (!stands(known.text, at)) continue;
    at += known.text.length;
    return known.address;
  }
  return stands(',"from', at) ? undefined : 'absent';
}

/** What stands in `request`, its value included. */
interface PlainRequest {
  readonly request: Request;
  readonly entry: number | undefined;
  readonly value: string;
}

const NO_PLAIN_REQUEST: PlainRequest = { request: NO_REQUEST, entry: undefined, value: '' };

/** `request`; a value in it ends right before `behind`. */
function requestField(behind: number): PlainRequest | undefined {
  if (!key('"request":{')) return NO_PLAIN_REQUEST;
  opened = true;
  const id = numberOf('"id":');
  const no = numberOf('"no":');
  const inside = key('"entry":') ? digits() : undefined;
  const noset = key('"noset":true');
  const value = valueOf('"value":', behind);
  if (id < 0 || no < 0 || inside === -1 || value === undefined) return undefined;
  if (text.charCodeAt(at) !== CLOSING_BRACE) return undefined;
  at++;
  opened = false;
  return { request: { id: clientId(id), no: requestNumber(no), noset }, entry: inside, value };
}

/** The entry at the top level, in the request, or in both; undefined if they differ or are left to the codec. */
function entryField(inside: number | undefined): Entry | undefined {
  if (!key('"entry":')) return entry(inside ?? 0);
  const outside = digits();
  if (outside < 0 || (inside !== undefined && inside !== outside)) return undefined;
  return entry(outside);
}

/** Reads a plain text, which stands in `plain` from `start` on up to `behind`; undefined for any other. */
export function readPlain(plain: string, start = 0, behind = plain.length): Plain | undefined {
  text = plain;
  end = behind;
  const beginning = '{"type":';
  if (!stands(beginning, start)) return undefined;
  at = start + beginning.length;
  opened = false;
  const type = digits();
  const from = sender();
  if (from === undefined) return undefined;
  const message = readMessage(type, from !== 'absent');
  const ends = text.charCodeAt(at) === CLOSING_BRACE && at === end - 1;
  text = '';
  if (message === undefined || !ends) return undefined;
  return { message, from: from === 'absent' ? undefined : from };
}

function readMessage(type: number, hasSender: boolean): Message | undefined {
  switch (type) {
    case MessageType.AcceptRequest:
      return hasSender ? readVote(type) : undefined;
    case MessageType.Accepted:
      return hasSender ? (readEcho() ?? readVote(type)) : undefined;
    case MessageType.ClientRequest:
      return readClientRequest();
    case MessageType.LogResponse:
    case MessageType.AppResponse:
      return readResponse(type);
    default:
      return undefined;
  }
}

/** The entry behind the one that an Accepted was read for last: they come in the order in which they were asked for. */
let awaited = 0;

/** An Accepted whose text is that of the AcceptRequest which it answers, as it was written here. */
function readEcho(): Message | undefined {
  const body = bodyAt(awaited);
  if (body === undefined || end !== at + body.text.length + 1 || !stands(body.text, at)) return undefined;
  at += body.text.length;
  const { request, entry: voted, round: r, value } = body;
  awaited = voted + 1;
  return { type: MessageType.Accepted, request, entry: voted, round: r, value };
}

function readVote(type: 4 | 5): Message | undefined {
  const start = at;
  const inside = requestField(0);
  if (inside === undefined || inside === NO_PLAIN_REQUEST || inside.value !== '') return undefined;
  const { request } = inside;
  const isTwice = stands(',"entry":', at);
  const bound = entryField(inside.entry);
  const r = numberOf('"round":');
  if (bound === undefined || r < 0 || r >= MAX_ROUND) return undefined;
  if (type === MessageType.Accepted) {
    const value = stringOf('"value":', end - 1);
    awaited = bound + 1;
    return value === undefined ? undefined : { type, request, entry: bound, round: round(r), value };
  }
  const value = valueOf('"value":', startOfLast(',"committed":'));
  // With none of them zero, and the entry in both places, no other text says the same.
  if (usual && isTwice && request.id * request.no * bound * r > 0 && inside.entry === bound && !request.noset)
    keepBody({ request, entry: bound, round: round(r), value: value ?? '', text: text.slice(start, at) });
  const committed = numberOf('"committed":');
  if (value === undefined || committed < 0) return undefined;
  return { type, request, entry: bound, round: round(r), value, committed: entry(committed) };
}

function readClientRequest(): Message | undefined {
  const inside = requestField(startOfLast(',"entry":') - 1);
  if (inside === undefined || !fitsDatagram(inside.value)) return undefined;
  const bound = entryField(inside.entry);
  if (bound === undefined) return undefined;
  return { type: MessageType.ClientRequest, request: inside.request, entry: bound, value: inside.value };
}

function readResponse(type: 12 | 14): Message | undefined {
  const inside = requestField(0);
  if (inside === undefined || inside.value !== '') return undefined;
  const bound = entryField(inside.entry);
  const value = valueOf('"value":', end - 1);
  if (bound === undefined || value === undefined) return undefined;
  return { type, request: inside.request, entry: bound, value };
}
