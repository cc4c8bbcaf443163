import type { Decree } from '../../core/decree.js';
import { NO_REQUEST } from '../../core/decree.js';
import {
  entry as entryOf,
  NO_ROUND,
  round,
  type AgentIndex,
  type Entry,
  type Round,
} from '../../core/ids.js';
import { MessageType, type PeerMessage } from '../../core/message.js';

/**
 * What an agent has put into the world and can't take back. Messages and log entries stay for ever, to be delivered any
 * number of times or never, in any order: that is what loss, duplication and reordering come to. The other two are
 * facts, which only the checks look at.
 */
export type Item =
  | {
      readonly kind: 'message';
      readonly from: AgentIndex;
      readonly to: AgentIndex;
      readonly message: PeerMessage;
    }
  /** A chosen entry that a peer streams to whoever fetches it. */
  | {
      readonly kind: 'streamed';
      readonly from: AgentIndex;
      readonly to: AgentIndex;
      readonly entry: Entry;
      readonly decree: Decree;
    }
  /** An acceptance that became durable. */
  | { readonly kind: 'vote'; readonly by: AgentIndex; readonly slot: Slot }
  /** An AcceptRequest that was sent to anybody. */
  | { readonly kind: 'proposal'; readonly by: AgentIndex; readonly slot: Slot };

export interface Slot {
  readonly entry: Entry;
  readonly round: Round;
  readonly decree: Decree;
}

export type Addressed = Item & { readonly to: AgentIndex };

export function isAddressed(item: Item): item is Addressed {
  return item.kind === 'message' || item.kind === 'streamed';
}

export function decreeKey(decree: Decree): string {
  return `${decree.id}.${decree.no}.${decree.noset ? 1 : 0}.${decree.value}`;
}

export function slotKey({ entry, round, decree }: Slot): string {
  return `${entry}@${round}=${decreeKey(decree)}`;
}

function itemKey(item: Item): string {
  switch (item.kind) {
    case 'message':
      return `m${item.from}>${item.to}${JSON.stringify(item.message)}`;
    case 'streamed':
      return `s${item.from}>${item.to}:${item.entry}=${decreeKey(item.decree)}`;
    case 'vote':
    case 'proposal':
      return `${item.kind}${item.by}:${slotKey(item.slot)}`;
  }
}

/** Gives each different item a small number. */
export class ItemTable {
  readonly items: Item[] = [];
  readonly #ids = new Map<string, number>();

  id(item: Item): number {
    const key = itemKey(item);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.items.push(item);
    this.#ids.set(key, this.items.length - 1);
    return this.items.length - 1;
  }

  get(id: number): Item {
    const item = this.items[id];
    if (item === undefined) throw new RangeError(`there is no item ${id}`);
    return item;
  }
}

/**
 * A message without what no receiver reads, or undefined if nobody needs it. A Nack that promises nothing higher only
 * makes its receiver lose a try, and the `try` timer does that too. Without learners nobody is told what is chosen.
 */
export function readPart(message: PeerMessage, learners: boolean): PeerMessage | undefined {
  switch (message.type) {
    case MessageType.Nack:
      if (message.promised <= message.round) return undefined;
      return {
        ...message,
        request: NO_REQUEST,
        entry: entryOf(0),
        roundvalue: { round: NO_ROUND, value: '', request: NO_REQUEST },
        leaderaddress: '',
        leaderport: '',
      };
    case MessageType.Accepted:
    case MessageType.Heartbeat:
      return learners ? message : undefined;
    case MessageType.Prepare:
    case MessageType.Promise:
    case MessageType.AcceptRequest:
      return message;
  }
}

/** The round at which a receiver must be a candidate or reign to look at a reply; −1 for what isn't a reply. */
export function replyRound(item: Item): Round {
  if (item.kind !== 'message') return round(-1);
  switch (item.message.type) {
    case MessageType.Promise:
    case MessageType.Nack:
    case MessageType.Accepted:
      return item.message.round;
    default:
      return round(-1);
  }
}
