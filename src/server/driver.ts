import { formatAddress, type Address } from '../core/address.js';
import { step } from '../core/agent.js';
import type { Decree } from '../core/decree.js';
import type { Effect } from '../core/effect.js';
import type { Event } from '../core/event.js';
import type { AgentIndex, ConnectionId, Entry, Position } from '../core/ids.js';
import { MessageType, type PeerMessage } from '../core/message.js';
import type { AgentState } from '../core/state.js';
import type { Journal } from '../journal/journal.js';
import type { ClientConnection } from '../net/client-connection.js';
import { askPort } from '../net/ask-port.js';
import { fetchLog, type LogFetch } from '../net/fetch-log.js';
import type { AgentSocket } from '../net/agent-socket.js';
import type { Log } from '../net/logging.js';
import {
  MAX_EVENTS_AT_ONCE,
  MAX_FETCHED_AT_ONCE,
  MAX_RIDE_MS,
  MAX_UNFLUSHED_RECORDS,
  MAX_WAITING_BYTES,
} from './bounds.js';
import type { Clock } from './clock.js';
import { Gate } from './gate.js';
import { LeaderProbe } from './leader-probe.js';
import { Timers } from './timers.js';
import { traceEffect, traceEvent } from './trace.js';
import { Waits, type After } from './waits.js';

const after: After = (ms, done) => {
  const timer = setTimeout(done, Math.ceil(ms));
  return () => clearTimeout(timer);
};

/** What the driver tells the agent around it; the core knows nothing of any of it. */
export interface DriverCallbacks {
  onReign(): void;
  onAbdicate(reason: string): void;
  onFollow(leader: AgentIndex | undefined): void;
  onCommitted(committed: Entry): void;
  /** The program or the disk is at fault: nothing may leave any more. */
  onFatal(error: Error): void;
  /** Events were handled: requests may have been answered. */
  onHandled(): void;
  /** Input was ignored or refused; for counting. */
  onNote(code: string): void;
}

export interface DriverOptions {
  readonly state: AgentState;
  readonly journal: Journal;
  readonly socket: AgentSocket;
  readonly callbacks: DriverCallbacks;
  readonly clock: Clock;
  readonly log: Log;
  readonly log_debug: boolean;
}

/**
 * The only executor of effects (docs/architecture.md). Events are handled one after the other, each to its end;
 * whatever a handler brings about meanwhile waits its turn.
 */
