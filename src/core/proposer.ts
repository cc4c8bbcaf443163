import { recordAcceptance, recordPromise, report } from './acceptor.js';
import { decreeOf, NO_OP, NO_REQUEST, sameDecree, type Decree } from './decree.js';
import { EntryMap } from './entry-map.js';
import { entry as entryOf, NO_ROUND, type AgentIndex, type Entry, type Position, type Round } from './ids.js';
import { assertInvariant } from './invariants.js';
import { isKnownChosen, learnChosen } from './learner.js';
import {
  MAX_ENTRIES_IN_FLIGHT,
  MAX_PROMISE_BYTES,
  MAX_RETRANSMITTED_ENTRIES,
  promiseCost,
} from './limits.js';
import { MessageType, type Accepted, type Prepare, type Promise, type RoundValue } from './message.js';
import { mutants } from './mutants.js';
import type { Outbox } from './outbox.js';
import { hasVoter, NOBODY, othersSuffice, outcome, withVoter, type Outcome, type Voters } from './quorum.js';
import { higher, nextOwnRound, outranks, standing } from './round.js';
import type { AgentState } from './state.js';

/** The proposer's half of safety (spec.md, "Candidates and reigns"). It sees neither time nor other leaders. */
export interface ProposerState {
  /** The last round this agent spent, over all its lives; −1 at first. */
  used: Round;
  candidate: Candidate | undefined;
  reign: Reign | undefined;
  /** Own acceptances whose votes count once their position is durable, in order. */
  readonly own_votes: OwnVote[];
}

/** One try to become leader: a round, and what acceptors reported at it. */
export interface Candidate {
  readonly round: Round;
  /** e0: the first entry not known chosen when the try began. */
  readonly first: Entry;
  readonly reports: Map<AgentIndex, Report>;
  /** Agents whose sets are complete. */
  complete: Voters;
  /** Agents that refused on account of a live leader. */
  against: Voters;
  /** Where the own acceptor's promise stands in the journal; it promises last. */
  own_promise: Position | undefined;
  /** Whether anything new arrived since the try timer last looked. */
  progress: boolean;
}

/** What one acceptor reported at the candidate's round. */
export interface Report {
  readonly values: Map<Entry, RoundValue>;
  length: number;
  committed: Entry;
  /** No entry from C up to this one is missing. Never goes back. */
  missing: Entry;
  /** The entry that the last Prepare named, and what the Promises that it drew besides have cost so far. */
  asked: Entry;
  drawn: number;
}

function newReport(asked: Entry): Report {
  return { values: new Map(), length: 0, committed: entryOf(0), missing: asked, asked, drawn: 0 };
}

/** A leader's time at one round; never resumed once over. */
export interface Reign {
  readonly round: Round;
  /** C: entries below it are chosen, and nothing is proposed there; what is lacking of them is fetched. */
  readonly gap: Entry;
  /** What must be proposed again, from `gap` on, and how much of it has been. */
  readonly inherited: readonly Decree[];
  inherited_next: number;
  /** The next entry for a new value. */
  next: Entry;
  readonly in_flight: EntryMap<Flight>;
  /** Session ids issued at this round. */
  issued: number;
  /**
   * Entries chosen or learnt in this reign: a leader that stands still sees it in this. While entries below `gap` are
   * lacking only they count, since nobody is answered without them, however much is chosen above.
   */
  gained: number;
}

/** One proposal on its way; its decree never changes within the reign. */
export interface Flight {
  readonly decree: Decree;
  votes: Voters;
  /** Retransmission ticks it has seen. */
  ticks: number;
}

interface OwnVote {
  readonly position: Position;
  readonly round: Round;
  readonly entry: Entry;
}

export function newProposer(): ProposerState {
  return { used: NO_ROUND, candidate: undefined, reign: undefined, own_votes: [] };
}

type Proposing = Pick<
  AgentState,
  'config' | 'acceptor' | 'learner' | 'proposer' | 'journal' | 'loaded' | 'seen'
