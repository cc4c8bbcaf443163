import { newAcceptor, onAcceptRequest, onPrepare } from './acceptor.js';
import {
  ageWaiters,
  answerTooEarly,
  dropWaiters,
  newAnswers,
  onAppAttached,
  onAppDetached,
  onAppResponse,
  onFolded,
} from './answers.js';
import * as catchup from './catchup.js';
import {
  ageUnproposed,
  drainQueue,
  dropRequests,
  forgetProposed,
  hasSpentIds,
  noteProposed,
  onClient,
  releaseWaiting,
} from './clients.js';
import { newClients, onClientClosed, onClientEnded, startTicking } from './connections.js';
import type { Effect } from './effect.js';
import * as election from './election.js';
import type { Event, TimerName } from './event.js';
import { position, type AgentIndex, type Round } from './ids.js';
import { checkEffects, checkProgress, checkState, watermarks } from './invariants.js';
import { advance, evict, mustBeLoaded, newLearner, onNotice } from './learner.js';
import {
  MessageType,
  type AcceptRequest,
  type Heartbeat,
  type Nack,
  type PeerMessage,
  type Prepare,
  type Promise,
} from './message.js';
import { mutants } from './mutants.js';
import { sendNack } from './nack.js';
import { Outbox } from './outbox.js';
import * as proposer from './proposer.js';
import { higher, isPlausible, outranks, standing } from './round.js';
import type { AgentConfig, AgentState } from './state.js';

/** An agent with an empty log. Recovery folds the journal's records into it with `recover` before `start`. */
export function newAgent(config: AgentConfig): AgentState {
  return {
    config,
    acceptor: newAcceptor(),
    learner: newLearner(),
    proposer: proposer.newProposer(),
    election: election.newElection(),
    catchup: catchup.newCatchup(),
    clients: newClients(newAnswers(config.has_app)),
    journal: { appended: position(0), durable: position(0) },
    seen: -1 as Round,
    loaded: undefined,
  };
}

/**
 * The protocol as a function: takes an event, changes the state, returns what is to be done, in order. Throws an
 * `InvariantError` if the program itself is wrong; then nothing of the step may leave the agent.
 */
export function step(agent: AgentState, event: Event): Effect[] {
  const before = watermarks(agent);
  const committed = agent.learner.committed;
  const out = new Outbox(agent);
  handle(agent, out, event);
  follow(agent, out);
  if (agent.learner.committed !== committed) {
    out.push({ type: 'committed', committed: agent.learner.committed });
  }
  evict(agent);
  checkState(agent);
  checkProgress(before, watermarks(agent));
  checkEffects(out.effects);
  return out.effects;
}

function handle(agent: AgentState, out: Outbox, event: Event): void {
  switch (event.type) {
    case 'start':
      return election.start(agent, out);
    case 'message':
      return onMessage(agent, out, event);
    case 'durable':
      agent.journal.durable = event.position;
      return proposer.onDurable(agent);
    case 'timer':
      return onTimer(agent, out, event.timer);
    case 'fetched':
      if (!catchup.onFetched(agent, out, event.peer, event.entry, event.decrees)) {
        abdicate(agent, out, 'an entry that it proposed is chosen otherwise');
        election.scheduleElection(agent, out);
      }
      if (agent.proposer.candidate !== undefined) agent.proposer.candidate.progress = true;
      return;
    case 'fetch-ended':
      return catchup.onFetchEnded(agent, out, event.peer, event.reason);
    case 'client':
      return onClient(agent, out, event.connection, event.message);
    case 'client-ended':
      return onClientEnded(agent, out, event.connection);
    case 'client-closed':
      return onClientClosed(agent, event.connection);
    case 'app-attached':
      return onAppAttached(agent, out, event.first);
    case 'app-detached':
      return onAppDetached(agent, out, event.expected);
    case 'app-response':
      return onAppResponse(agent, out, event.entry, event.value);
    case 'several':
      for (const one of event.events) handle(agent, out, one);
      return;
    case 'loaded':
      agent.loaded = event.stored;
      handle(agent, out, event.retry);
      agent.loaded = undefined;
  }
}

