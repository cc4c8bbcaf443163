import type { Decree } from './decree.js';
import type { AgentIndex, ConnectionId, Entry, Position } from './ids.js';
import type { ClientConnectRequest, ClientRequest, PeerMessage } from './message.js';
import type { StoredEntry } from './record.js';

/**
 * The timers of an agent.
 * `leader`: no sign of life from the leader. `election`: the random wait before standing. `try`: a candidate's time.
 * `prepare` and `accept`: retransmission. `heartbeat`: the leader's beat. `progress`: the leader looks at itself.
 * `catch-up`: what is missing is fetched. `requests`: requests grow old.
 */
export const TIMER_NAMES = [
  'leader',
  'election',
  'try',
  'prepare',
  'accept',
  'heartbeat',
  'progress',
  'catch-up',
  'requests',
] as const;
export type TimerName = (typeof TIMER_NAMES)[number];

/** All that can happen to an agent. Everything outside the core reaches it as one of these. */
export type Event =
  /** The driver is ready: recovery is over, sockets are bound. */
  | { readonly type: 'start' }
  /** A validated datagram from a configured peer. */
  | { readonly type: 'message'; readonly from: AgentIndex; readonly message: PeerMessage }
  /** Every record up to `position` is on the disk. */
  | { readonly type: 'durable'; readonly position: Position }
  | { readonly type: 'timer'; readonly timer: TimerName }
  /** Chosen entries from `entry` on, streamed by a peer in answer to a `fetch`: what arrived together. */
  | {
      readonly type: 'fetched';
      readonly peer: AgentIndex;
      readonly entry: Entry;
      readonly decrees: readonly Decree[];
    }
  /** The stream that a `fetch` opened is over: done, refused or broken. */
  | { readonly type: 'fetch-ended'; readonly peer: AgentIndex; readonly reason: string }
  /** A client said something. The first event of a connection makes it known. */
  | {
      readonly type: 'client';
      readonly connection: ConnectionId;
      readonly message: ClientConnectRequest | ClientRequest;
    }
  /** The client has closed its sending side; it still reads. */
  | { readonly type: 'client-ended'; readonly connection: ConnectionId }
  /** The connection is gone. */
  | { readonly type: 'client-closed'; readonly connection: ConnectionId }
  /** An application is there, and will answer for every entry from `first` on. */
  | { readonly type: 'app-attached'; readonly first: Entry }
  /** The application left; with `expected`, it is being restarted, and answers are still to come. */
  | { readonly type: 'app-detached'; readonly expected: boolean }
  /** The application's answer for an entry that it was sent, in order; undefined: too large to be passed on. */
  | { readonly type: 'app-response'; readonly entry: Entry; readonly value: string | undefined }
  /** What came at once, in order. What follows from it, as from any event, follows once, after the last. */
  | { readonly type: 'several'; readonly events: readonly Event[] }
  /** An answer to `load`: the entry is put where the handlers look, and `retry` is handled now. */
  | { readonly type: 'loaded'; readonly stored: StoredEntry; readonly retry: Event };
