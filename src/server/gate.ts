import type { Effect } from '../core/effect.js';
import type { Position } from '../core/ids.js';
import { MessageType, type AcceptRequest } from '../core/message.js';
import type { AgentState } from '../core/state.js';
import { MAX_RIDE_MS } from './bounds.js';
import { Gathering } from './gathering.js';

/**
 * Messages that may wait for a disk that hangs; beyond it the newest are dropped, as UDP may lose anything. A disk that
 * works lets go of a few thousand at a time.
 */
const MAX_WAITING_MESSAGES = 65_536;

type Send = Effect & { readonly type: 'send' };

/**
 * The durability barrier: keeps each message back until the journal position that it depends on is on the disk
 * (spec.md, "Durability"). Positions rise from message to message, so a queue is enough.
 *
 * A proposal depends on nothing, and yet does not run ahead: it rides along with the group of records that holds the
 * leader's own vote for it. What comes in while a group is being flushed then leaves in one datagram, is one group on
 * the followers' disks too, and is answered by one datagram. An idle leader holds nothing back, since there the group
 * begins in the same turn.
 */
export class Gate {
  readonly #send: (effect: Send) => void;
  readonly #now_ms: () => number;
  readonly #gathering = new Gathering();
  #durable = 0;
  #waiting: Send[] = [];
  #head = 0;
  #riding: Send[] = [];
  /** Behind the entry whose proposal came last, and behind the one whose proposal left last. */
  #proposed = 0;
  #departed = 0;
  /** Whether what has left was not found chosen yet. */
  #under_way = false;

  /** `now_ms` is a clock that never goes back. */
  constructor(send: (effect: Send) => void, now_ms: () => number) {
    this.#send = send;
    this.#now_ms = now_ms;
  }

  /** How many messages wait for the disk. */
  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** How many proposals wait for their group to begin. */
  get riding(): number {
    return this.#riding.length;
  }

  pass(effect: Send): void {
    const { message } = effect;
    if (message.type === MessageType.AcceptRequest && !effect.alone) this.#ride(effect, message);
    else if (effect.after <= this.#durable) this.#send(effect);
    else if (this.waiting < MAX_WAITING_MESSAGES) this.#waiting.push(effect);
  }

  #ride(effect: Send, { entry, request }: AcceptRequest): void {
    this.#riding.push(effect);
    // The same proposal goes to one agent after the other.
    if (entry + 1 === this.#proposed) return;
    this.#proposed = entry + 1;
    this.#gathering.came(request.id, this.#now_ms());
  }

  /**
   * How long the next group has to wait at most, in milliseconds; 0: it may begin. A leader begins it when everything
   * that it proposed is chosen: what comes in meanwhile makes one group, one datagram and one flush on each node. The
   * busier the cluster, the longer a round takes, and the more the next one carries. It may be worth to wait a moment
   * longer, for those who were just answered (`Gathering`). Nobody else waits, but one that catches up: what it learns
   * hurries nobody, and is flushed along with its votes if there are any.
   */
  wait_ms(state: Pick<AgentState, 'proposer' | 'learner' | 'catchup'>): number {
    this.observe(state);
    const { reign, candidate } = state.proposer;
    if (reign === undefined) {
      const onlyLearns = state.catchup.source !== undefined && candidate === undefined && this.waiting === 0;
      return onlyLearns ? MAX_RIDE_MS : 0;
    }
    return this.#under_way ? MAX_RIDE_MS : this.#gathering.wait_ms(this.#now_ms());
  }

  /** To be told after every event: what has left may be chosen by now, or nobody reigns any more. */
  observe({ proposer, learner }: Pick<AgentState, 'proposer' | 'learner'>): void {
    if (!this.#under_way) return;
    if (proposer.reign !== undefined && learner.committed < this.#departed) return;
    this.#under_way = false;
    this.#gathering.chosen(this.#now_ms());
  }

  /** A group begins to be written, or takes too long: the proposals that came together leave together. */
  depart(): void {
    if (this.#riding.length === 0) return;
    const riding = this.#riding;
    this.#riding = [];
    this.#under_way = true;
    for (const effect of riding) {
      const { message } = effect;
      if (message.type === MessageType.AcceptRequest && message.entry + 1 !== this.#departed) {
        this.#departed = message.entry + 1;
        this.#gathering.leaves(message.request.id);
      }
      this.#send(effect);
    }
  }

  /** The disk has caught up to `position`: what depends on no more than that may leave. */
  open(position: Position): void {
    this.#durable = position;
    for (; this.#head < this.#waiting.length; this.#head++) {
      const effect = this.#waiting[this.#head];
      if (effect === undefined || effect.after > position) break;
      this.#send(effect);
    }
    if (this.#head === this.#waiting.length) this.#waiting = [];
    else if (this.#head > 1024) this.#waiting = this.#waiting.slice(this.#head);
    else return;
    this.#head = 0;
  }
}
