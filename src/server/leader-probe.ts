import type { AgentIndex } from '../core/ids.js';
import type { After } from './waits.js';

/**
 * After how much of its time-out a silent leader is asked for. Under load it is heard all the time; without any, its
 * heartbeats come at half the time-out, so that it is asked for between them, as often as `PAUSE_MS` allows.
 */
const QUIET_SHARE = 1 / 4;

/** The least time between two questions. */
const PAUSE_MS = 1_000;

/** What a TCP connection to an agent's port tells: somebody listens, nobody does, or nothing. */
export type PortAnswer = 'listens' | 'refused' | 'unknown';

export interface LeaderProbeOptions {
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
  readonly #quiet_ms: number;
  #leader: AgentIndex | undefined;
  /** Whether the leader's port was seen open. */
  #seen = false;
  #heard_ms = -Infinity;
  #asked_ms = -Infinity;
  #endWait: (() => void) | undefined;
  #endQuestion: (() => void) | undefined;

  constructor(options: LeaderProbeOptions) {
    this.#options = options;
    this.#quiet_ms = options.leader_timeout_ms * QUIET_SHARE;
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
    this.#heard_ms = this.#options.now_ms();
    if (this.#seen && this.#endWait === undefined) this.#wait(this.#quiet_ms);
  }

  stop(): void {
    this.#leader = undefined;
    this.#seen = false;
    this.#asked_ms = -Infinity;
    this.#endWait?.();
    this.#endWait = undefined;
    this.#endQuestion?.();
    this.#endQuestion = undefined;
  }

  #wait(wait_ms: number): void {
    this.#endWait = this.#options.after(wait_ms, () => {
      this.#endWait = undefined;
      this.#look();
    });
  }

  #look(): void {
    if (this.#leader === undefined) return;
    const now_ms = this.#options.now_ms();
    const due_ms = Math.max(this.#heard_ms + this.#quiet_ms, this.#asked_ms + PAUSE_MS);
    if (now_ms < due_ms) return this.#wait(due_ms - now_ms);
    this.#asked_ms = now_ms;
    this.#ask(this.#leader);
  }

  #ask(leader: AgentIndex): void {
    this.#endQuestion = this.#options.ask(leader, (answer) => {
      this.#endQuestion = undefined;
      if (answer === 'refused' && this.#seen) return this.#options.onGone(leader);
      if (answer === 'listens') this.#seen = true;
    });
  }
}
