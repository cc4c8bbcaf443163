import type { AgentIndex } from '../core/ids.js';
import type { PortAnswer } from '../net/ask-port.js';
import type { After } from './waits.js';

/** After how much of its time-out a leader is asked for that was heard all the time, as one under load is. */
const QUIET_SHARE = 1 / 4;

/** The least time between two questions. */
const PAUSE_MS = 1_000;

export interface LeaderProbeOptions {
  readonly heartbeat_ms: number;
  readonly leader_timeout_ms: number;
  readonly after: After;
  /** Milliseconds of a clock that never goes back. */
  readonly now_ms: () => number;
  /** Finds out whether somebody listens at an agent's port. Gives back what ends the question. */
  readonly ask: (leader: AgentIndex, onAnswer: (answer: PortAnswer) => void) => () => void;
  /** Nobody listens any more where the leader did. */
  readonly onGone: (leader: AgentIndex) => void;
}

/**
 * Notices that a leader's process is gone before its time-out is over (spec.md, "Liveness"): its machine refuses
 * connections to the port where it listened. Of a machine that is gone, or cut off, nothing is learnt in this way, and a
 * process that hangs still listens; for them there is the time-out. Refusals count only where this agent has connected
 * before while it followed that leader, since something between the two may refuse always.
 */
export class LeaderProbe {
  readonly #options: LeaderProbeOptions;
  /** How long a leader is silent before it is asked for: one that has work, and one that only sends Heartbeats. */
  readonly #busy_quiet_ms: number;
  readonly #idle_quiet_ms: number;
  #leader: AgentIndex | undefined;
  /** How the leader's port was found last. */
  #port: PortAnswer = 'unknown';
  #heard_ms = -Infinity;
  /** Whether it was heard twice within a short time. */
  #busy = false;
  #asked_ms = -Infinity;
  #endWait: (() => void) | undefined;
  #endQuestion: (() => void) | undefined;

  constructor(options: LeaderProbeOptions) {
    const { heartbeat_ms, leader_timeout_ms } = options;
    this.#options = options;
    this.#busy_quiet_ms = leader_timeout_ms * QUIET_SHARE;
    this.#idle_quiet_ms = Math.max(this.#busy_quiet_ms, (heartbeat_ms + leader_timeout_ms) / 2);
  }

  /** Another agent leads now, as far as this one knows; undefined: nobody does, or this one. */
  follow(leader: AgentIndex | undefined): void {
    this.stop();
    if (leader === undefined) return;
    this.#leader = leader;
    this.#ask(leader);
  }

  /** The leader was heard. */
  heard(): void {
    const now_ms = this.#options.now_ms();
    this.#busy = now_ms - this.#heard_ms < this.#busy_quiet_ms;
    this.#heard_ms = now_ms;
    if (this.#leader === undefined || this.#port === 'refused') return;
    if (this.#port === 'listens') {
      if (this.#endWait === undefined) this.#wait(this.#quiet_ms);
    } else if (this.#endQuestion === undefined && now_ms >= this.#asked_ms + PAUSE_MS)
      this.#ask(this.#leader);
  }

  stop(): void {
    this.#leader = undefined;
    this.#port = 'unknown';
    this.#asked_ms = -Infinity;
    this.#endWait?.();
    this.#endWait = undefined;
    this.#endQuestion?.();
    this.#endQuestion = undefined;
  }

  get #quiet_ms(): number {
    return this.#busy ? this.#busy_quiet_ms : this.#idle_quiet_ms;
  }

  #wait(wait_ms: number): void {
    this.#endWait = this.#options.after(wait_ms, () => {
      this.#endWait = undefined;
      this.#look();
    });
  }

  #look(): void {
    if (this.#leader === undefined) return;
    const due_ms = Math.max(this.#heard_ms + this.#quiet_ms, this.#asked_ms + PAUSE_MS);
    const wait_ms = due_ms - this.#options.now_ms();
    if (wait_ms > 0) this.#wait(wait_ms);
    else this.#ask(this.#leader);
  }

  #ask(leader: AgentIndex): void {
    this.#endQuestion?.();
    this.#asked_ms = this.#options.now_ms();
    this.#endQuestion = this.#options.ask(leader, (answer) => {
      this.#endQuestion = undefined;
      if (answer === 'refused' && this.#port === 'listens') this.#options.onGone(leader);
      else if (this.#port !== 'listens') {
        this.#port = answer;
        // The first question of a reign needn't delay the next.
        if (answer === 'listens') this.#asked_ms = -Infinity;
      }
    });
  }
}
