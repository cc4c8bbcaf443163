import type { ClientId, Entry, Round } from './ids.js';
import type { Decree, Request } from './decree.js';

/**
 * The seventeen message types (spec.md, "Messages"), as the core sees them: flat and complete. Zero values that the
 * wire leaves out are filled in, `entry` is resolved from its two places, `value` is lifted out of `request`,
 * and the sender's address is known from the carrier. `src/wire` does all of that.
 */
export const MessageType = {
  Empty: 0,
  Prepare: 1,
  Promise: 2,
  Nack: 3,
  AcceptRequest: 4,
  Accepted: 5,
  Heartbeat: 6,
  ClientRequest: 7,
  ClientResponse: 8,
  ClientRedirect: 9,
  ClientConn: 10,
  ClientConnectRequest: 11,
  LogResponse: 12,
  ClientApp: 13,
  AppResponse: 14,
  Done: 15,
  Error: 16,
} as const;

export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** The names of the types, by number. */
export const MESSAGE_NAMES = Object.keys(MessageType) as readonly (keyof typeof MessageType)[];

/** A reported acceptance. Round −1: nothing was accepted, and the rest means nothing. */
export interface RoundValue {
  readonly round: Round;
  readonly value: string;
  readonly request: Request;
}

/** Ignored by everyone. */
export interface Empty {
  readonly type: typeof MessageType.Empty;
}

/** Proposer → agents: asks for a promise covering the whole log from `entry` on. */
export interface Prepare {
  readonly type: typeof MessageType.Prepare;
  readonly request: Request;
  /** The first entry that the proposer does not know chosen; when retransmitted, the first one still unreported. */
  readonly entry: Entry;
  readonly round: Round;
}

/** Acceptor → proposer: promised; and what was accepted at `entry`. */
export interface Promise {
  readonly type: typeof MessageType.Promise;
  readonly request: Request;
  readonly entry: Entry;
  readonly round: Round;
  readonly roundvalue: RoundValue;
  /** Extension: one more than the last entry at which this acceptor ever accepted; 0 for an empty log. */
  readonly length: number;
  /** Extension: entries that this acceptor knows chosen without a hole. */
  readonly committed: Entry;
}

/** Acceptor → proposer: refused. */
export interface Nack {
  readonly type: typeof MessageType.Nack;
  readonly request: Request;
  readonly entry: Entry;
  /** The round that was refused, echoed. */
  readonly round: Round;
  readonly roundvalue: RoundValue;
  /** Extension: the round promised here. 0 (absent) means nothing. */
  readonly promised: Round;
  /** The live leader on whose account this is refused; both empty if there is none. */
  readonly leaderaddress: string;
  readonly leaderport: string;
}

/** Leader → agents: accept this value for this entry at this round. */
export interface AcceptRequest {
  readonly type: typeof MessageType.AcceptRequest;
  readonly request: Request;
  readonly entry: Entry;
  readonly round: Round;
  readonly value: string;
  /** Extension: every entry below this, proposed at this round or known before it, is chosen. */
  readonly committed: Entry;
  /** Where its value was not read yet, and reading it takes time: what to take instead. */
  readonly unread?: Unread;
}

/** What an AcceptRequest leads to, made without its value. */
export interface Unread {
  /** What `request` and `value` make. */
  readonly decree: Decree;
  /** The Accepted that answers it. */
  readonly accepted: Accepted;
}

/** Acceptor → leader: accepted, and durable. */
export interface Accepted {
  readonly type: typeof MessageType.Accepted;
  readonly request: Request;
  readonly entry: Entry;
  readonly round: Round;
  readonly value: string;
}

/** Leader → agents, at regular intervals. */
export interface Heartbeat {
  readonly type: typeof MessageType.Heartbeat;
  readonly leaderaddress: string;
  readonly leaderport: string;
  /** Extension: the round of the reign; 0 also when a literal peer sends none. */
  readonly round: Round;
  /** Extension: the notice; as in AcceptRequest. */
  readonly committed: Entry;
}

/** Client → node: a value to log, or with `request.noset` a query for the value of `entry`. */
export interface ClientRequest {
  readonly type: typeof MessageType.ClientRequest;
  readonly request: Request;
  readonly entry: Entry;
  readonly value: string;
}

/** Node → client: the application's answer, or the chosen value where there is no application. */
export interface ClientResponse {
  readonly type: typeof MessageType.ClientResponse;
  readonly request: Request;
  /** Extension: the entry that holds the request. */
  readonly entry: Entry;
  readonly value: string;
}

/** Node → client: ask there. */
export interface ClientRedirect {
  readonly type: typeof MessageType.ClientRedirect;
  readonly leaderaddress: string;
  readonly leaderport: string;
}

/** Node → client: connected; `request.id` names the session, `request.no` its first number. */
export interface ClientConn {
  readonly type: typeof MessageType.ClientConn;
  readonly request: Request;
}

/** Client or app → node: hello. Extension: `request.id` goes on with an earlier session. */
export interface ClientConnectRequest {
  readonly type: typeof MessageType.ClientConnectRequest;
  readonly request: Request;
}

/** Node → app or follower of the log: one chosen entry. */
export interface LogResponse {
  readonly type: typeof MessageType.LogResponse;
  readonly request: Request;
  readonly entry: Entry;
  readonly value: string;
}

/** App, follower or agent → node: stream the log. Extensions: from `entry`; with `request.noset`, the raw log. */
export interface ClientApp {
  readonly type: typeof MessageType.ClientApp;
  readonly request: Request;
  readonly entry: Entry;
}

/** App → node: the result of applying `entry`. */
export interface AppResponse {
  readonly type: typeof MessageType.AppResponse;
  readonly request: Request;
  readonly entry: Entry;
  readonly value: string;
}

/** Anyone → node: stop, for test scripts. */
export interface Done {
  readonly type: typeof MessageType.Done;
}

/** Node → client: `error` is `code: text` (spec.md, "Errors"). Not named `Error`, which JavaScript has taken. */
export interface ErrorMessage {
  readonly type: typeof MessageType.Error;
  readonly error: string;
  readonly request: Request;
  /** Extension: the entry that an Error about a query or an executed request speaks of; 0 otherwise. */
  readonly entry: Entry;
}

/** What agents say to each other over UDP. */
export type PeerMessage = Prepare | Promise | Nack | AcceptRequest | Accepted | Heartbeat;

export type Message =
  | Empty
  | PeerMessage
  | ClientRequest
  | ClientResponse
  | ClientRedirect
  | ClientConn
  | ClientConnectRequest
  | LogResponse
  | ClientApp
  | AppResponse
  | Done
  | ErrorMessage;

export function isPeerMessage(message: Message): message is PeerMessage {
  return message.type >= MessageType.Prepare && message.type <= MessageType.Heartbeat;
}

/** The round of the leader that issued a session id (spec.md, "Clients"). */
export function roundOfClientId(id: ClientId): Round {
  return Math.floor(id / CLIENT_IDS_PER_ROUND) as Round;
}

/** Session ids that one round can issue: k runs from 1 to one less than this. */
export const CLIENT_IDS_PER_ROUND = 2 ** 16;
