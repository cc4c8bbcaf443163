import type { Address } from '../core/address.js';
import type { Entry } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import { senderPieces } from './encode.js';

const REQUEST = ',"request":{';
const ROUND = ',"round":';

/** How the texts begin that hold a decree. */
const VOTE = `{"type":${MessageType.AcceptRequest},`;
const LEARNT = `{"type":${MessageType.LogResponse},`;

/**
 * The LogResponse by which `from` passes on what is chosen for `entry`, cut out of a text that `encodeMessage` wrote of
 * an AcceptRequest or a LogResponse for it: they have all but the round and the sender in common. `start` is where the
 * message begins in `text`. Undefined if the text isn't of that shape; then it has to be read.
 */
export function relayedResponse(
  text: string,
  start: number,
  entry: Entry,
  from: Address,
): string | undefined {
  if (!text.startsWith(VOTE, start) && !text.startsWith(LEARNT, start)) return undefined;
  const request = text.indexOf(REQUEST, start);
  // In a request of the log there are numbers and `true` only: the next brace is its own.
  const close = text.indexOf('}', request + REQUEST.length);
  const named = `,"entry":${entry}`;
  if (request < 0 || close < 0 || !text.startsWith(named, close + 1)) return undefined;
  const end = close + 1 + named.length;
  const rest = text.startsWith(ROUND, end) ? behindNumber(text, end + ROUND.length) : end;
  const hasValue = text.startsWith(',"value":"', rest) && text.endsWith('"}');
  if (!hasValue && (text[rest] !== '}' || rest !== text.length - 1)) return undefined;
  return `{"type":${MessageType.LogResponse}${senderPieces(from)}${text.slice(request, end)}${text.slice(rest)}`;
}

function behindNumber(text: string, at: number): number {
  let end = at;
  while (isDigit(text.charCodeAt(end))) end++;
  return end;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
