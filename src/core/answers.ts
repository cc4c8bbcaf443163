import type { Request } from './decree.js';
import { EntryMap } from './entry-map.js';
import { entry as entryOf, type ConnectionId, type Entry } from './ids.js';
import { chosenDecree, isCommitted, mustBeLoaded, type Folded } from './learner.js';
import { ANSWER_OVERHEAD_LENGTH, MAX_REQUESTS_PER_CLIENT, RETAINED_ANSWER_LENGTH } from './limits.js';
import { MessageType, type ClientRequest } from './message.js';
import { fail, settle, startTicking, TICKS_PER_TIMEOUT, type Connection } from './connections.js';
import { mutants } from './mutants.js';
import type { Outbox } from './outbox.js';
import type { AgentState } from './state.js';

/** Answers on their way out (spec.md, "Clients" and "Applications"). A cache: a restart or a lost reign clears it. */
export interface Answers {
  /** Who waits for the answer of an entry: first until it is folded, then until the application has answered. */
  readonly waiters: EntryMap<Waiter[]>;
  /** The application's answers, oldest first; undefined: too large to be passed on. */
  readonly given: EntryMap<string | undefined>;
  /** Total length of `given`, each with its overhead. */
  given_length: number;
  /** No entry of `given` lies below this. */
  given_from: Entry;
  /**
   * Entries below this have been answered by the application that is attached now, or was the last to be, or it asked
   * for the log only from behind them on and never answers them.
   */
  answered: Entry;
  /** `none`: values are their own answers. `attached`: it answers. `expected`: it is coming, or coming back. */
  app: 'none' | 'attached' | 'expected';
}

export interface Waiter {
  readonly connection: ConnectionId;
  readonly request: Request;
  ticks: number;
}

/** Room for all answers that are ever kept, the shortest ones. */
const MAX_GIVEN_SLOTS = 2 ** Math.ceil(Math.log2(RETAINED_ANSWER_LENGTH / ANSWER_OVERHEAD_LENGTH));

export function newAnswers(has_app: boolean): Answers {
  return {
    waiters: new EntryMap(),
    given: new EntryMap([], MAX_GIVEN_SLOTS),
    given_length: 0,
    given_from: entryOf(0),
    answered: entryOf(0),
    app: has_app ? 'expected' : 'none',
  };
}

type Answering = AgentState;

function respond(
  agent: Answering,
  out: Outbox,
  name: ConnectionId,
  request: Request,
  entry: Entry,
  value: string,
): void {
  if (!agent.clients.connections.has(name)) return;
  out.reply(name, { type: MessageType.ClientResponse, request, entry, value });
  settle(agent, out, name);
}

/** Waits for an entry to be chosen, folded and answered. */
export function awaitEntry(
  agent: Answering,
  out: Outbox,
  connection: ConnectionId,
  request: Request,
  entry: Entry,
): void {
  const { waiters } = agent.clients.answers;
  const waiter = { connection, request, ticks: 0 };
  const others = waiters.get(entry);
  if (others === undefined) waiters.set(entry, [waiter]);
  else others.push(waiter);
  startTicking(agent, out);
}

/** A query: one chosen entry's value, from the log, by any node, leader or not. Nothing accepted-only is ever told. */
export function answerQuery(
  agent: Answering,
  out: Outbox,
  connection: Connection,
  message: ClientRequest,
): void {
  const { request, entry } = message;
  const accepted = agent.acceptor.accepted.get(entry);
  if (mutants.query_from_accepted && accepted !== undefined) {
    return respond(agent, out, connection.name, request, entry, accepted.decree.value);
  }
  if (!isCommitted(agent, entry)) {
    const text = `entry ${entry} is not known to be chosen here; ${agent.learner.committed} entries are`;
    return fail(agent, out, connection.name, request, 'not-known-chosen', text, entry);
  }
  if (mustBeLoaded(agent, entry) && connection.outstanding > MAX_REQUESTS_PER_CLIENT) {
    const text = `${MAX_REQUESTS_PER_CLIENT} requests of this connection wait already; read their answers first`;
    return fail(agent, out, connection.name, request, 'too-many-requests', text, entry);
  }
  withDecree(agent, out, entry, { connection: connection.name, message }, (value) => {
    respond(agent, out, connection.name, request, entry, value);
  });
}