>;

/** Spends a new round above all seen and asks every other agent for its promise. */
export function startTry(agent: Proposing, out: Outbox): void {
  const { config, acceptor, learner, proposer } = agent;
  assertInvariant(proposer.reign === undefined && proposer.candidate === undefined, 'one try at a time');
  const seen = higher(higher(agent.seen, acceptor.promised.round), proposer.used);
  const isUnasked = mutants.leader_at_round_zero && seen === NO_ROUND;
  const round = isUnasked ? (0 as Round) : nextOwnRound(config.self, config.agents.length, seen);
  const first = learner.committed;
  proposer.used = round;
  agent.seen = round;
  proposer.candidate = {
    round,
    first,
    reports: new Map(),
    complete: isUnasked ? ((2 ** config.agents.length - 1) as Voters) : NOBODY,
    against: NOBODY,
    own_promise: undefined,
    progress: false,
  };
  out.persist({ verdict: 'used', round, entry: first });
  sendPrepares(agent, out);
  promiseLast(agent, out, proposer.candidate);
}

/** Sends Prepare to everyone whose set is not complete, naming the first entry still missing. */
export function sendPrepares(agent: Proposing, out: Outbox): void {
  const { config, proposer } = agent;
  const { candidate } = proposer;
  if (candidate === undefined) return;
  for (let i = 0; i < config.agents.length; i++) {
    const to = i as AgentIndex;
    if (to === config.self || hasVoter(candidate.complete, to) || hasVoter(candidate.against, to)) continue;
    sendPrepare(out, to, candidate);
  }
}

function sendPrepare(out: Outbox, to: AgentIndex, candidate: Candidate): void {
  const { round, first, reports } = candidate;
  const known = reports.get(to);
  const entry = known === undefined ? first : firstMissing(candidate, known);
  if (known !== undefined) Object.assign(known, { asked: entry, drawn: 0 });
  const prepare: Prepare = { type: MessageType.Prepare, request: NO_REQUEST, entry, round };
  out.send(to, prepare, true);
}

/** C as far as it is known: the highest commit index that anyone reported, or the candidate's own. */
function highestCommitted(candidate: Candidate): Entry {
  let highest = candidate.first;
  for (const { committed } of candidate.reports.values()) if (committed > highest) highest = committed;
  return highest;
}

/** The first entry that a report lacks, from C on: below it nothing will be proposed. `length` when complete. */
function firstMissing(candidate: Candidate, known: Report): Entry {
  let entry = Math.max(highestCommitted(candidate), known.missing);
  while (entry < known.length && known.values.has(entryOf(entry))) entry++;
  known.missing = entryOf(entry);
  return known.missing;
}

function isComplete(candidate: Candidate, known: Report): boolean {
  return mutants.omitted_read_as_none || firstMissing(candidate, known) >= known.length;
}

/** Promise: only for the outstanding round, from a distinct other agent. True if it brought something new. */
export function onPromise(agent: Proposing, out: Outbox, from: AgentIndex, m: Promise): boolean {
  const { candidate } = agent.proposer;
  if (candidate === undefined || (candidate.round !== m.round && !mutants.stale_promise_counted)) {
    out.ignore('stale-promise', 'a Promise is for no outstanding round', { from, round: m.round });
    return false;
  }
  const accepted_here = outranks(m.roundvalue.round, NO_ROUND);
  const reported = candidate.reports.get(from) ?? newReport(candidate.first);
  candidate.reports.set(from, reported);
  const isNew = !reported.values.has(m.entry);
  reported.values.set(m.entry, m.roundvalue);
  const length = Math.max(m.length, accepted_here ? m.entry + 1 : 0);
  reported.length = Math.max(reported.length, mutants.length_read_as_empty ? 0 : length);
  if (m.committed > reported.committed) reported.committed = m.committed;
  if (isNew && m.entry !== reported.asked) reported.drawn += promiseCost(m.roundvalue.value);

  recountComplete(candidate);
  // One Prepare draws no more than this: for the rest of a long tail the next one leaves at once.
  if (reported.drawn >= MAX_PROMISE_BYTES && !hasVoter(candidate.complete, from)) {
    sendPrepare(out, from, candidate);
  }
  candidate.progress ||= isNew;
  promiseLast(agent, out, candidate);
  return isNew;
}

