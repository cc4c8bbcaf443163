import { TIMER_NAMES, type TimerName } from '../core/event.js';

/**
 * Timers whose firing accuses somebody of silence. After a pause of the process they are due before the datagrams that
 * queued meanwhile are read, so the sockets are drained before they are believed (spec.md, "Liveness").
 */
const ACCUSING: ReadonlySet<TimerName> = new Set(['leader', 'election', 'try', 'progress', 'catch-up']);

export interface TimersOptions {
  onTimer(timer: TimerName): void;
  /** Resolves when all input that had arrived has been handled. */
  drain(): Promise<void>;
  /** Milliseconds of a clock that never goes back. */
  now_ms(): number;
}

interface Timer {
  /** When it is due; undefined when it is off. */
  deadline_ms: number | undefined;
  /** The platform's timer, which may run earlier than the deadline and then looks again. */
  handle: NodeJS.Timeout | undefined;
  /** When `handle` fires. */
  wakes_ms: number;
}

/**
 * The agent's timers. Setting one anew is cheap, as a leader's every message does it: only the deadline moves, and the
 * platform's timer is left to find out when it fires.
 */
export class Timers {
  readonly #options: TimersOptions;
  readonly #timers = new Map<TimerName, Timer>();
  #stopped = false;

  constructor(options: TimersOptions) {
    this.#options = options;
    for (const name of TIMER_NAMES) {
      this.#timers.set(name, { deadline_ms: undefined, handle: undefined, wakes_ms: Infinity });
    }
  }

  /** Starts a timer, or starts it anew, at a random time within the range. */
  set(name: TimerName, min_ms: number, max_ms: number): void {
    const timer = this.#timers.get(name);
    if (timer === undefined || this.#stopped) return;
    timer.deadline_ms = this.#options.now_ms() + min_ms + Math.random() * (max_ms - min_ms);
    if (timer.handle === undefined || timer.wakes_ms > timer.deadline_ms) this.#arm(name, timer);
  }

  clear(name: TimerName): void {
    const timer = this.#timers.get(name);
    if (timer !== undefined) timer.deadline_ms = undefined;
  }

  /** Has a timer that runs fire now: there is no more to wait for. */
  expire(name: TimerName): void {
    const timer = this.#timers.get(name);
    if (timer?.deadline_ms !== undefined) this.#fire(name, timer);
  }

  /** Ends all timers for good. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) {
      clearTimeout(timer.handle);
      timer.deadline_ms = undefined;
    }
  }

  #arm(name: TimerName, timer: Timer): void {
    clearTimeout(timer.handle);
    const deadline_ms = timer.deadline_ms ?? 0;
    timer.wakes_ms = deadline_ms;
    timer.handle = setTimeout(
      () => this.#wake(name, timer),
      Math.max(0, deadline_ms - this.#options.now_ms()),
    );
  }

  #wake(name: TimerName, timer: Timer): void {
    timer.handle = undefined;
    timer.wakes_ms = Infinity;
    if (timer.deadline_ms === undefined || this.#stopped) return;
    if (!this.#isDue(timer)) return this.#arm(name, timer);
    if (!ACCUSING.has(name)) return this.#fire(name, timer);
    const deadline_ms = timer.deadline_ms;
    void this.#options.drain().then(() => {
      // What was drained may have set the timer anew or cleared it: then it accuses nobody.
      if (timer.deadline_ms === deadline_ms && !this.#stopped) this.#fire(name, timer);
      else if (timer.deadline_ms !== undefined && timer.handle === undefined) this.#arm(name, timer);
    });
  }

  #isDue(timer: Timer): boolean {
    return timer.deadline_ms !== undefined && timer.deadline_ms <= this.#options.now_ms();
  }

  #fire(name: TimerName, timer: Timer): void {
    timer.deadline_ms = undefined;
    this.#options.onTimer(name);
  }
}
