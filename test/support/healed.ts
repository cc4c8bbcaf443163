import type { Effect } from '../../src/core/effect.js';
import type { TimerName } from '../../src/core/event.js';
import { entry } from '../../src/core/ids.js';
import type { CoreNode, Sent } from './core-node.js';
import type { SeededRandom } from './random.js';

interface Due {
  readonly at_ms: number;
  readonly order: number;
  readonly act: () => void;
}

/** How long a message, a flush and an entry of a stream take in a healed world. */
const MESSAGE_MS = 1;
const FLUSH_MS = 1;
const STREAM_MS = 1;

/**
 * A world that has become kind: time passes, every message arrives once and soon, disks flush, timers fire when they
 * are due, streams bring what was asked for. What ran before, in whatever state it left the agents, goes on from there.
 */
export class HealedWorld {
  now_ms = 0;
  /** Counts what has been done since the healing. */
  readonly counts = { messages: 0, tries: 0, reigns: 0 };
  #queue: Due[] = [];
  #order = 0;
  readonly #generation = new Map<string, number>();

  constructor(
    readonly nodes: readonly CoreNode[],
    private readonly random: SeededRandom,
  ) {}

  /** Takes the agents over: their running timers become due in their time, and their open streams go on. */
  begin(): void {
    for (const node of this.nodes) {
      if (!node.up) continue;
      for (const timer of node.timers.keys()) this.#arm(node, timer);
      this.#flushSoon(node);
      if (node.state.catchup.source !== undefined) this.#streamSoon(node);
    }
  }

  /** To be called with every message that leaves an agent. */
  sent({ from, to, message }: Sent): void {
    const node = this.nodes[to];
    if (node?.up !== true) return;
    this.#after(MESSAGE_MS, () => {
      this.counts.messages++;
      this.did(node, node.step({ type: 'message', from, message }));
    });
  }

  run(duration_ms: number): void {
    const end_ms = this.now_ms + duration_ms;
    for (;;) {
      const next = this.#takeNext(end_ms);
      if (next === undefined) break;
      this.now_ms = next.at_ms;
      next.act();
    }
    this.now_ms = end_ms;
  }

  /** Follows up the effects of a step that somebody else has made an agent take. */
  did(node: CoreNode, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'set-timer') this.#arm(node, effect.timer);
      else if (effect.type === 'fetch') this.#streamSoon(node);
      else if (effect.type === 'reign') this.counts.reigns++;
      else if (effect.type === 'note' && effect.code === 'standing') this.counts.tries++;
    }
    if (node.pending > 0) this.#flushSoon(node);
  }

  #takeNext(end_ms: number): Due | undefined {
    let best = -1;
    for (const [i, due] of this.#queue.entries()) {
      const least = this.#queue[best];
      if (due.at_ms > end_ms) continue;
      if (
        least === undefined ||
        due.at_ms < least.at_ms ||
        (due.at_ms === least.at_ms && due.order < least.order)
      ) {
        best = i;
      }
    }
    return best < 0 ? undefined : this.#queue.splice(best, 1)[0];
  }

  #after(wait_ms: number, act: () => void): void {
    this.#queue.push({ at_ms: this.now_ms + wait_ms, order: this.#order++, act });
  }

  #arm(node: CoreNode, timer: TimerName): void {
    const set = node.timers.get(timer);
    if (set === undefined) return;
    const key = `${node.self} ${timer}`;
    const generation = (this.#generation.get(key) ?? 0) + 1;
    this.#generation.set(key, generation);
    this.#after(set.min_ms + this.random.next() * (set.max_ms - set.min_ms), () => {
      // Cleared or set anew meanwhile: this one is void.
      if (this.#generation.get(key) !== generation || node.timers.get(timer) !== set) return;
      this.did(node, node.fire(timer));
    });
  }

  #flushSoon(node: CoreNode): void {
    this.#after(FLUSH_MS, () => {
      if (node.up && node.pending > 0) this.did(node, node.flush());
    });
  }

  /** One entry at a time, as long as this agent wants it and the other has it. */
  #streamSoon(node: CoreNode): void {
    this.#after(STREAM_MS, () => {
      const { source } = node.state.catchup;
      if (source === undefined) return;
      const peer = this.nodes[source];
      if (peer?.up !== true) {
        return this.did(node, node.step({ type: 'fetch-ended', peer: source, reason: 'it is down' }));
      }
      const wanted = entry(node.state.learner.committed);
      const decree = peer.state.learner.chosen.get(wanted);
      if (wanted < peer.state.learner.committed && decree !== undefined) {
        this.did(node, node.step({ type: 'fetched', peer: source, entry: wanted, decrees: [decree] }));
      }
      if (node.state.catchup.source !== undefined) this.#streamSoon(node);
    });
  }
}
