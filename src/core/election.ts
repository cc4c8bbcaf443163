import type { AgentIndex, Round } from './ids.js';
import type { Outbox } from './outbox.js';
import type { AgentConfig, AgentState } from './state.js';

/**
 * Liveness: who leads, who stands when (spec.md, "Liveness"). Nothing here is needed for safety, and nothing here can
 * break it: it only decides when a try or a reign begins and ends.
 */
export interface ElectionState {
  /** The agent that this one takes for the leader, from a sign of life or a promise given; never itself. */
  leader: AgentIndex | undefined;
  /** Whether `leader` has shown itself by a Heartbeat or an AcceptRequest: only then are clients sent there. */
  confirmed: boolean;
  /** The round of the last promise that started the leader's time, so that a duplicate does not start it again. */
  promised: Round | undefined;
  /** Tries that failed since there was a live leader; each doubles the wait. */
  failures: number;
  /** Progress ticks in a row at which a leader with work outstanding had nothing new. */
  idle_ticks: number;
  /** What `gained` and `durable` were at the last progress tick. */
  gained: number;
  durable: number;
}

export function newElection(): ElectionState {
  return {
    leader: undefined,
    confirmed: false,
    promised: undefined,
    failures: 0,
    idle_ticks: 0,
    gained: 0,
    durable: 0,
  };
}

type Electing = Pick<AgentState, 'config' | 'election' | 'proposer'>;

/** Ticks without progress after which a leader gives way: two timeouts. */
const PATIENCE_TICKS = 2;

/** Start-up: others may lead already, so one leader timeout is waited for a sign of them. Alone, there are none. */
export function start(agent: Electing, out: Outbox): void {
  if (isAlone(agent.config)) out.setTimer('election', 0);
  else out.setTimer('leader', agent.config.leader_timeout_ms);
}

export function isAlone(config: AgentConfig): boolean {
  return config.agents.length === 1;
}

/** The leader that is alive as far as this agent knows, itself included. */
export function liveLeader(agent: Electing): AgentIndex | undefined {
  return agent.proposer.reign === undefined ? agent.election.leader : agent.config.self;
}

/** The leader to whom clients are sent: one that has shown itself. */
export function knownLeader(agent: Electing): AgentIndex | undefined {
  if (agent.proposer.reign !== undefined) return agent.config.self;
  return agent.election.confirmed ? agent.election.leader : undefined;
}

/** Whether a Prepare above the promise is refused for now: somebody else leads and is alive. */
export function isLoyal(agent: Electing, candidate: AgentIndex): boolean {
  const leader = liveLeader(agent);
  return leader !== undefined && leader !== candidate;
}

/** A Heartbeat or AcceptRequest at a round not below the promise: its sender leads. */
export function onSignOfLife(agent: Electing, out: Outbox, from: AgentIndex): void {
  const { election, config } = agent;
  const isNews = election.leader !== from || !election.confirmed;
  election.leader = from;
  election.confirmed = true;
  election.failures = 0;
  if (isNews) {
    out.clearTimer('election');
    out.push({ type: 'follow', leader: from });
  }
  out.setTimer('leader', config.leader_timeout_ms);
}

/** A promise was given: its proposer gets one leader timeout, once per round, to show itself. */
export function onPromiseGiven(agent: Electing, out: Outbox, to: AgentIndex, round: Round): void {
  const { election, config } = agent;
  if (election.promised === round) return;
  election.promised = round;
  const wasKnown = election.confirmed;
  election.leader = to;
  election.confirmed = false;
  out.clearTimer('election');
  out.setTimer('leader', config.leader_timeout_ms);
  if (wasKnown) out.push({ type: 'follow', leader: undefined });
}

/** The leader's time is up: forget it, and stand after a random wait. */
export function onLeaderSilent(agent: Electing, out: Outbox): void {
  forgetLeader(agent, out);
  scheduleElection(agent, out);
}

export function forgetLeader(agent: Electing, out: Outbox): void {
  const { election } = agent;
  const wasKnown = election.confirmed;
  election.leader = undefined;
  election.confirmed = false;
  out.clearTimer('leader');
  if (wasKnown) out.push({ type: 'follow', leader: undefined });
}

/** A random wait in (0, 200 ms), doubled by every failed try up to 3.2 s. */
export function scheduleElection(agent: Electing, out: Outbox): void {
  const { config, election } = agent;
  if (isAlone(config)) return out.setTimer('election', 0);
  const longest_ms = Math.min(config.election_wait_ms * backOff(election), config.max_election_wait_ms);
  out.setTimer('election', 1, Math.max(1, longest_ms));
}

/** How long a try may last without anything new: two timeouts, grown by the back-off. */
export function scheduleTryEnd(agent: Electing, out: Outbox): void {
  const { config, election } = agent;
  const factor = Math.min(backOff(election), config.max_election_wait_ms / config.election_wait_ms);
  out.setTimer('try', 2 * config.leader_timeout_ms * factor);
}

function backOff(election: ElectionState): number {
  return 2 ** Math.min(election.failures, 16);
}

/** A try failed. It counts towards the back-off unless all that stood in its way was a living leader. */
export function onTryFailed(agent: Electing, out: Outbox, counts: boolean): void {
  if (counts) agent.election.failures++;
  scheduleElection(agent, out);
}

/** A try gave way to a higher one, whose time now runs. It has failed, too: two that overtake each other slow down. */
export function onTryOvertaken(agent: Electing): void {
  agent.election.failures++;
}

export function startReign(agent: Electing, out: Outbox): void {
  const { election, config } = agent;
  forgetLeader(agent, out);
  election.failures = 0;
  election.idle_ticks = 0;
  election.gained = 0;
  out.clearTimer('election');
  if (!isAlone(config)) out.setTimer('progress', config.leader_timeout_ms);
  out.push({ type: 'follow', leader: config.self });
}

/** Whether the leader has gained nothing for two timeouts though work is outstanding, or its disk is silent. */
export function hasStalled(agent: AgentState, hasWork: boolean): 'no-progress' | 'silent-disk' | undefined {
  const { election, proposer, journal } = agent;
  const gained = proposer.reign?.gained ?? 0;
  const diskWaits = journal.appended > journal.durable && journal.durable === election.durable;
  const standsStill = hasWork && gained === election.gained;
  election.gained = gained;
  election.durable = journal.durable;
  election.idle_ticks = diskWaits || standsStill ? election.idle_ticks + 1 : 0;
  if (election.idle_ticks <= PATIENCE_TICKS) return undefined;
  return diskWaits ? 'silent-disk' : 'no-progress';
}
