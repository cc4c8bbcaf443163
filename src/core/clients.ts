import { answerFromEntry, answerQuery, awaitEntry } from './answers.js';
import { formatAddress } from './address.js';
import {
  closeIfDone,
  connectionOf,
  fail,
  onClientClosed,
  refuse,
  startTicking,
  TICKS_PER_TIMEOUT,
  unbind,
  wait,
  type Connection,
  type Queued,
} from './connections.js';
import { decreeOf, NO_REQUEST, type Decree, type Request } from './decree.js';
import { knownLeader } from './election.js';
import { errorText, type ErrorCode } from './errors.js';
import {
  entry as entryOf,
  NO_CLIENT,
  type ClientId,
  type ConnectionId,
  type Entry,
  type RequestNumber,
} from './ids.js';
import { fitsDatagram, MAX_REQUESTS_PER_CLIENT, MAX_REQUESTS_QUEUED } from './limits.js';
import {
  CLIENT_IDS_PER_ROUND,
  MessageType,
  roundOfClientId,
  type ClientConnectRequest,
  type ClientRequest,
} from './message.js';
import { mutants } from './mutants.js';
import type { Outbox } from './outbox.js';
import { hasRoom, isSettled, proposeNew, type Reign } from './proposer.js';
import { outranks } from './round.js';
import { isForgotten, recall } from './sessions.js';
import type { AgentState } from './state.js';

/** Clients: sessions, redirects, and the way of a request into the log (spec.md, "Clients"). */

type Serving = AgentState;

export function onClient(
  agent: Serving,
  out: Outbox,
  name: ConnectionId,
  message: ClientConnectRequest | ClientRequest,
): void {
  // What comes back with an entry from the journal has been counted, and may find that its client has left.
  const comesBack = agent.loaded !== undefined;
  if (comesBack && !agent.clients.connections.has(name)) return;
  const connection = connectionOf(agent, name);
  if (message.type === MessageType.ClientRequest) {
    if (!comesBack) connection.outstanding++;
    if (message.request.noset) return answerQuery(agent, out, connection, message);
  }
  if (connection.waiting.length > 0) return wait(agent, out, connection, message);
  handle(agent, out, connection, message);
}

function handle(
  agent: Serving,
  out: Outbox,
  connection: Connection,
  message: ClientConnectRequest | ClientRequest,
): void {
  const { reign } = agent.proposer;
  if (message.type === MessageType.ClientConnectRequest) {
    if (reign !== undefined) connect(agent, out, reign, connection, message);
    else if (knownLeader(agent) === undefined) wait(agent, out, connection, message);
    else redirect(agent, out, connection);
    return;
  }
  if (connection.redirected) return redirectRequest(agent, out, connection, message);
  if (connection.session === NO_CLIENT) {
    const text = 'send a ClientConnectRequest, {"type":11}, first and wait for the ClientConn';
    return fail(agent, out, connection.name, message.request, 'not-connected', text);
  }
  if (reign !== undefined) return onRequest(agent, out, reign, connection, message);
  if (knownLeader(agent) === undefined) return wait(agent, out, connection, message);
  redirectRequest(agent, out, connection, message);
}

/* --- connecting ------------------------------------------------------------------------------------------------ */

function redirect(agent: Serving, out: Outbox, connection: Connection): void {
  const leader = knownLeader(agent);
  const address = leader === undefined ? undefined : agent.config.agents[leader];
  if (address === undefined) return;
  connection.redirected = true;
  unbind(agent, connection);
  const { address: leaderaddress, port: leaderport } = address;
  out.reply(connection.name, { type: MessageType.ClientRedirect, leaderaddress, leaderport });
  closeIfDone(out, connection);
}

function redirectRequest(agent: Serving, out: Outbox, connection: Connection, message: ClientRequest): void {
  connection.redirected = true;
  if (knownLeader(agent) === undefined) return wait(agent, out, connection, message);
  connection.outstanding--;
  redirect(agent, out, connection);
}

function connect(
  agent: Serving,
  out: Outbox,
  reign: Reign,
  connection: Connection,
  message: ClientConnectRequest,
): void {
  const wanted = message.request.id;
  const refusal = wanted === NO_CLIENT ? undefined : whyNotResumed(agent, reign, wanted);
  if (refusal !== undefined) {
    const [code, text] = refusal;
    const request = { ...NO_REQUEST, id: wanted };
    out.reply(connection.name, {
      type: MessageType.Error,
      error: errorText(code, text),
      request,
      entry: entryOf(0),
    });
    return closeIfDone(out, connection);
  }
  const id = wanted === NO_CLIENT ? issueId(reign) : wanted;
  takeOver(agent, out, id, connection);
  unbind(agent, connection);
  connection.session = id;
  connection.redirected = false;
  agent.clients.bound.set(id, connection.name);
  const request: Request = { id, no: 1 as RequestNumber, noset: false };
  out.reply(connection.name, { type: MessageType.ClientConn, request });
  closeIfDone(out, connection);
}

