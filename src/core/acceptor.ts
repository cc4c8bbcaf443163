import { isFull, keep, type Acceptance, type Acceptances } from './acceptances.js';
import { decreeOf, lengthOf, NO_REQUEST, sameDecree, type Decree } from './decree.js';
import { EntryPages } from './entry-pages.js';
import { entry as entryOf, NO_ROUND, type AgentIndex, type Entry, type Round } from './ids.js';
import { assertInvariant } from './invariants.js';
import { chosenDecree, isKnownChosen, learnChosen, markIfNoticed } from './learner.js';
import { ACCEPT_WINDOW_ENTRIES, fitsDatagram, isShort, MAX_PROMISE_BYTES, promiseCost } from './limits.js';
import { MessageType, type Accepted, type AcceptRequest, type Prepare, type RoundValue } from './message.js';
import { mutants } from './mutants.js';
import type { Outbox } from './outbox.js';
import { justBelow, NOTHING_PROMISED, standing, type Promised } from './round.js';
import type { AgentState } from './state.js';

/** What an acceptor must never forget (spec.md, "Acceptors"). */
export interface AcceptorState extends Acceptances {
  /** One promise for the whole log. Never goes back, over crashes too. */
  promised: Promised;
  /** One more than the last entry ever accepted at. */
  length: number;
}

export function newAcceptor(): AcceptorState {
  return { promised: NOTHING_PROMISED, accepted: new EntryPages(), held_length: 0, length: 0 };
}

type Accepting = Pick<AgentState, 'acceptor' | 'learner' | 'loaded'>;

/** Why an acceptor refuses, to be told by a Nack; or undefined when it has done as asked, or is silent. */
export type Refusal = 'promised-away' | 'can-not-report' | 'other-value';

const NOTHING: RoundValue = { round: NO_ROUND, value: '', request: NO_REQUEST };

/** Prepare: promise, then report (spec.md, "Acceptors"). The entry must be in memory or loaded. */
export function onPrepare(agent: Accepting, out: Outbox, from: AgentIndex, m: Prepare): Refusal | undefined {
  const { acceptor } = agent;
  const stands = standing(acceptor.promised, m.round, from);
  if (stands === 'below' || stands === 'taken') return 'promised-away';
  const first = report(agent, m.entry, m.round);
  if (first === undefined) return 'can-not-report';

  if (stands === 'above') recordPromise(agent, out, m.entry, m.round, from);
  out.persistCommitted();
  sendPromises(agent, out, from, m, first);
  return undefined;
}

/** Raises the promise and writes it down. */
export function recordPromise(
  agent: Accepting,
  out: Outbox,
  entry: Entry,
  r: Round,
  owner: AgentIndex,
): number {
  assertInvariant(standing(agent.acceptor.promised, r, owner) === 'above', 'a promise only rises', {
    round: r,
  });
  agent.acceptor.promised = { round: r, owner };
  return out.persist({ verdict: 'promised', round: r, owner, entry });
}

/**
 * What this acceptor reports of an entry to a proposer at round `r`: its acceptance; or, where it knows another decree
 * chosen or never accepted the chosen one, the chosen decree just below `r`. Undefined if there is no such round.
 */
export function report(agent: Accepting, entry: Entry, r: Round): RoundValue | undefined {
  const acceptance = acceptanceAt(agent, entry);
  const chosen = chosenDecree(agent, entry);
  if (chosen !== undefined && (acceptance === undefined || !sameDecree(acceptance.decree, chosen))) {
    return r > 0 ? roundValue(justBelow(r), chosen) : undefined;
  }
  return acceptance === undefined ? NOTHING : roundValue(acceptance.round, acceptance.decree);
}

function acceptanceAt(agent: Accepting, entry: Entry): { round: Round; decree: Decree } | undefined {
  const { loaded } = agent;
  if (loaded?.entry === entry) return loaded.round === NO_ROUND ? undefined : loaded;
  return agent.acceptor.accepted.get(entry);
}

function roundValue(r: Round, decree: Decree): RoundValue {
  const noset = decree.noset && !mutants.no_op_without_noset;
  return { round: r, value: decree.value, request: { id: decree.id, no: decree.no, noset } };
}

/** Promises for the asked entry, alone and first, then for every entry up to `length`, holes included. */
function sendPromises(agent: Accepting, out: Outbox, to: AgentIndex, m: Prepare, first: RoundValue): void {
  const { acceptor, learner } = agent;
  const length = mutants.promise_for_one_entry ? 0 : acceptor.length;
  const send = (entry: Entry, roundvalue: RoundValue, alone: boolean): void => {
    const { committed } = learner;
    const { request, round } = m;
    out.send(to, { type: MessageType.Promise, request, entry, round, roundvalue, length, committed }, alone);
  };
  send(m.entry, first, true);
  if (mutants.promise_for_one_entry) return;
  let bytes = 0;
  for (let e = Math.max(m.entry, learner.committed); e < length && bytes < MAX_PROMISE_BYTES; e++) {
    if (e === m.entry) continue;
    const reported = report(agent, entryOf(e), m.round);
    if (reported === undefined) return;
    if (mutants.holes_unreported && reported.round === NO_ROUND) continue;
    send(entryOf(e), reported, false);
    bytes += promiseCost(reported.value);
  }
}

