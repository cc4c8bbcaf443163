import type { Answers } from './answers.js';
import type { Request } from './decree.js';
import { errorText, type ErrorCode } from './errors.js';
import {
  entry as entryOf,
  NO_CLIENT,
  type ClientId,
  type ConnectionId,
  type Entry,
  type RequestNumber,
} from './ids.js';
import { MAX_REQUESTS_PER_CLIENT } from './limits.js';
import { MessageType, type ClientConnectRequest, type ClientRequest } from './message.js';
import type { Outbox } from './outbox.js';
import type { AgentState } from './state.js';

/** All that an agent keeps about its clients. None of it is needed for safety; a restart forgets it. */
export interface ClientsState {
  readonly connections: Map<ConnectionId, Connection>;
  /** The connection that speaks for a session. */
  readonly bound: Map<ClientId, ConnectionId>;
  /** The connections in whose `waiting` something waits. */
  readonly patient: Set<Connection>;
  /** Requests proposed in this reign and not yet folded. */
  readonly proposed: Map<ClientId, Map<RequestNumber, Entry>>;
  /** Requests that wait for a place in flight, oldest first. */
  readonly queue: Queued[];
  readonly answers: Answers;
  /** Whether the `requests` timer runs. */
  ticking: boolean;
}

export interface Connection {
  readonly name: ConnectionId;
  /** The session it speaks for; 0 for none. */
  session: ClientId;
  /** Told to go elsewhere: from then on its requests are told nothing else. */
  redirected: boolean;
  /** What waits for an election, in order. */
  readonly waiting: Waiting[];
  /** Requests without an answer. */
  outstanding: number;
  /** The client has closed its sending side; the connection closes with the last answer. */
  ended: boolean;
}

interface Waiting {
  readonly message: ClientConnectRequest | ClientRequest;
  ticks: number;
}

export interface Queued {
  readonly connection: ConnectionId;
  readonly message: ClientRequest;
  ticks: number;
}

/** `requests` ticks in one request time-out. */
export const TICKS_PER_TIMEOUT = 10;

type Connected = Pick<AgentState, 'clients' | 'config'>;

export function newClients(answers: Answers): ClientsState {
  return {
    connections: new Map(),
    bound: new Map(),
    patient: new Set(),
    proposed: new Map(),
    queue: [],
    answers,
    ticking: false,
  };
}

export function connectionOf(agent: Connected, name: ConnectionId): Connection {
  const { connections } = agent.clients;
  const known = connections.get(name);
  if (known !== undefined) return known;
  const fresh = { name, session: NO_CLIENT, redirected: false, waiting: [], outstanding: 0, ended: false };
  connections.set(name, fresh);
  return fresh;
}

/** One answer less to wait for; a half-closed connection ends with the last. */
export function settle(agent: Connected, out: Outbox, name: ConnectionId): void {
  const connection = agent.clients.connections.get(name);
  if (connection === undefined) return;
  connection.outstanding--;
  closeIfDone(out, connection);
}

/** Ends a request with an Error. */
export function fail(
  agent: Connected,
  out: Outbox,
  name: ConnectionId,
  request: Request,
  code: ErrorCode,
  text: string,
  entry: Entry = entryOf(0),
): void {
  if (!agent.clients.connections.has(name)) return;
  out.reply(name, { type: MessageType.Error, error: errorText(code, text), request, entry });
  settle(agent, out, name);
}

/** Keeps a message until a leader is known. */
export function wait(
  agent: Connected,
  out: Outbox,
  connection: Connection,
  message: ClientConnectRequest | ClientRequest,
): void {
  if (connection.waiting.length >= MAX_REQUESTS_PER_CLIENT) {
    const text = `no leader is known, and ${MAX_REQUESTS_PER_CLIENT} messages of this connection wait already`;
    return refuse(agent, out, connection, message, 'too-many-requests', text);
  }
  connection.waiting.push({ message, ticks: 0 });
  agent.clients.patient.add(connection);
  startTicking(agent, out);
}

/** Ends what waited, request or not, with an Error. */
export function refuse(
  agent: Connected,
  out: Outbox,
  connection: Connection,
  message: ClientConnectRequest | ClientRequest,
  code: ErrorCode,
  text: string,
): void {
  if (message.type === MessageType.ClientConnectRequest) connection.outstanding++;
  fail(agent, out, connection.name, message.request, code, text);
}

export function startTicking(agent: Connected, out: Outbox): void {
  if (agent.clients.ticking) return;
  agent.clients.ticking = true;
  out.setTimer('requests', agent.config.request_timeout_ms / TICKS_PER_TIMEOUT);
}

export function unbind(agent: Connected, connection: Connection): void {
  const { bound } = agent.clients;
  if (bound.get(connection.session) === connection.name) bound.delete(connection.session);
  connection.session = NO_CLIENT;
}

export function onClientEnded(agent: Connected, out: Outbox, name: ConnectionId): void {
  const connection = connectionOf(agent, name);
  connection.ended = true;
  closeIfDone(out, connection);
}

export function closeIfDone(out: Outbox, connection: Connection): void {
  if (connection.ended && connection.outstanding <= 0 && connection.waiting.length === 0) {
    out.close(connection.name);
  }
}

export function onClientClosed(agent: Connected, name: ConnectionId): void {
  const connection = agent.clients.connections.get(name);
  if (connection === undefined) return;
  unbind(agent, connection);
  agent.clients.patient.delete(connection);
  agent.clients.connections.delete(name);
}