/* --- messages of other agents ---------------------------------------------------------------------------------- */

function onMessage(agent: AgentState, out: Outbox, event: Event & { type: 'message' }): void {
  const { from, message } = event;
  if (!isPlausible(message.round, agent.acceptor.promised)) {
    return out.ignore('implausible-round', 'a round lies too far ahead', { from, round: message.round });
  }
  agent.seen = higher(agent.seen, message.round);
  const asksAcceptor = message.type === MessageType.Prepare || message.type === MessageType.AcceptRequest;
  if (asksAcceptor && mustBeLoaded(agent, message.entry)) {
    return out.push({ type: 'load', entry: message.entry, retry: event });
  }
  dispatch(agent, out, from, message);
}

function dispatch(agent: AgentState, out: Outbox, from: AgentIndex, message: PeerMessage): void {
  switch (message.type) {
    case MessageType.Prepare:
      return receivePrepare(agent, out, from, message);
    case MessageType.Promise:
      return receivePromise(agent, out, from, message);
    case MessageType.Nack:
      return receiveNack(agent, out, from, message);
    case MessageType.AcceptRequest:
      return receiveAcceptRequest(agent, out, from, message);
    case MessageType.Accepted:
      proposer.onAccepted(agent, out, from, message);
      return;
    case MessageType.Heartbeat:
      return receiveHeartbeat(agent, out, from, message);
  }
}

function receivePrepare(agent: AgentState, out: Outbox, from: AgentIndex, m: Prepare): void {
  const isNew = standing(agent.acceptor.promised, m.round, from) === 'above';
  if (isNew && election.isLoyal(agent, from)) return sendNack(agent, out, from, m);
  const { candidate } = agent.proposer;
  if (isNew && candidate !== undefined && outranks(candidate.round, m.round)) {
    return out.ignore('outranked-prepare', 'a candidate does not promise below its own round', { from });
  }
  if (onPrepare(agent, out, from, m) !== undefined) return sendNack(agent, out, from, m);
  if (isNew) election.onPromiseGiven(agent, out, from, m.round);
}

function receivePromise(agent: AgentState, out: Outbox, from: AgentIndex, m: Promise): void {
  proposer.onPromise(agent, out, from, m);
  catchup.hear(agent, out, from, m.committed);
}

/** Only a Nack for the outstanding round counts; one without `promised` means nothing beyond naming a leader. */
function receiveNack(agent: AgentState, out: Outbox, from: AgentIndex, m: Nack): void {
  const { candidate, reign } = agent.proposer;
  const outstanding = candidate?.round ?? reign?.round;
  if (outstanding !== m.round || !isPlausible(m.promised, agent.acceptor.promised)) {
    return out.ignore('stale-nack', 'a Nack is for no outstanding round', { from, round: m.round });
  }
  agent.seen = higher(agent.seen, m.promised);
  const { address, port } = agent.config.agents[agent.config.self] ?? { address: '', port: '' };
  const namesOther = m.leaderaddress !== '' && !(m.leaderaddress === address && m.leaderport === port);
  if (outranks(m.promised, m.round)) {
    if (reign !== undefined) return onDeposed(agent, out, namesOther);
    return failTry(agent, out, true);
  }
  if (candidate === undefined || !namesOther) return;
  proposer.countAgainst(candidate, from);
}

/** Told of a higher promise: if nobody is said to lead there, prepare above it at once; else wait for that leader. */
function onDeposed(agent: AgentState, out: Outbox, namesOther: boolean): void {
  abdicate(agent, out, 'another agent has promised a higher round');
  if (namesOther) out.setTimer('leader', agent.config.leader_timeout_ms);
  else stand(agent, out);
}

function receiveAcceptRequest(agent: AgentState, out: Outbox, from: AgentIndex, m: AcceptRequest): void {
  const refusal = onAcceptRequest(agent, out, from, m);
  if (refusal === 'other-value') {
    out.note(
      'error',
      'two-values-at-one-round',
      'an AcceptRequest differs from the one accepted at its round',
      {
        from,
        entry: m.entry,
        round: m.round,
      },
    );
  }
  if (refusal !== undefined) return sendNack(agent, out, from, m);
  onLeaderAlive(agent, out, from, m);
}

