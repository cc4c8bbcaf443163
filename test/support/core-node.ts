import { newAgent, recover, step } from '../../src/core/agent.js';
import type { Effect } from '../../src/core/effect.js';
import type { Event, TimerName } from '../../src/core/event.js';
import { position, type AgentIndex } from '../../src/core/ids.js';
import type { PeerMessage } from '../../src/core/message.js';
import type { JournalRecord } from '../../src/core/record.js';
import type { AgentConfig, AgentState } from '../../src/core/state.js';
import type { SafetyWatch } from './safety-watch.js';

/** A message that has left its sender. */
export interface Sent {
  readonly from: AgentIndex;
  readonly to: AgentIndex;
  readonly message: PeerMessage;
}

type SendEffect = Effect & { type: 'send' };

/**
 * One agent's real core with a disk that becomes durable when told, and with the timers that it has set. It holds back
 * what is sent until what it depends on is durable, as the driver does. A crash loses everything else.
 */
export class CoreNode {
  state: AgentState;
  up = true;
  /** Durable records of all lives. */
  readonly disk: JournalRecord[] = [];
  readonly timers = new Map<TimerName, { min_ms: number; max_ms: number }>();
  /** Appended in this life and not durable yet. */
  #pending: JournalRecord[] = [];
  #held: SendEffect[] = [];
  constructor(
    readonly config: AgentConfig,
    private readonly watch: SafetyWatch,
    private readonly onLeft: (sent: Sent) => void,
  ) {
    this.state = newAgent(config);
  }

  get self(): AgentIndex {
    return this.config.self;
  }

  get pending(): number {
    return this.#pending.length;
  }

  get held(): readonly SendEffect[] {
    return this.#held;
  }

  /** Hands one event to the core and carries out what touches disk, network and timers. */
  step(event: Event): Effect[] {
    const effects = step(this.state, event);
    for (const effect of effects) this.#carryOut(effect);
    this.watch.stepped(this);
    return effects;
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        this.#pending.push(effect.record);
        return;
      case 'send':
        if (effect.after > this.state.journal.durable) this.#held.push(effect);
        else this.#leave(effect);
        return;
      case 'set-timer':
        this.timers.set(effect.timer, { min_ms: effect.min_ms, max_ms: effect.max_ms });
        return;
      case 'clear-timer':
        this.timers.delete(effect.timer);
        return;
      default:
        return;
    }
  }

  #leave({ to, message }: SendEffect): void {
    const sent: Sent = { from: this.self, to, message };
    this.watch.left(sent);
    this.onLeft(sent);
  }

  fire(timer: TimerName): Effect[] {
    this.timers.delete(timer);
    return this.step({ type: 'timer', timer });
  }

  /** Makes the first `count` pending records durable, lets go what waited for them, and tells the core. */
  flush(count = this.#pending.length): Effect[] {
    for (const record of this.#pending.splice(0, count)) {
      this.disk.push(record);
      this.watch.durable(this.self, record);
    }
    const durable = position(this.state.journal.appended - this.#pending.length);
    const waiting = this.#held;
    this.#held = waiting.filter((effect) => effect.after > durable);
    for (const effect of waiting) if (effect.after <= durable) this.#leave(effect);
    return this.step({ type: 'durable', position: durable });
  }

  /** Loses all that is not durable. Returns how many records that was. */
  crash(): number {
    const lost = this.#pending.length;
    this.up = false;
    this.#pending = [];
    this.#held = [];
    this.timers.clear();
    return lost;
  }

  /** Folds the disk into a fresh state. */
  restart(): Effect[] {
    this.state = newAgent(this.config);
    for (const record of this.disk) recover(this.state, record);
    this.up = true;
    this.watch.recovered(this);
    return this.step({ type: 'start' });
  }
}