export class Driver {
  readonly #options: DriverOptions;
  readonly #gate: Gate;
  readonly #timers: Timers;
  readonly #connections = new Map<ConnectionId, ClientConnection>();
  readonly #events: Event[] = [];
  #running = false;
  /** Whether more is handled before what follows from it. */
  #together = false;
  /** What has come at once so far and was not handled yet. */
  #several: Event[] = [];
  #committed: Entry | undefined;
  #stopped = false;
  #fetch: LogFetch | undefined;
  #fetch_paused = false;
  /** What the stream has brought and was not handled yet. */
  #fetched: (Event & { type: 'fetched'; readonly decrees: Decree[] }) | undefined;
  readonly #waits = new Waits(after, () => this.#begin());
  readonly #probe: LeaderProbe;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { now_ms } = options.clock;
    this.#gate = new Gate(({ to, message, alone }) => options.socket.send(to, message, alone), now_ms);
    this.#timers = new Timers({
      onTimer: (timer) => this.dispatch({ type: 'timer', timer }),
      drain: () => options.socket.drain(),
      now_ms,
    });
    const { heartbeat_ms, leader_timeout_ms } = options.state.config;
    this.#probe = new LeaderProbe({
      heartbeat_ms,
      leader_timeout_ms,
      after,
      now_ms,
      ask: (leader, onAnswer) =>
        askPort(this.#address(options.state.config.self), this.#address(leader), onAnswer),
      onGone: (leader) => this.#onLeaderGone(leader),
    });
  }

  #address(agent: AgentIndex): Address {
    const address = this.#options.state.config.agents[agent];
    if (address === undefined) throw new Error(`there is no agent ${agent}`);
    return address;
  }

  /** Its time is over before it has run out. */
  #onLeaderGone(leader: AgentIndex): void {
    const name = formatAddress(this.#address(leader));
    this.#options.log('info', 'leader-gone', `nobody listens at ${name} any more: waits for it no longer`);
    this.#timers.expire('leader');
  }

  /** Messages that wait for the disk. */
  get held(): number {
    return this.#gate.waiting;
  }

  /** Hands an event to the core and carries out what it wants. */
  dispatch(event: Event): void {
    if (this.#several.length > 0) this.#handleSeveral();
    if (this.#stopped) return;
    this.#events.push(event);
    if (this.#running) return;
    this.#running = true;
    const { state, log, log_debug } = this.#options;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        if (log_debug) traceEvent(log, next);
        for (const effect of step(state, next)) this.#execute(effect);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = false;
    }
    if (!this.#together) this.#followUp();
  }

  /** Handles what came at once. What is to be done after every event is done once, after the last. */
  together(handle: () => void): void {
    if (this.#together) return handle();
    const { clock } = this.#options;
    this.#together = true;
    clock.stop();
    try {
      handle();
    } finally {
      this.#handleSeveral();
      this.#together = false;
      clock.run();
    }
    this.#followUp();
  }

  /** An event of which many come at once, and may be handled with those behind it. */
  dispatchSoon(event: Event): void {
    if (!this.#together) return this.dispatch(event);
    this.#several.push(event);
    if (this.#several.length >= MAX_EVENTS_AT_ONCE) this.#handleSeveral();
  }

  #handleSeveral(): void {
    const events = this.#several;
    const [first] = events;
    if (first === undefined) return;
    this.#several = [];
    this.dispatch(events.length === 1 ? first : { type: 'several', events });
  }

  #followUp(): void {
    if (this.#stopped) return;
    const { state, journal, callbacks } = this.#options;
    if (this.#committed !== undefined) {
      const committed = this.#committed;
      this.#committed = undefined;
      callbacks.onCommitted(committed);
    }
    this.#gate.observe(state);
    if (journal.held && !this.#hasStopped() && this.mayBegin()) journal.release();
    callbacks.onHandled();
  }

  /** In a method, as the compiler takes a field for unchanged across a call. */
  #hasStopped(): boolean {
    return this.#stopped;
  }

  /** Asked by the journal before it begins a group: it may, or is told when it may. */
  mayBegin(): boolean {
    if (this.#stopped) return true;
    const wait_ms = this.#gate.wait_ms(this.#options.state);
    if (wait_ms > 0) this.#waits.within(wait_ms);
    return wait_ms === 0;
  }

  /** The next group has waited long enough. */
  #begin(): void {
    if (this.#options.journal.held) this.#options.journal.release();
    else this.writing();
  }

  /** Requests that were taken in and are not answered, about: those of which several wait for one entry count once. */
  get open_requests(): number {
    const { queue, answers } = this.#options.state.clients;
    return queue.length + answers.waiters.size;
  }

  /** A peer said something. What it wants written down is dropped while the disk is too far behind. */
  receive(from: AgentIndex, message: PeerMessage): void {
    const wantsWriting = message.type === MessageType.Prepare || message.type === MessageType.AcceptRequest;
    if (wantsWriting && this.disk_is_behind) return this.#options.callbacks.onNote('disk-behind');
    this.dispatchSoon({ type: 'message', from, message });
  }

  /**
   * Whether more waits for the disk than a bounded memory allows. A leader's disk may fall behind too: the others are a
   * quorum without it, so that requests are answered as fast as they come.
   */
  get disk_is_behind(): boolean {
    return this.#options.journal.waiting_bytes > MAX_WAITING_BYTES;
  }

  /** A client said something: from now on replies reach it. */
  dispatchClient(connection: ClientConnection, event: Event & { type: 'client' }): void {
    this.#connections.set(connection.id, connection);
    this.dispatch(event);
  }

  clientEnded(connection: ClientConnection): void {
    this.#connections.set(connection.id, connection);
    this.dispatch({ type: 'client-ended', connection: connection.id });
  }

  clientClosed(connection: ClientConnection): void {
    if (this.#connections.delete(connection.id)) {
      this.dispatch({ type: 'client-closed', connection: connection.id });
    }
  }

  /** The journal has made everything up to `position` durable: first the messages that waited for it, then the votes. */
  durable(position: Position): void {
    if (this.#stopped) return;
    this.#gate.open(position);
    // All that waited for this flush is together: there is nothing to wait for until the turn's end.
    this.#options.socket.flush();
    if (this.#fetch_paused) {
      this.#fetch_paused = false;
      this.#fetch?.resume();
    }
    this.dispatch({ type: 'durable', position });
  }

  /** A group of records is about to be written, or takes too long to begin: the proposals that wait for it leave. */
  writing(): void {
    if (this.#stopped) return;
    this.#waits.clear();
    this.#gate.depart();
    this.#options.socket.flush();
  }

  /** Tells clients whose requests are still open that no answer will come from here. */
  sayGoodbye(): void {
    for (const [id, connection] of this.#connections) {
      const known = this.#options.state.clients.connections.get(id);
      if (known === undefined || known.outstanding + known.waiting.length === 0) continue;
      connection.refuse('stopping', 'this node is stopping; ask another one again with the same id and no');
    }
  }

  /** Nothing is handled or sent any more. */
  stop(): void {
    this.#stopped = true;
    this.#timers.stop();
    this.#probe.stop();
    this.#waits.clear();
    this.#fetch?.cancel();
    this.#events.length = 0;
  }

  #fail(error: unknown): void {
    this.stop();
    this.#options.callbacks.onFatal(error instanceof Error ? error : new Error(String(error)));
  }

  #execute(effect: Effect): void {
    const { callbacks, journal, log, log_debug } = this.#options;
    if (log_debug) traceEffect(log, effect);
    switch (effect.type) {
      case 'persist':
        journal.append(effect.record);
        return;
      case 'send':
        this.#gate.pass(effect);
        if (this.#gate.riding > 0) this.#waits.within(MAX_RIDE_MS);
        return;
      case 'reply':
        this.#connections.get(effect.connection)?.send(effect.message);
        return;
      case 'close':
        return this.#connections.get(effect.connection)?.close();
      case 'set-timer':
        if (effect.timer === 'leader') this.#probe.heard();
        return this.#timers.set(effect.timer, effect.min_ms, effect.max_ms);
      case 'clear-timer':
        return this.#timers.clear(effect.timer);
      case 'load':
        return this.#load(effect.entry, effect.retry);
      case 'fetch':
        return this.#startFetch(effect.peer, effect.first);
      case 'cancel-fetch':
        this.#fetch?.cancel();
        this.#fetch = undefined;
        this.#fetched = undefined;
        return;
      case 'committed':
        this.#committed = effect.committed;
        return;
      case 'reign':
        return callbacks.onReign();
      case 'abdicate':
        return callbacks.onAbdicate(effect.reason);
      case 'follow':
        this.#probe.follow(effect.leader === this.#options.state.config.self ? undefined : effect.leader);
        return callbacks.onFollow(effect.leader);
      case 'note':
        if (effect.level !== 'info') callbacks.onNote(effect.code);
        return log(effect.level, effect.code, effect.text, effect.details);
    }
  }

  /** Reads an old entry back and has its event handled again, as if it had arrived a little later. */
  #load(entry: Entry, retry: Event): void {
    this.#options.journal.read(entry).then(
      (stored) => this.dispatch({ type: 'loaded', stored, retry }),
      (error: unknown) => this.#fail(error),
    );
  }

  #startFetch(peer: AgentIndex, first: Entry): void {
    this.#fetch?.cancel();
    this.#fetched = undefined;
    this.#fetch_paused = false;
    this.#fetch = fetchLog({
      self: this.#address(this.#options.state.config.self),
      peer: this.#address(peer),
      first,
      onEntry: (entry, decree) => this.#take(peer, entry, decree),
      onEnded: (reason) => {
        this.#handleFetched();
        this.#fetch = undefined;
        this.dispatch({ type: 'fetch-ended', peer, reason });
      },
    });
  }

  /** What one read of the stream brings is one event: the commit index, too, is written down once for all of it. */
  #take(peer: AgentIndex, entry: Entry, decree: Decree): void {
    if (this.#fetched === undefined) {
      this.#fetched = { type: 'fetched', peer, entry, decrees: [] };
      queueMicrotask(() => this.#handleFetched());
    }
    this.#fetched.decrees.push(decree);
    if (this.#fetched.decrees.length >= MAX_FETCHED_AT_ONCE) this.#handleFetched();
  }

  #handleFetched(): void {
    const fetched = this.#fetched;
    if (fetched === undefined) return;
    this.#fetched = undefined;
    this.dispatch(fetched);
    this.#holdFetch();
  }

  /** A stream faster than the disk is held up, so that what waits to be flushed stays bounded. */
  #holdFetch(): void {
    const { journal } = this.#options;
    const records = journal.appended - journal.durable;
    if (this.#fetch_paused || (records < MAX_UNFLUSHED_RECORDS && !this.disk_is_behind)) return;
    this.#fetch_paused = true;
    this.#fetch?.pause();
  }
}