function receiveHeartbeat(agent: AgentState, out: Outbox, from: AgentIndex, m: Heartbeat): void {
  const sender = agent.config.agents[from];
  if (sender?.address !== m.leaderaddress || sender.port !== m.leaderport) {
    return out.ignore('foreign-heartbeat', 'a Heartbeat names a leader other than its sender', { from });
  }
  const { promised } = agent.acceptor;
  switch (standing(promised, m.round, from)) {
    case 'below':
      // A literal peer sends no round; from the owner of the promise its Heartbeat counts all the same.
      if (m.round === 0 && promised.owner === from) return leaderSeen(agent, out, from);
      return sendNack(agent, out, from, m);
    case 'taken':
      return out.ignore('foreign-heartbeat', 'a Heartbeat is at a round promised to another agent', { from });
    case 'above':
    case 'held':
      return onLeaderAlive(agent, out, from, m);
  }
}

/** A Heartbeat or AcceptRequest at a round not below the promise: its sender leads, and says what is chosen. */
function onLeaderAlive(agent: AgentState, out: Outbox, from: AgentIndex, m: AcceptRequest | Heartbeat): void {
  leaderSeen(agent, out, from);
  onNotice(agent, out, { round: m.round, from, committed: m.committed });
  if (m.committed > 0) catchup.hear(agent, out, from, m.committed);
}

function leaderSeen(agent: AgentState, out: Outbox, from: AgentIndex): void {
  if (agent.proposer.reign !== undefined) abdicate(agent, out, 'another agent leads at a higher round');
  if (agent.proposer.candidate !== undefined) dropTry(agent, out);
  election.onSignOfLife(agent, out, from);
}

/* --- tries and reigns ------------------------------------------------------------------------------------------ */

function stand(agent: AgentState, out: Outbox): void {
  if (agent.proposer.reign !== undefined || agent.proposer.candidate !== undefined) return;
  proposer.startTry(agent, out);
  election.scheduleTryEnd(agent, out);
  if (!election.isAlone(agent.config)) out.setTimer('prepare', agent.config.retransmit_ms);
  out.note('info', 'standing', 'asks for promises', { round: agent.proposer.used });
}

function dropTry(agent: AgentState, out: Outbox): void {
  proposer.endTry(agent);
  out.clearTimer('try');
  out.clearTimer('prepare');
}

function failTry(agent: AgentState, out: Outbox, counts: boolean): void {
  dropTry(agent, out);
  election.onTryFailed(agent, out, counts);
}

function beginReign(agent: AgentState, out: Outbox): void {
  const reign = proposer.beginReign(agent);
  out.clearTimer('try');
  out.clearTimer('prepare');
  out.push({ type: 'reign', round: reign.round });
  out.note('info', 'leading', 'leads from now on', {
    round: reign.round,
    committed: agent.learner.committed,
    gap: reign.gap,
    inherited: reign.inherited.length,
  });
  election.startReign(agent, out);
  beat(agent, out);
  reign.inherited.forEach((decree, i) => noteProposed(agent, decree, (reign.gap + i) as typeof reign.gap));
  if (!election.isAlone(agent.config)) out.setTimer('accept', agent.config.retransmit_ms);
  catchup.startFetch(agent, out);
}

function abdicate(agent: AgentState, out: Outbox, reason: string): void {
  const { reign } = agent.proposer;
  if (reign === undefined) return;
  proposer.endReign(agent);
  for (const timer of ['heartbeat', 'accept', 'progress'] as const) out.clearTimer(timer);
  out.push({ type: 'abdicate', round: reign.round, reason });
  out.push({ type: 'follow', leader: undefined });
  dropWaiters(agent, out);
  dropRequests(agent, out, reign);
}

function beat(agent: AgentState, out: Outbox): void {
  const { config, proposer: state, learner } = agent;
  const here = config.agents[config.self];
  if (state.reign === undefined || here === undefined || election.isAlone(config)) return;
  const { address: leaderaddress, port: leaderport } = here;
  const { round } = state.reign;
  const { committed } = learner;
  out.broadcast({ type: MessageType.Heartbeat, leaderaddress, leaderport, round, committed });
  out.setTimer('heartbeat', config.heartbeat_ms);
}

