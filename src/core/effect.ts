import type { Event, TimerName } from './event.js';
import type { AgentIndex, ConnectionId, Entry, Position, Round } from './ids.js';
import type {
  ClientConn,
  ClientRedirect,
  ClientResponse,
  ErrorMessage,
  LogResponse,
  PeerMessage,
} from './message.js';
import type { JournalRecord } from './record.js';

/** What a node says to a client. */
export type ClientReply = ClientConn | ClientRedirect | ClientResponse | ErrorMessage | LogResponse;

/**
 * All that an agent can want. The list that `step` returns is ordered and is carried out in that order;
 * `persist` is a barrier in it: a `send` whose `after` it raises leaves once that position is durable.
 */
export type Effect =
  /** Append to the journal. The driver flushes in groups and reports `durable`. */
  | { readonly type: 'persist'; readonly position: Position; readonly record: JournalRecord }
  /** Send to a peer, once every record up to `after` is durable. `alone`: in a datagram of its own. */
  | {
      readonly type: 'send';
      readonly to: AgentIndex;
      readonly message: PeerMessage;
      readonly after: Position;
      readonly alone: boolean;
    }
  | { readonly type: 'reply'; readonly connection: ConnectionId; readonly message: ClientReply }
  /** Close a client's connection when all its replies are written. */
  | { readonly type: 'close'; readonly connection: ConnectionId }
  /** (Re)start a timer; the driver draws the time within the range. */
  | {
      readonly type: 'set-timer';
      readonly timer: TimerName;
      readonly min_ms: number;
      readonly max_ms: number;
    }
  | { readonly type: 'clear-timer'; readonly timer: TimerName }
  /** Read an entry below the commit index back from the journal, then hand in `loaded` with `retry`. */
  | { readonly type: 'load'; readonly entry: Entry; readonly retry: Event }
  /** Stream the raw log of `peer` from `first` on; replaces any stream under way. */
  | { readonly type: 'fetch'; readonly peer: AgentIndex; readonly first: Entry }
  | { readonly type: 'cancel-fetch' }
  /** Every entry below `committed` is chosen, known here and folded: applications and followers may have it. */
  | { readonly type: 'committed'; readonly committed: Entry }
  /** This agent's reign has begun: it runs the application. */
  | { readonly type: 'reign'; readonly round: Round }
  /** This agent's reign is over. */
  | { readonly type: 'abdicate'; readonly round: Round; readonly reason: string }
  /** The live leader that this agent follows has changed; undefined: none is known. */
  | { readonly type: 'follow'; readonly leader: AgentIndex | undefined }
  /** Something worth a line in the log; `refused` input is also counted by `code`. */
  | {
      readonly type: 'note';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly code: string;
      readonly text: string;
      readonly details?: Readonly<Record<string, string | number | boolean>>;
    };
