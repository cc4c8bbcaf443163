import type { Effect } from '../core/effect.js';
import type { Position } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import type { AgentState } from '../core/state.js';

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
  #durable = 0;
  #waiting: Send[] = [];
  #head = 0;
  #riding: Send[] = [];
  /** Behind the last entry whose proposal has left. */
  #departed = 0;

  constructor(send: (effect: Send) => void) {
    this.#send = send;
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
    if (effect.message.type === MessageType.AcceptRequest && !effect.alone) this.#riding.push(effect);
    else if (effect.after <= this.#durable) this.#send(effect);
    else if (this.waiting < MAX_WAITING_MESSAGES) this.#waiting.push(effect);
  }

  /**
   * Whether everything that was proposed is chosen, or nobody reigns here. A leader begins the next group then: what
   * comes in meanwhile makes one group, one datagram and one flush on each node. The busier the cluster, the longer a
   * round takes, and the more the next one carries.
   */
  isSettled({ proposer, learner }: Pick<AgentState, 'proposer' | 'learner'>): boolean {
    return proposer.reign === undefined || learner.committed >= this.#departed;
  }

  /** A group begins to be written, or takes too long: the proposals that came together leave together. */
  depart(): void {
    if (this.#riding.length === 0) return;
    const riding = this.#riding;
    this.#riding = [];
    for (const effect of riding) {
      const { message } = effect;
      if (message.type === MessageType.AcceptRequest) this.#departed = message.entry + 1;
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
