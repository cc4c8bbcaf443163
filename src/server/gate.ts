import type { Effect } from '../core/effect.js';
import type { Position } from '../core/ids.js';

/**
 * Messages that may wait for a disk that hangs; beyond it the newest are dropped, as UDP may lose anything. A disk that
 * works lets go of a few thousand at a time.
 */
const MAX_WAITING_MESSAGES = 65_536;

type Send = Effect & { readonly type: 'send' };

/**
 * The durability barrier: keeps each message back until the journal position that it depends on is on the disk
 * (spec.md, "Durability"). Positions rise from message to message, so a queue is enough.
 */
export class Gate {
  readonly #send: (effect: Send) => void;
  #durable = 0;
  #waiting: Send[] = [];
  #head = 0;

  constructor(send: (effect: Send) => void) {
    this.#send = send;
  }

  /** How many messages wait for the disk. */
  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  pass(effect: Send): void {
    if (effect.after <= this.#durable) this.#send(effect);
    else if (this.waiting < MAX_WAITING_MESSAGES) this.#waiting.push(effect);
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
