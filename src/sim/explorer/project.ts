import { newAnswers } from '../../core/answers.js';
import { newCatchup } from '../../core/catchup.js';
import { newClients } from '../../core/connections.js';
import { newElection } from '../../core/election.js';
import { EntryMap } from '../../core/entry-map.js';
import { entry as entryOf, position, type Entry, type Round } from '../../core/ids.js';
import type { RoundValue } from '../../core/message.js';
import type { Candidate, Reign } from '../../core/proposer.js';
import { nextOwnRound } from '../../core/round.js';
import type { AgentState } from '../../core/state.js';
import type { Bounds } from './bounds.js';
import { decreeKey } from './items.js';

/** Progress ticks without progress at which a leader is about to give way (spec.md, "Liveness"). */
const ABOUT_TO_GIVE_WAY = 2;

/** The next round that an agent would stand at. */
export function nextRound(agent: AgentState): Round {
  const { config, seen, acceptor, proposer } = agent;
  const highest = Math.max(seen, acceptor.promised.round, proposer.used) as Round;
  return nextOwnRound(config.self, config.agents.length, highest);
}

/**
 * Brings an agent, between two steps, into the one shape that stands for all that have the same future in the explorer.
 *
 * Time is any time: the live leader is forgotten at once, as if its timer had fired; a leader is always one tick short
 * of giving way. Clients have gone, streams are closed: both come back as actions. Of the rounds seen it keeps the next
 * own one that follows from them. With `sees_disk` false no crash is to come, and nobody asks what the journal says of
 * the commit index.
 */
export function settle(agent: AgentState, bounds: Bounds, sees_disk: boolean): AgentState {
  const { learner, acceptor, proposer, config } = agent;
  const { notice } = learner;
  const isNoticeSpent =
    notice === undefined ||
    notice.round < acceptor.promised.round ||
    notice.committed <= learner.committed ||
    !bounds.learners;
  const beyond = nextOwnRound(config.self, config.agents.length, (bounds.rounds - 1) as Round);
  return {
    config,
    acceptor,
    learner: {
      ...learner,
      recorded: sees_disk ? learner.recorded : learner.committed,
      retained_length: 0,
      notice: isNoticeSpent ? undefined : notice,
      executed: learner.executed.slice(0, (bounds.entries >> 3) + 1),
    },
    proposer: {
      used: proposer.used,
      candidate: proposer.candidate && settleCandidate(proposer.candidate),
      reign: proposer.reign && settleReign(agent, proposer.reign, bounds),
      own_votes: bounds.learners ? proposer.own_votes : [],
    },
    election: { ...newElection(), idle_ticks: ABOUT_TO_GIVE_WAY },
    catchup: newCatchup(),
    clients: newClients(newAnswers(false)),
    journal: agent.journal,
    seen: (Math.min(nextRound(agent), beyond) - 1) as Round,
    loaded: undefined,
  };
}

function settleCandidate(candidate: Candidate): Candidate {
  return { ...candidate, progress: false };
}

/** What was inherited has been proposed at once, as there is room; below the gap only the learner's index matters. */
function settleReign(agent: AgentState, reign: Reign, bounds: Bounds): Reign {
  const { learner } = agent;
  const in_flight: Reign['in_flight'] = new EntryMap();
  for (const [entry, { decree, votes }] of reign.in_flight)
    in_flight.set(entry, { decree, votes: bounds.learners ? votes : (0 as typeof votes), ticks: 0 });
  let { next } = reign;
  while (next < learner.committed || learner.chosen.has(next)) next = entryOf(next + 1);
  return {
    round: reign.round,
    gap: learner.committed < reign.gap ? reign.gap : entryOf(0),
    inherited: [],
    inherited_next: 0,
    next,
    in_flight,
    issued: reign.issued,
    gained: 0,
  };
}

/** Counts journal positions from the last durable one on. */
export function rebase(agent: AgentState): void {
  const { journal, proposer } = agent;
  const durable = journal.durable;
  const { candidate } = proposer;
  if (candidate?.own_promise !== undefined) {
    candidate.own_promise = position(Math.max(0, candidate.own_promise - durable));
  }
  const votes = proposer.own_votes.map((vote) => ({ ...vote, position: position(vote.position - durable) }));
  proposer.own_votes.splice(0, votes.length, ...votes);
  journal.appended = position(journal.appended - durable);
  journal.durable = position(0);
}

/** A text that two settled agents share exactly if they are in the same state. */
export function stateKey(agent: AgentState): string {
  const { acceptor, learner, proposer, journal } = agent;
  const { promised } = acceptor;
  const parts: (string | number)[] = [
    `${promised.round}/${promised.owner ?? ''}/${acceptor.length}`,
    byEntry(acceptor.accepted, ({ round, owner, decree }) => `${round}/${owner}/${decreeKey(decree)}`),
    `${learner.committed}/${learner.recorded}`,
    byEntry(learner.chosen, decreeKey),
    learner.notice === undefined
      ? ''
      : `${learner.notice.round}/${learner.notice.from}/${learner.notice.committed}`,
    `${proposer.used}/${agent.seen}/${journal.appended - journal.durable}`,
    candidateKey(proposer.candidate),
    reignKey(proposer.reign),
    proposer.own_votes.map((vote) => `${vote.position}/${vote.round}/${vote.entry}`).join(),
  ];
  return parts.join('|');
}

function byEntry<T>(map: Iterable<readonly [Entry, T]>, show: (value: T) => string): string {
  const shown = [...map].sort(([a], [b]) => a - b).map(([entry, value]) => `${entry}:${show(value)}`);
  return shown.join();
}

function roundValueKey({ round, value, request }: RoundValue): string {
  return round < 0 ? '-' : `${round}/${decreeKey({ ...request, value })}`;
}

function candidateKey(candidate: Candidate | undefined): string {
  if (candidate === undefined) return '';
  const { round, first, reports, complete, against, own_promise } = candidate;
  const shown = [...reports]
    .sort(([a], [b]) => a - b)
    .map(([who, { values, length, committed }]) => {
      return `${who}(${byEntry(values, roundValueKey)};${length};${committed})`;
    });
  return `${round}/${first}/${complete}/${against}/${own_promise ?? ''}/${shown.join()}`;
}

function reignKey(reign: Reign | undefined): string {
  if (reign === undefined) return '';
  const { round, gap, next, in_flight, issued } = reign;
  const flights = byEntry(in_flight, ({ decree, votes }) => `${decreeKey(decree)}/${votes}`);
  return `${round}/${gap}/${next}/${issued}/${flights}`;
}
