import { NO_REQUEST } from '../../core/decree.js';
import type { Effect } from '../../core/effect.js';
import type { Event, TimerName } from '../../core/event.js';
import {
  connectionId,
  entry as entryOf,
  requestNumber,
  type AgentIndex,
  type Entry,
} from '../../core/ids.js';
import { MessageType } from '../../core/message.js';
import type { AgentState } from '../../core/state.js';
import type { Protocol } from './protocol.js';

/** Time for a datagram to arrive, for records to be durable, and for a stream to begin. */
const DELAY_MS = 1;
/** Virtual time within which a leader must have come and a new value must be known chosen everywhere. */
const PATIENCE_MS = 60_000;
/** The value that a client brings to every leader. */
const WANTED = 'fair';

type SendEffect = Effect & { type: 'send' };

interface Member {
  readonly state: AgentState;
  readonly timers: Map<TimerName, Appointment>;
  held: SendEffect[];
  isFlushing: boolean;
  asked_round: number;
}

interface Appointment {
  readonly at_ms: number;
  readonly order: number;
  readonly act: () => void;
}

/**
 * From here on everybody is up, nothing is lost, disks and datagrams are fast and timers fire in their order: does a
 * leader come, and does it get a new value chosen that everybody learns (spec.md, "Liveness")? What was on its way
 * before is lost. The states are changed.
 */
export class FairRun {
  readonly #members: Member[];
  readonly #agenda: Appointment[] = [];
  #now_ms = 0;
  #order = 0;
  #draws = 0;

  constructor(
    states: readonly AgentState[],
    private readonly protocol: Protocol,
  ) {
    this.#members = states.map((state) => ({
      state,
      timers: new Map<TimerName, Appointment>(),
      held: [],
      isFlushing: false,
      asked_round: -1,
    }));
    for (const member of this.#members) this.#wakeUp(member);
  }

  /** Runs until it has come to pass: the virtual time that it took; or undefined if it never does. */
  run(): number | undefined {
    while (this.#now_ms < PATIENCE_MS) {
      const next = this.#agenda.shift();
      if (next === undefined) return undefined;
      this.#now_ms = next.at_ms;
      next.act();
      if (this.#isWell()) return this.#now_ms;
    }
    return undefined;
  }

  #isWell(): boolean {
    return this.#members.every(({ state }) =>
      [...state.learner.chosen.values()].some((d) => d.value === WANTED),
    );
  }

  /** The timers that run at least in the part that an agent plays. */
  #wakeUp(member: Member): void {
    const { config, proposer, journal } = member.state;
    const set = (timer: TimerName, min_ms: number, max_ms = min_ms): void =>
      this.#setTimer(member, timer, min_ms, max_ms);
    if (journal.appended > journal.durable) this.#flushSoon(member);
    if (proposer.candidate !== undefined) {
      set('try', 2 * config.leader_timeout_ms);
      set('prepare', config.retransmit_ms);
    } else if (proposer.reign !== undefined) {
      set('heartbeat', config.heartbeat_ms);
      set('accept', config.retransmit_ms);
      set('progress', config.leader_timeout_ms);
    } else set('election', 1, config.election_wait_ms);
  }

  #later(delay_ms: number, act: () => void): Appointment {
    const one: Appointment = { at_ms: this.#now_ms + delay_ms, order: this.#order++, act };
    const place = this.#agenda.findLastIndex((other) => other.at_ms <= one.at_ms);
    this.#agenda.splice(place + 1, 0, one);
    return one;
  }

  #setTimer(member: Member, timer: TimerName, min_ms: number, max_ms: number): void {
    this.#clearTimer(member, timer);
    const due_ms = min_ms + (max_ms - min_ms) * this.#draw();
    const appointment = this.#later(due_ms, () => {
      member.timers.delete(timer);
      this.#step(member, { type: 'timer', timer });
    });
    member.timers.set(timer, appointment);
  }

  #clearTimer(member: Member, timer: TimerName): void {
    const known = member.timers.get(timer);
    if (known === undefined) return;
    member.timers.delete(timer);
    this.#agenda.splice(this.#agenda.indexOf(known), 1);
  }

  /** Waits are drawn from a fixed sequence, spread evenly over [0, 1): multiples of the golden ratio. */
  #draw(): number {
    return (this.#draws++ * 0.618033988749895) % 1;
  }

  #step(member: Member, event: Event): void {
    const effects = this.protocol.step(member.state, event);
    for (const effect of effects) this.#carryOut(member, effect);
    const { reign } = member.state.proposer;
    if (reign === undefined || reign.round === member.asked_round) return;
    member.asked_round = reign.round;
    this.#later(DELAY_MS, () => this.#ask(member));
  }

  #carryOut(member: Member, effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        return this.#flushSoon(member);
      case 'send':
        if (effect.after > member.state.journal.durable) member.held.push(effect);
        else this.#send(member, effect);
        return;
      case 'set-timer':
        return this.#setTimer(member, effect.timer, effect.min_ms, effect.max_ms);
      case 'clear-timer':
        return this.#clearTimer(member, effect.timer);
      case 'fetch':
        return this.#stream(member, effect.peer, effect.first);
      default:
        return;
    }
  }

  #send(member: Member, { to, message }: SendEffect): void {
    const receiver = this.#members[to];
    const from = member.state.config.self;
    if (receiver === undefined) return;
    this.#later(DELAY_MS, () => this.#step(receiver, { type: 'message', from, message }));
  }

  #flushSoon(member: Member): void {
    if (member.isFlushing) return;
    member.isFlushing = true;
    this.#later(DELAY_MS, () => {
      member.isFlushing = false;
      const position = member.state.journal.appended;
      const waiting = member.held;
      member.held = [];
      for (const effect of waiting) this.#send(member, effect);
      this.#step(member, { type: 'durable', position });
    });
  }

  #stream(member: Member, peer: AgentIndex, first: Entry): void {
    this.#later(DELAY_MS, () => {
      const source = this.#members[peer]?.state.learner;
      for (let e = first as number; source !== undefined && e < source.committed; e++) {
        const decree = source.chosen.get(entryOf(e));
        if (decree === undefined) break;
        this.#step(member, { type: 'fetched', peer, entry: entryOf(e), decrees: [decree] });
      }
      this.#step(member, { type: 'fetch-ended', peer, reason: 'the stream is over' });
    });
  }

  /** A client comes to a new leader with a value. */
  #ask(member: Member): void {
    const connection = connectionId(1 + member.asked_round);
    const hello = { type: MessageType.ClientConnectRequest, request: NO_REQUEST } as const;
    const request = { ...NO_REQUEST, no: requestNumber(1) };
    const ask = { type: MessageType.ClientRequest, request, entry: entryOf(0), value: WANTED } as const;
    this.#step(member, { type: 'client', connection, message: hello });
    this.#step(member, { type: 'client', connection, message: ask });
  }
}