/** AcceptRequest: accept and promise in one record, then say so (spec.md, "Acceptors"). */
export function onAcceptRequest(
  agent: Accepting,
  out: Outbox,
  from: AgentIndex,
  m: AcceptRequest,
): Refusal | undefined {
  const { acceptor, learner } = agent;
  const stands = standing(acceptor.promised, m.round, from);
  if (stands === 'below' || stands === 'taken') return 'promised-away';
  if (m.entry >= Math.max(learner.committed, m.committed) + ACCEPT_WINDOW_ENTRIES) {
    out.ignore('beyond-window', 'an AcceptRequest lies too far ahead of what is known chosen', {
      entry: m.entry,
    });
    return undefined;
  }
  const decree = m.unread?.decree ?? decreeOf(m.request, m.value);
  if (!fits(decree)) {
    out.ignore('value-too-large', 'an AcceptRequest carries a value that could not be reported', {
      entry: m.entry,
    });
    return undefined;
  }
  const before = acceptanceAt(agent, m.entry);
  if (before?.round === m.round) {
    if (!sameDecree(before.decree, decree)) return 'other-value';
    // Perhaps the first answer was lost.
    sendAccepted(out, from, m, true);
    return undefined;
  }
  if (before === undefined && m.entry >= learner.committed + ACCEPT_WINDOW_ENTRIES && isFull(acceptor)) {
    // It is fetched like the rest (spec.md, "Limits").
    out.ignore('too-far-behind', 'more was proposed while this agent catches up than it holds in memory', {
      entry: m.entry,
    });
    return undefined;
  }
  if (isKnownChosen(agent, m.entry) && !isChosen(agent, m.entry, decree) && !mutants.accept_over_chosen) {
    out.note('warn', 'chosen-otherwise', 'a deposed leader proposes over an entry that is chosen', {
      entry: m.entry,
      round: m.round,
      from,
    });
    return undefined;
  }
  recordAcceptance(agent, out, m.entry, { round: m.round, owner: from, decree });
  sendAccepted(out, from, m);
  return undefined;
}

/** Whether its value fits a datagram; a short one needn't be read to tell. */
function fits(decree: Decree): boolean {
  return isShort(lengthOf(decree)) || fitsDatagram(decree.value);
}

function isChosen(agent: Accepting, entry: Entry, decree: Decree): boolean {
  const chosen = chosenDecree(agent, entry);
  return chosen !== undefined && sameDecree(chosen, decree);
}

/** Writes an acceptance down and keeps it; what the notice covers is chosen at once. */
export function recordAcceptance(
  agent: Accepting,
  out: Outbox,
  entry: Entry,
  acceptance: Acceptance,
): number {
  const { round, owner, decree } = acceptance;
  const at = out.persist({ verdict: 'accepted', entry, round, owner, decree });
  keepAcceptance(agent, entry, acceptance);
  markIfNoticed(agent, entry);
  if (mutants.commit_at_acceptor) learnChosen(agent.learner, entry, decree);
  return at;
}

/** Puts an acceptance into the state: the promise rises with it. Also how recovery folds the record. */
export function keepAcceptance(agent: Accepting, entry: Entry, acceptance: Acceptance): void {
  const { acceptor, learner } = agent;
  const stands = standing(acceptor.promised, acceptance.round, acceptance.owner);
  assertInvariant(stands === 'above' || stands === 'held', 'nothing is accepted below a promise', { entry });
  if (stands === 'above' && !mutants.accept_without_raising)
    acceptor.promised = { round: acceptance.round, owner: acceptance.owner };
  acceptor.length = Math.max(acceptor.length, entry + 1);
  if (entry >= learner.retained) keep(acceptor, entry, acceptance);
}

function sendAccepted(out: Outbox, to: AgentIndex, m: AcceptRequest, alone = false): void {
  out.send(to, m.unread?.accepted ?? acceptedOf(m), alone);
}

function acceptedOf({ request, entry, round, value }: AcceptRequest): Accepted {
  return { type: MessageType.Accepted, request, entry, round, value };
}

/** What a Nack reports of an entry; "nothing" where there is no acceptance. */
export function acceptedRoundValue(agent: Accepting, entry: Entry): RoundValue {
  const acceptance = acceptanceAt(agent, entry);
  return acceptance === undefined ? NOTHING : roundValue(acceptance.round, acceptance.decree);
}
