import type { AgentIndex } from '../../core/ids.js';
import { MessageType } from '../../core/message.js';
import { isAddressed, replyRound, type ItemTable } from './items.js';
import { PairMap } from './pair-map.js';

/** What an agent is waiting for replies to: nothing, promises at a round, or votes at a round. */
export type Outstanding = number & { readonly outstanding: unique symbol };

export const NOTHING_OUTSTANDING = 0 as Outstanding;
export const asCandidate = (round: number): Outstanding => (1 + 2 * round) as Outstanding;
export const asLeader = (round: number): Outstanding => (2 + 2 * round) as Outstanding;

/** Sets of items, each with a small number; 0 is the empty one. All operations are remembered. */
export class ItemSets {
  readonly #members: number[][] = [[]];
  readonly #ids = new Map<string, number>([['', 0]]);
  readonly #unions = new PairMap();
  readonly #pruned = new PairMap();
  /** The part addressed to agent `to` at set × agents + to; −1 until it is asked for. */
  #addressed: Int32Array;
  #facts: Int32Array;
  /** Bit `to` if the set has replies to that agent; −1 until asked. */
  #replies: Int32Array;

  constructor(
    private readonly table: ItemTable,
    private readonly agents: number,
  ) {
    this.#addressed = new Int32Array(1024 * agents).fill(-1);
    this.#facts = new Int32Array(1024).fill(-1);
    this.#replies = new Int32Array(1024).fill(-1);
  }

  get size(): number {
    return this.#members.length;
  }

  members(set: number): readonly number[] {
    return this.#members[set] ?? [];
  }

  of(items: Iterable<number>): number {
    const members = [...new Set(items)].sort((a, b) => a - b);
    const key = String.fromCharCode(...members);
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#members.length;
    this.#members.push(members);
    this.#ids.set(key, id);
    if (id >= this.#facts.length) this.#grow();
    return id;
  }

  #grow(): void {
    const twice = (array: Int32Array): Int32Array => {
      const larger = new Int32Array(array.length * 2).fill(-1);
      larger.set(array);
      return larger;
    };
    this.#addressed = twice(this.#addressed);
    this.#facts = twice(this.#facts);
    this.#replies = twice(this.#replies);
  }

  union(a: number, b: number): number {
    if (b === 0 || a === b) return a;
    if (a === 0) return b;
    const known = this.#unions.get(a, b);
    if (known >= 0) return known;
    const result = this.of([...this.members(a), ...this.members(b)]);
    this.#unions.set(a, b, result);
    return result;
  }

  /** What of a set an agent can be given. */
  addressedTo(set: number, to: number): number {
    const at = set * this.agents + to;
    const known = this.#addressed[at] as number;
    if (known >= 0) return known;
    const result = this.#select(set, (id) => {
      const item = this.table.get(id);
      return isAddressed(item) && item.to === to;
    });
    this.#addressed[at] = result;
    return result;
  }

  /** What of a set only the checks look at. */
  facts(set: number): number {
    const known = this.#facts[set] as number;
    if (known >= 0) return known;
    const result = this.#select(set, (id) => !isAddressed(this.table.get(id)));
    this.#facts[set] = result;
    return result;
  }

  /**
   * A set without the replies that agent `to` will never look at again, given what it waits for. A reply is looked at
   * only by a candidate or leader at its very round, that round is on the disk as spent before the first question
   * leaves, and no round is spent twice: once it is over, the reply is as good as lost.
   */
  prune(set: number, to: AgentIndex, outstanding: Outstanding): number {
    if (!this.#hasReplies(set, to)) return set;
    const about = to * 64 + outstanding;
    const known = this.#pruned.get(set, about);
    if (known >= 0) return known;
    const result = this.#select(set, (id) => !this.#isOver(id, to, outstanding));
    this.#pruned.set(set, about, result);
    return result;
  }

  #isOver(id: number, to: AgentIndex, outstanding: Outstanding): boolean {
    const item = this.table.get(id);
    const round = replyRound(item);
    if (round < 0 || item.kind !== 'message' || item.to !== to) return false;
    if (outstanding === asCandidate(round)) return item.message.type === MessageType.Accepted;
    if (outstanding === asLeader(round)) return item.message.type === MessageType.Promise;
    return true;
  }

  #hasReplies(set: number, to: AgentIndex): boolean {
    let bits = this.#replies[set] as number;
    if (bits < 0) {
      bits = 0;
      for (const id of this.members(set)) {
        const item = this.table.get(id);
        if (replyRound(item) >= 0 && isAddressed(item)) bits |= 1 << item.to;
      }
      this.#replies[set] = bits;
    }
    return (bits & (1 << to)) !== 0;
  }

  #select(set: number, wanted: (id: number) => boolean): number {
    return this.of(this.members(set).filter(wanted));
  }
}