/** Hands on the value of a committed entry, after a look into the journal if need be. */
function withDecree(
  agent: Answering,
  out: Outbox,
  entry: Entry,
  asked: { connection: ConnectionId; message: ClientRequest },
  act: (value: string) => void,
): void {
  if (mustBeLoaded(agent, entry)) {
    out.push({ type: 'load', entry, retry: { type: 'client', ...asked } });
    return;
  }
  const decree = chosenDecree(agent, entry);
  if (decree !== undefined) act(decree.value);
}

/** The first answer of an executed request, for whoever asks for it again. */
export function answerFromEntry(
  agent: Answering,
  out: Outbox,
  connection: ConnectionId,
  request: Request,
  entry: Entry,
): void {
  const { answers } = agent.clients;
  if (answers.given.has(entry)) {
    return tellAnswer(agent, out, connection, request, entry, answers.given.get(entry));
  }
  if (entry < answers.answered) {
    const text = `request ${request.no} was executed at entry ${entry}; its answer is no longer kept`;
    return fail(agent, out, connection, request, 'answer-forgotten', text, entry);
  }
  if (answers.app === 'none') {
    const message: ClientRequest = { type: MessageType.ClientRequest, request, entry, value: '' };
    return withDecree(agent, out, entry, { connection, message }, (value) => {
      respond(agent, out, connection, request, entry, value);
    });
  }
  awaitEntry(agent, out, connection, request, entry);
}

function tellAnswer(
  agent: Answering,
  out: Outbox,
  connection: ConnectionId,
  request: Request,
  entry: Entry,
  value: string | undefined,
): void {
  if (value !== undefined) return respond(agent, out, connection, request, entry, value);
  const text = `the request was executed at entry ${entry}; the application's answer is too large to be sent`;
  fail(agent, out, connection, request, 'answer-too-large', text, entry);
}

/** A deliberate mistake: who waits for a chosen entry is answered though an earlier one is missing. */
export function answerTooEarly(agent: Answering, out: Outbox): void {
  for (const [entry, waiters] of [...agent.clients.answers.waiters]) {
    const decree = chosenDecree(agent, entry);
    if (decree === undefined) continue;
    agent.clients.answers.waiters.delete(entry);
    for (const { connection, request } of waiters)
      respond(agent, out, connection, request, entry, decree.value);
  }
}

/** An entry is folded: those who wait for it get the value, or go on waiting for the application. */
export function onFolded(agent: Answering, out: Outbox, folded: Folded): void {
  const { entry, decree, verdict } = folded;
  const { answers } = agent.clients;
  const waiters = answers.waiters.get(entry);
  if (waiters === undefined) return;
  if (verdict.kind === 'new' && answers.app !== 'none' && entry >= answers.answered) return;
  answers.waiters.delete(entry);
  for (const { connection, request } of waiters) {
    switch (verdict.kind) {
      case 'new':
        if (answers.app === 'none') respond(agent, out, connection, request, entry, decree.value);
        else answerFromEntry(agent, out, connection, request, entry);
        break;
      case 'executed':
        answerFromEntry(agent, out, connection, request, verdict.entry);
        break;
      case 'forgotten':
      case 'no-op': {
        const text = `request ${request.no} came too late to be told from an earlier one; it was not executed now`;
        fail(agent, out, connection, request, 'session-expired', text, entry);
      }
    }
  }
}

function lengthKept(answer: string | undefined): number {
  return ANSWER_OVERHEAD_LENGTH + (answer?.length ?? 0);
}