/** Round × 2^16 + k: unique for ever without a write, as the round is spent durably and a reign is never resumed. */
function issueId(reign: Reign): ClientId {
  reign.issued++;
  const round = mutants.sessions_keyed_by_node ? 0 : reign.round;
  return (round * CLIENT_IDS_PER_ROUND + reign.issued) as ClientId;
}

/** Whether the leader has to prepare a new round before it can connect anybody else. */
export function hasSpentIds(reign: Reign): boolean {
  return reign.issued >= CLIENT_IDS_PER_ROUND - 1;
}

function whyNotResumed(agent: Serving, reign: Reign, id: ClientId): [ErrorCode, string] | undefined {
  const issuer = roundOfClientId(id);
  const k = id % CLIENT_IDS_PER_ROUND;
  const isOurs = issuer === reign.round && k <= reign.issued;
  if (k === 0 || outranks(issuer, reign.round) || (issuer === reign.round && !isOurs)) {
    return ['no-such-session', `no leader has issued the id ${id}; connect without an id to get one`];
  }
  if (isForgotten(agent.learner.sessions, id)) {
    return ['session-expired', `session ${id} is forgotten; connect without an id to begin a new one`];
  }
  return undefined;
}

/** The newest connection speaks for a session; the one before it is told so and closed. */
function takeOver(agent: Serving, out: Outbox, id: ClientId, by: Connection): void {
  const { bound } = agent.clients;
  const earlier = bound.get(id);
  if (earlier === undefined || earlier === by.name) return;
  const text = `session ${id} goes on over another connection`;
  const request = { ...NO_REQUEST, id };
  const error = errorText('session-taken-over', text);
  out.reply(earlier, { type: MessageType.Error, error, request, entry: entryOf(0) });
  out.close(earlier);
  onClientClosed(agent, earlier);
}

/* --- requests -------------------------------------------------------------------------------------------------- */

function onRequest(
  agent: Serving,
  out: Outbox,
  reign: Reign,
  connection: Connection,
  message: ClientRequest,
): void {
  const { request } = message;
  if (request.id !== NO_CLIENT && request.id !== connection.session) {
    const text = `this connection speaks for session ${connection.session}, not for ${request.id}`;
    return fail(agent, out, connection.name, request, 'foreign-id', text);
  }
  const own: Request = { id: connection.session, no: request.no, noset: false };
  if (connection.outstanding > MAX_REQUESTS_PER_CLIENT)
    return refuseCrowded(agent, out, reign, connection, own);
  const known = recall(agent.learner.sessions, own.id, own.no);
  if (known.kind === 'executed') return answerFromEntry(agent, out, connection.name, own, known.entry);
  if (known.kind === 'forgotten') {
    const text = `request ${own.no} of session ${own.id} lies too far back to tell whether it was executed`;
    return fail(agent, out, connection.name, own, 'session-expired', text);
  }
  const underWay = agent.clients.proposed.get(own.id)?.get(own.no);
  if (underWay !== undefined) return awaitEntry(agent, out, connection.name, own, underWay);
  if (!fitsDatagram(message.value)) {
    const text = 'the value is larger than a datagram between agents can carry';
    return fail(agent, out, connection.name, own, 'value-too-large', text);
  }
  enqueue(agent, out, reign, {
    connection: connection.name,
    message: { type: message.type, request: own, entry: message.entry, value: message.value },
    ticks: 0,
  });
}

function refuseCrowded(
  agent: Serving,
  out: Outbox,
  reign: Reign,
  connection: Connection,
  request: Request,
): void {
  const isQueued = agent.clients.queue.some(({ message }) => sameRequest(message.request, request));
  const code = isQueued || mayHaveHappened(agent, reign, request) ? 'timeout' : 'too-many-requests';
  const text = `${MAX_REQUESTS_PER_CLIENT} requests of this connection wait already; read their answers, then ask again`;
  fail(agent, out, connection.name, request, code, text);
}

function sameRequest(a: Request, b: Request): boolean {
  return a.id === b.id && a.no === b.no;
}

/**
 * Whether a request that is refused now may all the same have been executed, or be yet: its twin is in the table or
 * under way, or may stand among the entries of earlier reigns that are not folded yet. Then no refusal is definite.
 */
function mayHaveHappened(agent: Serving, reign: Reign, { id, no }: Request): boolean {
  if (recall(agent.learner.sessions, id, no).kind !== 'new') return true;
  if (agent.clients.proposed.get(id)?.has(no) === true) return true;
  return roundOfClientId(id) !== reign.round && agent.learner.committed < reign.gap + reign.inherited.length;
}

/** Ends a request that found no place, by the first of two codes if that end is definite. */
function failQueued(
  agent: Serving,
  out: Outbox,
  reign: Reign | undefined,
  { connection, message: { request } }: Queued,
  [definite, unknown]: [ErrorCode, ErrorCode],
  text: string,
): void {
  const isOpen = reign !== undefined && mayHaveHappened(agent, reign, request);
  fail(agent, out, connection, request, isOpen ? unknown : definite, text);
}

