import type { ClientReply } from '../core/effect.js';
import type { ConnectionId } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import { encodeMessage } from '../wire/codec.js';
import { mustHold } from './failure.js';
import type { Life } from './life.js';
import type { StreamEnd } from './network.js';

/** A client's connection. Every message of a client gets one reply; `open` is how many are still due. */
interface Served {
  readonly end: StreamEnd;
  open: number;
  /** Told that its session goes on elsewhere: nothing more is due. */
  replaced: boolean;
}

/** The clients of one life of a node, and what they are owed: one reply for each message, no more and no less. */
export class Reception {
  readonly #clients = new Map<ConnectionId, Served>();

  constructor(
    private readonly life: Life,
    private readonly onClosed: (name: ConnectionId, end: StreamEnd) => void,
  ) {}

  knows(name: ConnectionId): boolean {
    return this.#clients.has(name);
  }

  forget(name: ConnectionId): void {
    this.#clients.delete(name);
  }

  asked(name: ConnectionId, end: StreamEnd): void {
    const served = this.#clients.get(name) ?? { end, open: 0, replaced: false };
    served.open++;
    this.#clients.set(name, served);
  }

  reply(name: ConnectionId, message: ClientReply): void {
    const { world, node } = this.life;
    world.checker.onReply(node.index, message);
    const text = encodeMessage(message, node.address);
    world.trace.note('reply', node.index, name, text);
    if (message.type === MessageType.Error)
      world.counters.add(`reply: ${message.error.slice(0, message.error.indexOf(':'))}`);
    const served = this.#clients.get(name);
    if (served === undefined) return;
    if (message.type === MessageType.Error && message.error.startsWith('session-taken-over')) {
      served.replaced = true;
      world.counters.add('sessions taken over');
    } else {
      served.open--;
      mustHold(served.open >= 0, 'replies', () => `node ${node.index} answers once too often: ${text}`);
    }
    served.end.send(text);
  }

  close(name: ConnectionId): void {
    const served = this.#clients.get(name);
    if (served === undefined) return;
    const { world, node } = this.life;
    const { end, open, replaced } = served;
    mustHold(open === 0 || replaced, 'replies', () => `node ${node.index} leaves ${open} unanswered`);
    end.close();
    world.schedule.after(world.random.between(0, 5), () => {
      if (!this.life.dead && this.#clients.has(name)) this.life.arrive(() => this.onClosed(name, end));
    });
  }
}