/** Sets become complete when they fill up, and when C rises over their holes. */
function recountComplete(candidate: Candidate): void {
  for (const [agent, known] of candidate.reports) {
    if (isComplete(candidate, known)) candidate.complete = withVoter(candidate.complete, agent);
  }
}

/** The own acceptor promises when a quorum lacks only it, so that a failed try leaves no trace here. */
function promiseLast(agent: Proposing, out: Outbox, candidate: Candidate): void {
  const { config, acceptor, learner } = agent;
  if (candidate.own_promise !== undefined || !othersSuffice(config.agents.length, candidate.complete)) return;
  if (standing(acceptor.promised, candidate.round, config.self) !== 'above') return;
  candidate.own_promise = recordPromise(
    agent,
    out,
    candidate.first,
    candidate.round,
    config.self,
  ) as Position;
  candidate.reports.set(config.self, {
    ...newReport(candidate.first),
    values: ownValues(agent, candidate),
    length: acceptor.length,
    committed: learner.committed,
  });
}

function ownValues(agent: Proposing, candidate: Candidate): Map<Entry, RoundValue> {
  const { acceptor } = agent;
  const values = new Map<Entry, RoundValue>();
  for (let e: number = highestCommitted(candidate); e < acceptor.length; e++) {
    const reported = report(agent, entryOf(e), candidate.round);
    if (reported !== undefined) values.set(entryOf(e), reported);
  }
  return values;
}

/** An agent refuses on account of a live leader: without it there may be no quorum. */
export function countAgainst(candidate: Candidate, agent: AgentIndex): void {
  candidate.against = withVoter(candidate.against, agent);
}

/** Whether a quorum of complete sets is there, the own one durable. */
export function tryOutcome(agent: Proposing): Outcome {
  const { candidate } = agent.proposer;
  if (candidate === undefined) return 'open';
  const own = candidate.own_promise;
  const ownCounts = own !== undefined && (own <= agent.journal.durable || mutants.promise_not_durable);
  const inFavour = ownCounts ? withVoter(candidate.complete, agent.config.self) : candidate.complete;
  const decided = outcome(agent.config.agents.length, inFavour, candidate.against);
  return decided === 'won' && !ownCounts ? 'open' : decided;
}

/** Turns a won try into a reign: what must be proposed again is settled now, once. */
export function beginReign(agent: Proposing): Reign {
  const { proposer } = agent;
  const { candidate } = proposer;
  assertInvariant(candidate !== undefined && tryOutcome(agent) === 'won', 'a reign begins with a quorum');
  const gap = highestCommitted(candidate);
  let length: number = gap;
  for (const known of candidate.reports.values()) {
    length = Math.max(length, known.length);
  }
  const inherited: Decree[] = [];
  for (let e: number = gap; e < length; e++) inherited.push(valueToPropose(candidate, entryOf(e)));
  const reign: Reign = {
    round: candidate.round,
    gap,
    inherited,
    inherited_next: 0,
    next: entryOf(length),
    in_flight: new EntryMap(),
    issued: 0,
    gained: 0,
  };
  proposer.candidate = undefined;
  proposer.reign = reign;
  return reign;
}

/** The value reported at the highest round, or a no-op where none was. */
function valueToPropose(candidate: Candidate, entry: Entry): Decree {
  if (mutants.most_votes_for_highest_round) return mostReported(candidate, entry);
  let best: RoundValue | undefined;
  for (const known of candidate.reports.values()) {
    const reported = known.values.get(entry);
    if (reported === undefined || !outranks(reported.round, NO_ROUND)) continue;
    if (best === undefined || outranks(reported.round, best.round)) best = reported;
  }
  return best === undefined ? NO_OP : decreeOf(best.request, best.value);
}

