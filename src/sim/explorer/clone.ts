import { newAnswers } from '../../core/answers.js';
import { newClients, type ClientsState } from '../../core/connections.js';
import { EntryMap } from '../../core/entry-map.js';
import { EntryPages } from '../../core/entry-pages.js';
import type { LearnerState } from '../../core/learner.js';
import type { Candidate, ProposerState, Reign } from '../../core/proposer.js';
import { newNumbers, type Session, type SessionTable } from '../../core/sessions.js';
import type { AgentState } from '../../core/state.js';

/** Copies an agent so that a step on the copy leaves the original as it was. What never changes in place is shared. */
export function cloneAgent(agent: AgentState): AgentState {
  const { acceptor, catchup } = agent;
  return {
    config: agent.config,
    acceptor: { ...acceptor, accepted: new EntryPages(acceptor.accepted) },
    learner: cloneLearner(agent.learner),
    proposer: cloneProposer(agent.proposer),
    election: { ...agent.election },
    catchup: { ...catchup, heard: new Map(catchup.heard), fruitless: new Set(catchup.fruitless) },
    clients: cloneClients(agent.clients),
    journal: { ...agent.journal },
    seen: agent.seen,
    loaded: agent.loaded,
  };
}

function cloneLearner(learner: LearnerState): LearnerState {
  return {
    ...learner,
    chosen: new EntryPages(learner.chosen),
    sessions: cloneSessions(learner.sessions),
    executed: learner.executed.slice(),
  };
}

function cloneSessions(table: SessionTable): SessionTable {
  const sessions = new Map<Parameters<typeof table.sessions.set>[0], Session>();
  for (const [id, session] of table.sessions)
    sessions.set(id, { ...session, entries: newNumbers(session.entries) });
  return { ...table, sessions };
}

function cloneProposer(proposer: ProposerState): ProposerState {
  return {
    used: proposer.used,
    candidate: proposer.candidate && cloneCandidate(proposer.candidate),
    reign: proposer.reign && cloneReign(proposer.reign),
    own_votes: [...proposer.own_votes],
  };
}

function cloneCandidate(candidate: Candidate): Candidate {
  const reports: Candidate['reports'] = new Map();
  for (const [agent, report] of candidate.reports)
    reports.set(agent, { ...report, values: new Map(report.values) });
  return { ...candidate, reports };
}

function cloneReign(reign: Reign): Reign {
  const in_flight: Reign['in_flight'] = new EntryMap();
  for (const [entry, flight] of reign.in_flight) in_flight.set(entry, { ...flight });
  return { ...reign, in_flight };
}

/** A copy of clients that are there. */
function copyOf(clients: ClientsState): ClientsState {
  const { answers } = clients;
  const pairs = { given: [...answers.given], waiters: [...answers.waiters] };
  const copy = structuredClone({ ...clients, answers: { ...answers, ...pairs } });
  const { given, waiters } = copy.answers;
  return {
    ...copy,
    answers: { ...copy.answers, given: new EntryMap(given), waiters: new EntryMap(waiters) },
  };
}

/** Between two steps of the explorer no client is there, and there is nothing to copy. */
function cloneClients(clients: ClientsState): ClientsState {
  const { connections, bound, proposed, queue, answers, ticking } = clients;
  const held = connections.size + bound.size + proposed.size + queue.length;
  const owed = answers.waiters.size + answers.given.size + answers.answered;
  if (held + owed > 0 || ticking || answers.app !== 'none') return copyOf(clients);
  return newClients(newAnswers(false));
}
