import { formatAddress } from '../core/address.js';
import { isBehind, target } from '../core/catchup.js';
import { knownLeader } from '../core/election.js';
import type { AgentState } from '../core/state.js';
import type { JournalSize } from '../journal/segment-writer.js';
import type { AppStatus } from '../net/app-process.js';

/** What a node says about itself over HTTP and in `paxosd status`. Times in milliseconds. */
export interface AgentStatus {
  readonly address: string;
  readonly role: 'leader' | 'candidate' | 'follower';
  /** The leader's address as far as this node knows; null: none is known. */
  readonly leader: string | null;
  /** Whether the node knows a leader and every entry that it knows to be chosen somewhere. */
  readonly ready: boolean;
  /** The round promised here; −1 before the first. */
  readonly promised_round: number;
  readonly entries: {
    /** One more than the last entry accepted here. */
    readonly accepted: number;
    /** Entries known chosen without a hole. */
    readonly chosen: number;
    /** Entries that the application has been given; null where none runs here. */
    readonly applied: number | null;
    /** The highest commit index heard from anyone. */
    readonly known_chosen_elsewhere: number;
  };
  readonly peers: readonly PeerStatus[];
  readonly journal: JournalStatus;
  readonly app: AppSummary;
  readonly clients: { readonly connections: number; readonly sessions: number; readonly waiting: number };
  /** How often input was refused or ignored, by code. */
  readonly refused: Readonly<Record<string, number>>;
  readonly uptime_ms: number;
  readonly pid: number;
  readonly version: string;
}

/** The journal's files, how many of them hold records, their bytes, and how many records aren't durable yet. */
export type JournalStatus = JournalSize & { readonly unflushed: number };

/** What this node last heard of another one. */
export interface PeerStatus {
  readonly address: string;
  /** The type of its last message; null: nothing was heard of it in this life. */
  readonly last_message: string | null;
  readonly last_heard_ms_ago: number | null;
  /** The commit index that it last told. */
  readonly committed: number;
}

/** The application here: none, one that connected by itself, or the process that `--app` runs. */
export type AppSummary =
  | { readonly state: 'none' }
  | {
      readonly state: 'connected';
      readonly next: number;
      readonly unanswered: number;
      readonly hanging_entry: number | null;
    }
  | (Omit<AppStatus, 'next' | 'failing_entry' | 'hanging_entry'> & {
      readonly next: number | null;
      readonly failing_entry: number | null;
      readonly hanging_entry: number | null;
    });

/** What the agent around the core adds. */
export interface StatusSources {
  readonly lastHeard: (peer: number) => { readonly message: string; readonly ms_ago: number } | undefined;
  readonly journal: JournalStatus;
  readonly app: AppSummary;
  readonly connections: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly uptime_ms: number;
  readonly version: string;
}

export function isReady(state: AgentState): boolean {
  return knownLeader(state) !== undefined && !isBehind(state);
}

export function statusOf(state: AgentState, sources: StatusSources): AgentStatus {
  const { config, acceptor, learner, proposer, clients } = state;
  const addressOf = (index: number): string => {
    const agent = config.agents[index];
    return agent === undefined ? '' : formatAddress(agent);
  };
  const leader = knownLeader(state);
  const role = proposer.reign ? 'leader' : proposer.candidate ? 'candidate' : 'follower';
  const { app } = sources;
  return {
    address: addressOf(config.self),
    role,
    leader: leader === undefined ? null : addressOf(leader),
    ready: isReady(state),
    promised_round: acceptor.promised.round,
    entries: {
      accepted: acceptor.length,
      chosen: learner.committed,
      applied: 'next' in app ? app.next : null,
      known_chosen_elsewhere: target(state),
    },
    peers: config.agents.flatMap((_, i) =>
      i === config.self ? [] : [peerStatus(state, sources, i, addressOf(i))],
    ),
    journal: sources.journal,
    app,
    clients: {
      connections: sources.connections,
      sessions: learner.sessions.sessions.size,
      waiting: clients.answers.waiters.size + clients.queue.length,
    },
    refused: sources.refused,
    uptime_ms: sources.uptime_ms,
    pid: process.pid,
    version: sources.version,
  };
}

function peerStatus(state: AgentState, sources: StatusSources, index: number, address: string): PeerStatus {
  const heard = sources.lastHeard(index);
  return {
    address,
    last_message: heard?.message ?? null,
    last_heard_ms_ago: heard?.ms_ago ?? null,
    committed: state.catchup.heard.get(index as typeof state.config.self) ?? 0,
  };
}