/** A deliberate mistake: the value that most acceptors report. */
function mostReported(candidate: Candidate, entry: Entry): Decree {
  const counts = new Map<string, { decree: Decree; votes: number }>();
  for (const known of candidate.reports.values()) {
    const reported = known.values.get(entry);
    if (reported === undefined || !outranks(reported.round, NO_ROUND)) continue;
    const decree = decreeOf(reported.request, reported.value);
    const key = JSON.stringify(decree);
    counts.set(key, { decree, votes: (counts.get(key)?.votes ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.votes - a.votes)[0]?.decree ?? NO_OP;
}

/** Proposes what was inherited, as far as there is room in flight. Entries known chosen are passed over. */
export function proposeInherited(agent: Proposing, out: Outbox): void {
  const { reign } = agent.proposer;
  if (reign === undefined) return;
  while (reign.inherited_next < reign.inherited.length && hasRoom(reign)) {
    const entry = entryOf(reign.gap + reign.inherited_next);
    const decree = reign.inherited[reign.inherited_next];
    assertInvariant(decree !== undefined, 'inherited entries have no holes');
    reign.inherited_next++;
    if (!isKnownChosen(agent, entry)) propose(agent, out, reign, entry, decree);
  }
}

/** Whether every inherited entry has been proposed, so that new values may follow. */
export function isSettled(reign: Reign): boolean {
  return reign.inherited_next >= reign.inherited.length;
}

export function hasRoom(reign: Reign): boolean {
  return reign.in_flight.size < MAX_ENTRIES_IN_FLIGHT;
}

/** Proposes a new value at the next entry and returns that entry. The reign must be settled and have room. */
export function proposeNew(agent: Proposing, out: Outbox, reign: Reign, decree: Decree): Entry {
  assertInvariant(isSettled(reign) && hasRoom(reign), 'new values follow the inherited ones');
  // Entries that catch-up found chosen ahead are another leader's: nothing is proposed there.
  while (isKnownChosen(agent, reign.next)) reign.next = entryOf(reign.next + 1);
  const entry = reign.next;
  reign.next = entryOf(entry + 1);
  propose(agent, out, reign, entry, decree);
  return entry;
}

function propose(agent: Proposing, out: Outbox, reign: Reign, entry: Entry, decree: Decree): void {
  assertInvariant(!reign.in_flight.has(entry), 'one value per entry and round', {
    entry,
    round: reign.round,
  });
  reign.in_flight.set(entry, { decree, votes: NOBODY, ticks: 0 });
  const { committed } = agent.learner;
  out.broadcast(acceptRequest(reign.round, entry, decree, committed));
  const { round } = reign;
  const position = recordAcceptance(agent, out, entry, { round, owner: agent.config.self, decree });
  agent.proposer.own_votes.push({ position: position as Position, round, entry });
  const flight = reign.in_flight.get(entry);
  if (mutants.reply_before_fsync && flight) countVote(agent, reign, entry, flight, agent.config.self);
}

function acceptRequest(round: Round, entry: Entry, decree: Decree, committed: Entry) {
  const { id, no, noset, value } = decree;
  return { type: MessageType.AcceptRequest, request: { id, no, noset }, entry, round, value, committed };
}

/** Accepted: counts once per agent, for the very value proposed at the very round. True if the entry is chosen now. */
export function onAccepted(agent: Proposing, out: Outbox, from: AgentIndex, m: Accepted): boolean {
  const { reign } = agent.proposer;
  if (reign?.round !== m.round) {
    out.ignore('stale-accepted', 'an Accepted is for no reign of this agent', { from, round: m.round });
    return false;
  }
  const flight = reign.in_flight.get(m.entry);
  if (flight === undefined) return false; // chosen already
  if (!isDecreeOf(flight.decree, m)) {
    out.note('error', 'accepted-otherwise', 'an Accepted names a value that was not proposed', {
      from,
      entry: m.entry,
      round: m.round,
    });
    return false;
  }
  return countVote(agent, reign, m.entry, flight, from);
}

function isDecreeOf({ id, no, noset, value }: Decree, { request, value: claimed }: Accepted): boolean {
  return id === request.id && no === request.no && noset === request.noset && value === claimed;
}

function countVote(agent: Proposing, reign: Reign, entry: Entry, flight: Flight, voter: AgentIndex): boolean {
  const counted =
    mutants.duplicates_counted && hasVoter(flight.votes, voter) ? nextStranger(flight.votes) : voter;
  flight.votes = withVoter(flight.votes, counted);
  if (outcome(agent.config.agents.length, flight.votes) !== 'won') return false;
  reign.in_flight.delete(entry);
  if (agent.learner.committed >= reign.gap) reign.gained++;
  learnChosen(agent.learner, entry, flight.decree);
  return true;
}

/** A deliberate mistake: the vote of an agent that has not voted. */
function nextStranger(votes: Voters): AgentIndex {
  let agent = 0;
  while (hasVoter(votes, agent as AgentIndex)) agent++;
  return agent as AgentIndex;
}

/** The disk has caught up: own acceptances up to it are votes now. */
export function onDurable(agent: Proposing): void {
  const { proposer, journal } = agent;
  const { own_votes, reign } = proposer;
  let counted = 0;
  for (const vote of own_votes) {
    if (vote.position > journal.durable) break;
    counted++;
    const flight = reign?.in_flight.get(vote.entry);
    if (reign === undefined || flight === undefined || vote.round !== reign.round) continue;
    countVote(agent, reign, vote.entry, flight, agent.config.self);
  }
  if (counted > 0) own_votes.splice(0, counted);
}

/**
 * An entry was learnt from elsewhere. False if this reign proposed something else there: then it is over, before any
 * further notice leaves (spec.md, "Candidates and reigns").
 */
export function agreesWithReign(agent: Pick<AgentState, 'proposer'>, entry: Entry, decree: Decree): boolean {
  const { reign } = agent.proposer;
  if (reign === undefined) return true;
  const flight = reign.in_flight.get(entry);
  if (flight !== undefined && !sameDecree(flight.decree, decree)) return mutants.notice_after_foreign_learn;
  if (flight !== undefined) reign.in_flight.delete(entry);
  reign.gained++;
  return true;
}

/** Sends again what was proposed at least one tick ago and is not chosen: oldest first, alone, to who has not voted. */
export function retransmit(agent: Proposing, out: Outbox): void {
  const { reign } = agent.proposer;
  if (reign === undefined) return;
  let sent = 0;
  for (const [entry, flight] of reign.in_flight) {
    if (sent >= MAX_RETRANSMITTED_ENTRIES) return;
    flight.ticks++;
    if (flight.ticks < 2) continue;
    const message = acceptRequest(reign.round, entry, flight.decree, agent.learner.committed);
    out.broadcast(message, (to) => !hasVoter(flight.votes, to), true);
    sent++;
  }
}

/** Forgets a try; nothing of it was ever promised here. */
export function endTry(agent: Pick<AgentState, 'proposer'>): void {
  agent.proposer.candidate = undefined;
}

/** Ends the reign at once. Its round is spent; what was in flight may be proposed again in a later one. */
export function endReign(agent: Pick<AgentState, 'proposer'>): void {
  agent.proposer.reign = undefined;
  agent.proposer.own_votes.length = 0;
}

/**
 * Whether the own promise has left a try or a reign behind: it is to a higher round, or, where peer lists differ, to
 * another agent that claims the very round of the try.
 */
export function isOvertaken(agent: Pick<AgentState, 'acceptor' | 'config'>, round: Round): boolean {
  const { promised } = agent.acceptor;
  return outranks(promised.round, round) || standing(promised, round, agent.config.self) === 'taken';
}
