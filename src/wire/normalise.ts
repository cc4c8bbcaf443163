import type { Address } from '../core/address.js';
import { NO_REQUEST, type Request } from '../core/decree.js';
import { clientId, entry, NO_ROUND, requestNumber, round, type Entry } from '../core/ids.js';
import { MessageType, type Message, type RoundValue } from '../core/message.js';
import type { WireMessage, WireRequest, WireRoundValue } from './validators.js';

/**
 * From a validated message of the wire to the flat, complete one of the core (spec.md, "Encoding"). Every object is
 * built afresh, field by field: nothing that was parsed goes any further, whatever keys it has.
 */

/** The number of a field; absent is 0, and so is −0. */
function numberOf(n: number | undefined): number {
  return n === undefined ? 0 : n + 0;
}

/** The types that speak of an entry. Of the others nobody reads `entry`: it is an unknown field there. */
const SPEAKS_OF_ENTRY: ReadonlySet<MessageType> = new Set<MessageType>([
  MessageType.Prepare,
  MessageType.Promise,
  MessageType.Nack,
  MessageType.AcceptRequest,
  MessageType.Accepted,
  MessageType.ClientRequest,
  MessageType.ClientResponse,
  MessageType.LogResponse,
  MessageType.ClientApp,
  MessageType.AppResponse,
  MessageType.Error,
]);

/**
 * Why the two places of a field contradict each other, or undefined. `entry` stands at the top level, in `request`, or
 * in both; an absent one is unspecified, so the two that are there must be equal. A client's value may stand in both as
 * well, but there an empty one doesn't object: encoders that spell zero values out would send it.
 */
export function contradiction(type: MessageType, wire: WireMessage): string | undefined {
  if (!SPEAKS_OF_ENTRY.has(type)) return undefined;
  const inside = wire.request?.entry;
  if (wire.entry !== undefined && inside !== undefined && wire.entry !== inside) {
    return `entry is ${wire.entry} but request.entry is ${inside}: where both stand they must be equal`;
  }
  if (type !== MessageType.ClientRequest) return undefined;
  const [outer, inner] = [wire.value ?? '', wire.request?.value ?? ''];
  if (outer !== '' && inner !== '' && outer !== inner) {
    return 'value and request.value differ: a client sends request.value only';
  }
  return undefined;
}

/** `entry` from either of its places, which don't contradict each other. */
function entryOf(wire: WireMessage): Entry {
  return entry(numberOf(wire.entry ?? wire.request?.entry));
}

/** A client's value from either of its places. */
function clientValueOf(wire: WireMessage): string {
  const inside = wire.request?.value ?? '';
  return inside === '' ? (wire.value ?? '') : inside;
}

function leaderOf(wire: WireMessage): { leaderaddress: string; leaderport: string } {
  return { leaderaddress: wire.leaderaddress ?? '', leaderport: wire.leaderport ?? '' };
}

function requestOf(wire: WireRequest | undefined): Request {
  if (wire === undefined) return NO_REQUEST;
  return {
    id: clientId(numberOf(wire.id)),
    no: requestNumber(numberOf(wire.no)),
    noset: wire.noset ?? false,
  };
}

/** "Nothing accepted" has one shape only, so that nobody reads a value out of it. */
function roundValueOf(wire: WireRoundValue | undefined): RoundValue {
  const at = round(numberOf(wire?.round));
  if (at === NO_ROUND) return { round: NO_ROUND, value: '', request: NO_REQUEST };
  return { round: at, value: wire?.value ?? '', request: requestOf(wire?.request) };
}

/** The sender, if it names itself: half an address is none. */
export function senderOf({ fromaddress, fromport }: WireMessage): Address | undefined {
  if (fromaddress === undefined || fromaddress === '') return undefined;
  if (fromport === undefined || fromport === '') return undefined;
  return { address: fromaddress, port: fromport };
}

/**
 * What can be read of `request` in a message that was refused, so that the Error can name it (spec.md, "Errors").
 * Takes anything that JSON.parse gives.
 */
export function readableRequest(parsed: unknown): Request {
  const request = fieldOf(parsed, 'request');
  const id = fieldOf(request, 'id') ?? 0;
  const no = fieldOf(request, 'no') ?? 0;
  if (!isCounter(id) || !isCounter(no)) return NO_REQUEST;
  return { id: clientId(id + 0), no: requestNumber(no + 0), noset: fieldOf(request, 'noset') === true };
}

function fieldOf(parsed: unknown, name: string): unknown {
  if (typeof parsed !== 'object' || parsed === null || !Object.hasOwn(parsed, name)) return undefined;
  return (parsed as Readonly<Record<string, unknown>>)[name];
}

function isCounter(n: unknown): n is number {
  return typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
}

/** The flat message of type `type`, from what that type's validator has passed and `contradiction` finds in order. */
export function flatten(type: MessageType, wire: WireMessage): Message {
  switch (type) {
    case MessageType.Empty:
    case MessageType.Done:
      return { type };
    case MessageType.Prepare:
    case MessageType.Promise:
    case MessageType.Nack:
    case MessageType.AcceptRequest:
    case MessageType.Accepted:
      return flattenVote(type, wire);
    case MessageType.Heartbeat:
      return {
        type,
        ...leaderOf(wire),
        round: round(numberOf(wire.round)),
        committed: entry(numberOf(wire.committed)),
      };
    case MessageType.ClientRequest:
      return { type, request: requestOf(wire.request), entry: entryOf(wire), value: clientValueOf(wire) };
    case MessageType.ClientResponse:
    case MessageType.LogResponse:
    case MessageType.AppResponse:
      return { type, request: requestOf(wire.request), entry: entryOf(wire), value: wire.value ?? '' };
    case MessageType.ClientRedirect:
      return { type, ...leaderOf(wire) };
    case MessageType.ClientConn:
    case MessageType.ClientConnectRequest:
      return { type, request: requestOf(wire.request) };
    case MessageType.ClientApp:
      return { type, request: requestOf(wire.request), entry: entryOf(wire) };
    case MessageType.Error:
      return { type, error: wire.error ?? '', request: requestOf(wire.request), entry: entryOf(wire) };
  }
}

type VoteType = Extract<MessageType, 1 | 2 | 3 | 4 | 5>;

/** The five messages of the Synod, which share request, entry and round. */
function flattenVote(type: VoteType, wire: WireMessage): Message {
  const request = requestOf(wire.request);
  const at = entryOf(wire);
  const r = round(numberOf(wire.round));
  switch (type) {
    case MessageType.Prepare:
      return { type, request, entry: at, round: r };
    case MessageType.Promise:
      return {
        type,
        request,
        entry: at,
        round: r,
        roundvalue: roundValueOf(wire.roundvalue),
        length: numberOf(wire.length),
        committed: entry(numberOf(wire.committed)),
      };
    case MessageType.Nack:
      return {
        type,
        request,
        entry: at,
        round: r,
        roundvalue: roundValueOf(wire.roundvalue),
        promised: round(numberOf(wire.promised)),
        ...leaderOf(wire),
      };
    case MessageType.AcceptRequest:
      return {
        type,
        request,
        entry: at,
        round: r,
        value: wire.value ?? '',
        committed: entry(numberOf(wire.committed)),
      };
    case MessageType.Accepted:
      return { type, request, entry: at, round: r, value: wire.value ?? '' };
  }
}