/** The application answered an entry. Answers are kept for those who ask again, up to a bound. */
export function onAppResponse(agent: Answering, out: Outbox, entry: Entry, value: string | undefined): void {
  const { answers } = agent.clients;
  if (answers.app !== 'attached') return;
  if (answers.given.has(entry)) return; // the first one stands
  answers.answered = entryOf(Math.max(answers.answered, entry + 1));
  answers.given.set(entry, value);
  answers.given_length += lengthKept(value);
  const waiters = answers.waiters.get(entry) ?? [];
  answers.waiters.delete(entry);
  for (const { connection, request } of waiters) tellAnswer(agent, out, connection, request, entry, value);
  dropOldAnswers(answers, entry);
}

/** Keeps `given` in its bound. */
function dropOldAnswers(answers: Answers, latest: Entry): void {
  if (answers.given.size === 1) answers.given_from = latest;
  answers.given_from = entryOf(Math.min(answers.given_from, latest));
  while (answers.given_length > RETAINED_ANSWER_LENGTH && answers.given_from <= latest) {
    const old = answers.given_from;
    answers.given_from = entryOf(old + 1);
    if (!answers.given.has(old)) continue;
    answers.given_length -= lengthKept(answers.given.get(old));
    answers.given.delete(old);
  }
}

/** An application will answer from `first` on. Who waits for an entry before that is told that nobody answers it. */
export function onAppAttached(agent: Answering, out: Outbox, first: Entry): void {
  const { answers } = agent.clients;
  answers.app = 'attached';
  clearAnswers(agent);
  answers.answered = first;
  for (const [entry, waiters] of [...answers.waiters]) {
    if (entry >= first || !isCommitted(agent, entry)) continue;
    answers.waiters.delete(entry);
    for (const { connection, request } of waiters) answerFromEntry(agent, out, connection, request, entry);
  }
}

/**
 * The application left. If none is coming back, nobody can say what those who wait would have been answered; but what
 * it has answered stays the answer, since a request's value would be a second one.
 */
export function onAppDetached(agent: Answering, out: Outbox, expected: boolean): void {
  const { answers } = agent.clients;
  answers.app = expected ? 'expected' : 'none';
  if (expected) return clearAnswers(agent);
  for (const [entry, waiters] of [...answers.waiters]) {
    if (!isCommitted(agent, entry)) continue;
    answers.waiters.delete(entry);
    for (const { connection, request } of waiters) {
      fail(agent, out, connection, request, 'app-left', 'the application left before it answered', entry);
    }
  }
}

function clearAnswers(agent: Answering): void {
  const { answers } = agent.clients;
  answers.given.clear();
  answers.given_length = 0;
  answers.answered = entryOf(0);
}

/** The reign is over: what was proposed may still be chosen, here or by another leader. */
export function dropWaiters(agent: Answering, out: Outbox): void {
  const { answers } = agent.clients;
  const all = [...answers.waiters.values()].flat();
  answers.waiters.clear();
  const text = 'this node lost its leadership; ask the new leader again with the same id and no';
  for (const { connection, request } of all) {
    fail(agent, out, connection, request, 'leadership-lost', text);
  }
}

/** Grows waiting requests old. What was proposed may still happen, so their end is unknown. */
export function ageWaiters(agent: Answering, out: Outbox): boolean {
  const { waiters } = agent.clients.answers;
  const any = waiters.size > 0;
  for (const [entry, list] of [...waiters]) {
    const old = list.filter((waiter) => waiter.ticks++ >= TICKS_PER_TIMEOUT);
    if (old.length === 0) continue;
    const young = list.filter((waiter) => !old.includes(waiter));
    if (young.length > 0) waiters.set(entry, young);
    else waiters.delete(entry);
    for (const { connection, request } of old) {
      const text = `no answer within ${agent.config.request_timeout_ms} ms; ask again with the same id and no`;
      fail(agent, out, connection, request, 'timeout', text);
    }
  }
  return any;
}
