import type { Address } from '../core/address.js';
import type { Request } from '../core/decree.js';
import { NO_ROUND, type Entry } from '../core/ids.js';
import {
  MESSAGE_NAMES,
  MessageType,
  isPeerMessage,
  type AcceptRequest,
  type Accepted,
  type Message,
  type Nack,
  type Prepare,
  type Promise,
  type RoundValue,
} from '../core/message.js';
import { keepBody, keptBody } from './bodies.js';
import { literalOf } from './literals.js';
import { AcceptedLine } from './proposal-line.js';

/**
 * Messages as JSON, put together by hand: the shape of each is known, zero values are left out on the way
 * (spec.md, "Encoding"), and only strings need JSON.stringify. Every piece below begins with a comma or is empty.
 */

function numberField(name: string, n: number): string {
  return n === 0 ? '' : `,"${name}":${n}`;
}

function stringField(name: string, text: string): string {
  return text === '' ? '' : `,"${name}":${JSON.stringify(text)}`;
}

/** A value, which is written more than once (`literalOf`). */
function valueField(value: string): string {
  return value === '' ? '' : `,"value":${literalOf(value)}`;
}

/** `{…}` around pieces of which the first may begin with a comma. */
function object(pieces: string): string {
  return pieces === '' ? '{}' : `{${pieces.slice(1)}}`;
}

function requestPieces(request: Request, at: Entry | 0): string {
  return (
    numberField('id', request.id) +
    numberField('no', request.no) +
    numberField('entry', at) +
    (request.noset ? ',"noset":true' : '')
  );
}

/** `request` as an object. A session's requests, which are nearly all, need no search for the first comma. */
function requestObject(request: Request, at: Entry | 0): string {
  const { id, no, noset } = request;
  if (id === 0 || no === 0 || at === 0 || noset) return object(requestPieces(request, at));
  return `{"id":${id},"no":${no},"entry":${at}}`;
}

/** `request` as types 1 to 5 carry it: an object is no zero value, so it stands even when empty. */
function requiredRequest(request: Request, at: Entry): string {
  return `,"request":${requestObject(request, at)}`;
}

/** `request` of all others, where nothing obliges an empty one to be sent. */
function optionalRequest(request: Request, at: Entry | 0): string {
  const text = requestObject(request, at);
  return text === '{}' ? '' : `,"request":${text}`;
}

/** A reported acceptance; its entry is the message's and isn't repeated. */
function roundValueField({ round, value, request }: RoundValue): string {
  if (round === NO_ROUND) return ',"roundvalue":{"round":-1}';
  const pieces = numberField('round', round) + valueField(value) + optionalRequest(request, 0);
  return `,"roundvalue":${object(pieces)}`;
}

function leaderFields(leader: { readonly leaderaddress: string; readonly leaderport: string }): string {
  return stringField('leaderaddress', leader.leaderaddress) + stringField('leaderport', leader.leaderport);
}

/** A client's value stands in its `request`, as in the base text. */
function clientRequestFields(request: Request, at: Entry, value: string): string {
  const pieces = requestPieces(request, at) + valueField(value);
  return (pieces === '' ? '' : `,"request":${object(pieces)}`) + numberField('entry', at);
}

/** All fields beside type and sender. A request that is bound to an entry names it too, beside the top level. */
function fields(message: Message): string {
  switch (message.type) {
    case MessageType.Empty:
    case MessageType.Done:
      return '';
    case MessageType.Prepare:
    case MessageType.Promise:
    case MessageType.Nack:
      return (
        (message.type === MessageType.Nack ? leaderFields(message) : '') +
        requiredRequest(message.request, message.entry) +
        numberField('entry', message.entry) +
        numberField('round', message.round) +
        reportFields(message)
      );
    case MessageType.AcceptRequest:
      return voteBody(message) + numberField('committed', message.committed);
    case MessageType.Accepted:
      return voteBody(message);
    case MessageType.Heartbeat:
      return (
        leaderFields(message) +
        numberField('round', message.round) +
        numberField('committed', message.committed)
      );
    case MessageType.ClientRequest:
      return clientRequestFields(message.request, message.entry, message.value);
    case MessageType.ClientResponse:
    case MessageType.LogResponse:
    case MessageType.AppResponse:
      return (
        optionalRequest(message.request, message.entry) +
        numberField('entry', message.entry) +
        valueField(message.value)
      );
    case MessageType.ClientRedirect:
      return leaderFields(message);
    case MessageType.ClientConn:
    case MessageType.ClientConnectRequest:
      return optionalRequest(message.request, 0);
    case MessageType.ClientApp:
      return optionalRequest(message.request, 0) + numberField('entry', message.entry);
    case MessageType.Error:
      return (
        optionalRequest(message.request, 0) +
        numberField('entry', message.entry) +
        stringField('error', message.error)
      );
  }
}

/** What a vote is asked for, and given to (`bodies.ts`). */
function voteBody(message: AcceptRequest | Accepted): string {
  if (message instanceof AcceptedLine) return message.body;
  const { request, entry, round, value } = message;
  const kept = keptBody(request, entry, round, value);
  if (kept !== undefined) return kept;
  const text =
    requiredRequest(request, entry) +
    numberField('entry', entry) +
    numberField('round', round) +
    valueField(value);
  keepBody({ request, entry, round, value, text });
  return text;
}

/** What a Prepare asks for nothing of, and its answers say. */
function reportFields(message: Prepare | Promise | Nack): string {
  switch (message.type) {
    case MessageType.Prepare:
      return '';
    case MessageType.Promise:
      return (
        roundValueField(message.roundvalue) +
        numberField('length', message.length) +
        numberField('committed', message.committed)
      );
    case MessageType.Nack:
      return roundValueField(message.roundvalue) + numberField('promised', message.promised);
  }
}

/** An agent's own address stands in every message it sends: put together once per Address. */
const knownSenders = new WeakMap<Address, string>();

function senderPieces(from: Address): string {
  let pieces = knownSenders.get(from);
  if (pieces === undefined) {
    pieces = stringField('fromaddress', from.address) + stringField('fromport', from.port);
    knownSenders.set(from, pieces);
  }
  return pieces;
}

/** How a message of `from` begins that says whose request it is: up to the first field of `request`. */
export function openingOf(type: MessageType, from: Address): string {
  return `{"type":${type}${senderPieces(from)},"request":{`;
}

/**
 * One message as one line of JSON, without the newline. `from` is the sender's own address: agents put it into every
 * message, clients may leave it out.
 */
export function encodeMessage(message: Message, from: Address | undefined): string {
  if (from === undefined && isPeerMessage(message)) {
    throw new Error(`${MESSAGE_NAMES[message.type] ?? 'a message'} between agents must name its sender`);
  }
  const sender = from === undefined ? '' : senderPieces(from);
  if (message.type === MessageType.Empty) return object(sender);
  return `{"type":${message.type}${sender}${fields(message)}}`;
}
