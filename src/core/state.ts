import type { AcceptorState } from './acceptor.js';
import type { Address } from './address.js';
import type { CatchupState } from './catchup.js';
import type { ClientsState } from './connections.js';
import type { ElectionState } from './election.js';
import type { AgentIndex, Position, Round } from './ids.js';
import type { LearnerState } from './learner.js';
import type { ProposerState } from './proposer.js';
import type { StoredEntry } from './record.js';

/** What an agent is told about itself and its cluster; the same for its whole life. Times in milliseconds. */
export interface AgentConfig {
  readonly self: AgentIndex;
  /** All members, in the order of `compareAddresses`. */
  readonly agents: readonly Address[];
  /** Whether this node runs an application (`--app`), so that answers are the application's. */
  readonly has_app: boolean;
  readonly heartbeat_ms: number;
  /** Silence after which a leader is taken for dead; also the unit of a try and of a leader's patience with itself. */
  readonly leader_timeout_ms: number;
  /** The first random wait before standing is drawn from 0 to this. */
  readonly election_wait_ms: number;
  /** Failed tries double the wait up to this. */
  readonly max_election_wait_ms: number;
  /** After this, an unanswered Prepare or AcceptRequest is sent again. */
  readonly retransmit_ms: number;
  /** How long a learner waits for what the notice says is chosen before it fetches it. */
  readonly catch_up_ms: number;
  /** After this, a request without an answer gets `timeout`. */
  readonly request_timeout_ms: number;
}

/** The base text's 200 and 400 ms, and what spec.md, "Liveness" and "Clients", add to them. */
export const DEFAULT_TIMES = {
  heartbeat_ms: 200,
  leader_timeout_ms: 400,
  election_wait_ms: 200,
  max_election_wait_ms: 3200,
  retransmit_ms: 100,
  catch_up_ms: 50,
  request_timeout_ms: 5000,
} as const;

/** The whole state of an agent: plain data, so that it can be copied, compared and shown. */
export interface AgentState {
  readonly config: AgentConfig;
  readonly acceptor: AcceptorState;
  readonly learner: LearnerState;
  readonly proposer: ProposerState;
  readonly election: ElectionState;
  readonly catchup: CatchupState;
  readonly clients: ClientsState;
  readonly journal: JournalState;
  /** The highest round this agent has come across; its next own round lies above. */
  seen: Round;
  /** Set while `loaded` is being handled: the entry that came back from the journal. */
  loaded: StoredEntry | undefined;
}

export interface JournalState {
  /** Records appended in this life. */
  appended: Position;
  /** Records known to be on the disk; never above `appended`. */
  durable: Position;
}
