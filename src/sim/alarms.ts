import type { AgentIndex } from '../core/ids.js';
import type { TimerName } from '../core/event.js';
import type { PortAnswer } from '../net/ask-port.js';
import { LeaderProbe } from '../server/leader-probe.js';
import type { Life } from './life.js';
import type { Appointment } from './schedule.js';

/** How often nothing is learnt of a machine whose process is gone: it may be gone itself. */
const UNKNOWN = 0.5;

/** The timers of one life, on virtual time and a clock of its own speed; and the shipped probe of the leader. */
export class Alarms {
  readonly #running = new Map<TimerName, Appointment>();
  #due: { readonly timer: TimerName; readonly appointment: Appointment }[] = [];
  readonly #probe: LeaderProbe;

  constructor(private readonly life: Life) {
    const { schedule, trace, counters } = life.world;
    const { heartbeat_ms, leader_timeout_ms } = life.state.config;
    this.#probe = new LeaderProbe({
      heartbeat_ms,
      leader_timeout_ms,
      after: (ms, done) => life.after(ms * life.node.timerSpeed, done),
      now_ms: () => schedule.now_ms / life.node.timerSpeed,
      ask: (leader, onAnswer) => this.#ask(leader, onAnswer),
      onGone: (leader) => {
        trace.note('leader-gone', life.node.index, leader);
        counters.add('leaders found gone');
        const appointment = this.#running.get('leader');
        if (appointment !== undefined) this.#ring('leader', appointment);
      },
    });
  }

  set(timer: TimerName, min_ms: number, max_ms: number): void {
    this.clear(timer);
    if (timer === 'leader') this.#probe.heard();
    const { world, node } = this.life;
    const wait_ms = world.random.between(min_ms, max_ms) * node.timerSpeed;
    const appointment = world.schedule.after(wait_ms, () => {
      if (this.life.paused) this.#due.push({ timer, appointment });
      else this.#ring(timer, appointment);
    });
    this.#running.set(timer, appointment);
  }

  clear(timer: TimerName): void {
    const appointment = this.#running.get(timer);
    if (appointment === undefined) return;
    appointment.cancelled = true;
    this.#running.delete(timer);
  }

  follow(leader: AgentIndex | undefined): void {
    this.#probe.follow(leader === this.life.node.self ? undefined : leader);
  }

  /** The process is dead. */
  stop(): void {
    for (const timer of this.#running.values()) timer.cancelled = true;
    this.#probe.stop();
  }

  /** What came due while the process was paused; to be called when it runs again. */
  overdue(): () => void {
    const due = this.#due;
    this.#due = [];
    return () => {
      for (const { timer, appointment } of due) this.#ring(timer, appointment);
    };
  }

  #ring(timer: TimerName, appointment: Appointment): void {
    if (this.life.dead || this.#running.get(timer) !== appointment) return;
    this.clear(timer);
    this.life.world.trace.note('timer', this.life.node.index, timer);
    this.life.handle({ type: 'timer', timer });
  }

  /** As a TCP connection would: a process that has read its journal listens, even while it is paused. */
  #ask(leader: AgentIndex, onAnswer: (answer: PortAnswer) => void): () => void {
    const { network, random, checker } = this.life.world;
    const here = this.life.node.index;
    const reaches = !network.isCut(here, leader) && !network.isCut(leader, here);
    const listens = checker.nodes[leader]?.life !== undefined;
    const answer = listens ? 'listens' : random.chance(UNKNOWN) ? 'unknown' : 'refused';
    return this.life.after(2 * network.delay_ms(), () => onAnswer(reaches ? answer : 'unknown'));
  }
}