function enqueue(agent: Serving, out: Outbox, reign: Reign, queued: Queued): void {
  const { queue } = agent.clients;
  if (queue.length === 0 && isSettled(reign) && hasRoom(reign))
    return proposeRequest(agent, out, reign, queued);
  if (queue.length >= MAX_REQUESTS_QUEUED) {
    const text = `${MAX_REQUESTS_QUEUED} requests wait for a place in the log already; try again later`;
    return failQueued(agent, out, reign, queued, ['overloaded', 'timeout'], text);
  }
  queue.push(queued);
  startTicking(agent, out);
}

function proposeRequest(agent: Serving, out: Outbox, reign: Reign, queued: Queued): void {
  const { request, value } = queued.message;
  const decree = decreeOf(request, value);
  const entry = proposeNew(agent, out, reign, decree);
  noteProposed(agent, decree, entry);
  awaitEntry(agent, out, queued.connection, request, entry);
}

/** Remembers where a request was proposed, so that asking again proposes nothing twice. */
export function noteProposed(agent: Serving, decree: Decree, entry: Entry): void {
  if (decree.id === NO_CLIENT) return;
  const { proposed } = agent.clients;
  const numbers = proposed.get(decree.id) ?? new Map<RequestNumber, Entry>();
  if (numbers.size === 0) proposed.set(decree.id, numbers);
  if (!numbers.has(decree.no)) numbers.set(decree.no, entry);
}

/** A folded entry needs no such memory: the table has it. */
export function forgetProposed(agent: Serving, decree: Decree): void {
  const { proposed } = agent.clients;
  const numbers = proposed.get(decree.id);
  if (numbers === undefined) return;
  numbers.delete(decree.no);
  if (numbers.size === 0) proposed.delete(decree.id);
}

/** Moves waiting requests into flight as far as there is room. Each is looked at afresh: its twin may have come in. */
export function drainQueue(agent: Serving, out: Outbox): void {
  const { reign } = agent.proposer;
  const { queue, connections } = agent.clients;
  if (reign === undefined || !isSettled(reign)) return;
  let taken = 0;
  while (taken < queue.length && hasRoom(reign)) {
    const queued = queue[taken++];
    const connection = queued === undefined ? undefined : connections.get(queued.connection);
    if (queued === undefined || connection === undefined) continue;
    const { request } = queued.message;
    const known = recall(agent.learner.sessions, request.id, request.no);
    const underWay = agent.clients.proposed.get(request.id)?.get(request.no);
    if (known.kind === 'new' && underWay === undefined) proposeRequest(agent, out, reign, queued);
    else onRequest(agent, out, reign, connection, queued.message);
  }
  if (taken > 0) queue.splice(0, taken);
}

/* --- waiting for a leader, growing old, leaving ---------------------------------------------------------------- */

/** A leader is known now, or this agent leads: what waited goes on, in its order. */
export function releaseWaiting(agent: Serving, out: Outbox): void {
  const { patient } = agent.clients;
  if (patient.size === 0 || knownLeader(agent) === undefined) return;
  for (const connection of [...patient]) {
    while (connection.waiting.length > 0) {
      const { reign } = agent.proposer;
      if (reign !== undefined && hasSpentIds(reign)) return; // the next reign goes on from here
      const next = connection.waiting.shift();
      if (next !== undefined) handle(agent, out, connection, next.message);
    }
    patient.delete(connection);
  }
}

/** Grows what waits for a leader or for a place old; neither was proposed, so their end is definite. */
export function ageUnproposed(agent: Serving, out: Outbox): boolean {
  const { patient, queue } = agent.clients;
  const { reign } = agent.proposer;
  const any = queue.length > 0 || patient.size > 0;
  for (const connection of [...patient]) {
    while ((connection.waiting[0]?.ticks ?? 0) >= TICKS_PER_TIMEOUT) {
      const old = connection.waiting.shift();
      const text = `no leader was elected within ${agent.config.request_timeout_ms} ms; try again`;
      if (old !== undefined) refuse(agent, out, connection, old.message, 'no-leader', text);
    }
    for (const waiting of connection.waiting) waiting.ticks++;
    if (connection.waiting.length === 0) patient.delete(connection);
  }
  while ((queue[0]?.ticks ?? 0) >= TICKS_PER_TIMEOUT) {
    const old = queue.shift();
    const text = `no place in the log within ${agent.config.request_timeout_ms} ms; try again later`;
    if (old !== undefined) failQueued(agent, out, reign, old, ['overloaded', 'timeout'], text);
  }
  for (const queued of queue) queued.ticks++;
  return any;
}

/** The reign is over: what was queued was never proposed, what was proposed may still be chosen. */
export function dropRequests(agent: Serving, out: Outbox, reign: Reign): void {
  const { clients, config } = agent;
  const here = config.agents[config.self];
  const where = here === undefined ? 'this node' : formatAddress(here);
  for (const queued of clients.queue.splice(0)) {
    const text = `${where} stopped leading before it proposed this; connect again`;
    failQueued(agent, out, reign, queued, ['no-leader', 'leadership-lost'], text);
  }
  clients.proposed.clear();
  clients.bound.clear();
  for (const connection of clients.connections.values())
    connection.redirected ||= connection.session !== NO_CLIENT;
}