/* --- timers ---------------------------------------------------------------------------------------------------- */

function onTimer(agent: AgentState, out: Outbox, timer: TimerName): void {
  switch (timer) {
    case 'leader':
      if (agent.proposer.reign !== undefined || agent.proposer.candidate !== undefined) return;
      return election.onLeaderSilent(agent, out);
    case 'election':
      if (election.liveLeader(agent) === undefined) stand(agent, out);
      return;
    case 'try':
      return onTryTimer(agent, out);
    case 'prepare':
      if (agent.proposer.candidate === undefined) return;
      proposer.sendPrepares(agent, out);
      return out.setTimer('prepare', agent.config.retransmit_ms);
    case 'accept':
      if (agent.proposer.reign === undefined) return;
      proposer.retransmit(agent, out);
      return out.setTimer('accept', agent.config.retransmit_ms);
    case 'heartbeat':
      return beat(agent, out);
    case 'progress':
      return onProgressTimer(agent, out);
    case 'catch-up':
      return catchup.onCatchUpTimer(agent, out);
    case 'requests':
      return onRequestsTimer(agent, out);
  }
}

function onTryTimer(agent: AgentState, out: Outbox): void {
  const { candidate } = agent.proposer;
  if (candidate === undefined) return;
  if (!candidate.progress) return failTry(agent, out, true);
  candidate.progress = false;
  election.scheduleTryEnd(agent, out);
}

/** The leader looks at itself: standing still for two timeouts, it gives way; lacking only old entries, it asks anew. */
function onProgressTimer(agent: AgentState, out: Outbox): void {
  const { reign } = agent.proposer;
  if (reign === undefined) return;
  const lacks = agent.learner.committed < reign.gap;
  const hasWork = lacks || reign.in_flight.size > 0 || !proposer.isSettled(reign);
  const stalled = election.hasStalled(agent, hasWork);
  if (stalled === undefined) return out.setTimer('progress', agent.config.leader_timeout_ms);
  const onlyLacks = lacks && stalled === 'no-progress' && reign.in_flight.size === 0;
  abdicate(agent, out, stalled === 'silent-disk' ? 'its disk is silent' : 'nothing it proposed was chosen');
  if (onlyLacks) stand(agent, out);
  else out.setTimer('leader', agent.config.leader_timeout_ms);
}

function onRequestsTimer(agent: AgentState, out: Outbox): void {
  agent.clients.ticking = false;
  const unproposed = ageUnproposed(agent, out);
  const waiters = ageWaiters(agent, out);
  if (unproposed || waiters) startTicking(agent, out);
}

/* --- what follows from any event ------------------------------------------------------------------------------- */

/** Consequences that no single handler owns: overtaken tries and reigns, the commit index, the next proposals. */
function follow(agent: AgentState, out: Outbox): void {
  const { proposer: state } = agent;
  if (state.candidate && proposer.isOvertaken(agent, state.candidate.round)) {
    dropTry(agent, out);
    election.onTryOvertaken(agent);
  }
  if (state.reign && proposer.isOvertaken(agent, state.reign.round)) {
    abdicate(agent, out, 'its own acceptor has promised a higher round');
  }
  const decided = proposer.tryOutcome(agent);
  if (decided === 'won') beginReign(agent, out);
  else if (decided === 'lost') failTry(agent, out, false);

  proposer.proposeInherited(agent, out);
  if (mutants.response_before_earlier) answerTooEarly(agent, out);
  for (const folded of advance(agent.learner)) {
    forgetProposed(agent, folded.decree);
    onFolded(agent, out, folded);
  }
  catchup.settleFetch(agent, out);
  drainQueue(agent, out);
  releaseWaiting(agent, out);
  if (state.reign !== undefined && hasSpentIds(state.reign)) {
    abdicate(agent, out, 'its session ids are spent');
    stand(agent, out);
  }
}

export { recover } from './recovery.js';
