import type { Address } from '../core/address.js';
import { newAgent, recover, step } from '../core/agent.js';
import { sameDecree, type Decree } from '../core/decree.js';
import type { Effect } from '../core/effect.js';
import type { Event } from '../core/event.js';
import { connectionId, type AgentIndex, type ConnectionId, type Entry, type Position } from '../core/ids.js';
import { InvariantError } from '../core/invariants.js';
import { MESSAGE_NAMES, MessageType, type PeerMessage } from '../core/message.js';
import type { JournalRecord, StoredEntry } from '../core/record.js';
import { DEFAULT_TIMES, type AgentState } from '../core/state.js';
import type { Journal } from '../journal/journal.js';
import { decodeMessage, encodeMessage } from '../wire/codec.js';
import { DatagramPacker } from '../wire/datagram.js';
import { MAX_RIDE_MS, MAX_UNFLUSHED_RECORDS, MAX_WAITING_BYTES } from '../server/bounds.js';
import { Gate } from '../server/gate.js';
import { Waits } from '../server/waits.js';
import { Alarms } from './alarms.js';
import { AppProcess } from './app-process.js';
import { mustHold, SimulationFailure } from './failure.js';
import { judge, stateText, type Hostile } from './hostile.js';
import { readDatagram, type Received } from './inbox.js';
import { LogFetch, LogServer } from './log-transfer.js';
import type { StreamEnd } from './network.js';
import type { Node } from './node.js';
import { Reception } from './reception.js';
import type { World } from './world.js';

/** Datagrams that a socket's buffer holds while the process doesn't read. */
const RECEIVE_BUFFER_DATAGRAMS = 166;

/**
 * One life of a process: the real core, and a driver around it that does with effects what the shipped one does. All it
 * knows dies with it.
 */
export class Life {
  readonly state: AgentState;
  readonly world: World;
  dead = false;
  /** It dies when it has carried out this many more effects. */
  crash_after: { effects: number; readonly power: boolean; readonly down_ms: number } | undefined;
  #paused = false;
  #arrived: (() => void)[] = [];
  #arrivedDatagrams = 0;
  readonly #alarms: Alarms;
  readonly #gate = new Gate(
    ({ to, message, alone }) => this.#pack(to, message, alone),
    () => this.world.schedule.now_ms,
  );
  readonly #waits = new Waits(
    (ms, done) => this.after(ms, done),
    () => {
      if (this.journal.held) this.#release();
      else this.writing();
    },
  );
  readonly #packers = new Map<AgentIndex, DatagramPacker>();
  readonly #reception = new Reception(this, (name, end) => this.#onClosed(name, end));
  readonly #ends = new Set<StreamEnd>();
  #connections = 0;
  #fetch: LogFetch | undefined;
  readonly #servers = new Set<LogServer>();
  readonly #stored = new Map<Entry, StoredEntry>();
  #app: AppProcess | undefined;
  /** Appended and not reported durable, for the checker. */
  #unflushed: JournalRecord[] = [];

  constructor(
    readonly node: Node,
    private readonly journal: Journal,
    records: readonly JournalRecord[],
  ) {
    this.world = node.world;
    const { has_app } = this.world.plan;
    this.state = newAgent({ self: node.self, agents: node.agents, has_app, ...DEFAULT_TIMES });
    this.#alarms = new Alarms(this);
    for (const record of records) {
      this.#remember(record);
      this.#guarded(() => recover(this.state, record));
    }
  }

  begin(): void {
    this.handle({ type: 'start' });
  }

  die(power: boolean): void {
    this.dead = true;
    this.#alarms.stop();
    this.#waits.clear();
    this.#app?.kill();
    this.#fetch?.cancel();
    for (const end of this.#ends) end.reset(power);
  }

  heal(): void {
    this.crash_after = undefined;
    if (this.#paused) this.resume();
    this.#app?.heal();
  }

  /* --- what arrives ---------------------------------------------------------------------------------------------- */

  /** Something reaches the process: at once, or when it runs again. */
  arrive(happens: () => void): void {
    if (this.dead) return;
    if (this.#paused) this.#arrived.push(happens);
    else happens();
  }

  /** Something reaches the process after so many milliseconds, unless it is cancelled by what is given back. */
  after(ms: number, happens: () => void): () => void {
    const made = this.world.schedule.after(ms, () =>
      this.arrive(() => {
        if (!made.cancelled) happens();
      }),
    );
    return () => (made.cancelled = true);
  }

  receive(source: Address, datagram: Buffer): void {
    if (this.#paused && this.#arrivedDatagrams++ >= RECEIVE_BUFFER_DATAGRAMS) {
      return this.world.counters.add('fault: receive buffer full');
    }
    this.arrive(() => {
      const { from, messages, unread, dropped } = this.#read(source, datagram);
      mustHold(dropped.length === 0, 'wire', () => `a peer's datagram is dropped: ${dropped.join()}`);
      if (unread) this.world.counters.add('AcceptRequests read as they came', messages.length);
      const events: Event[] = [];
      for (const { message, text } of messages) {
        const name = MESSAGE_NAMES[message.type];
        this.world.trace.note('deliver', from, this.node.index, name, text);
        const wantsWriting =
          message.type === MessageType.Prepare || message.type === MessageType.AcceptRequest;
        if (wantsWriting && this.#diskIsBehind) this.world.counters.add('dropped: the disk is behind');
        else events.push({ type: 'message', from, message });
      }
      const [first] = events;
      if (first !== undefined) this.handle(events.length === 1 ? first : { type: 'several', events });
    });
  }

  #read(source: Address, datagram: Buffer): Received {
    return readDatagram(this.node.agents, this.node.self, source, datagram);
  }

  /** Something arrives that no correct peer sent. */
  attack(hostile: Hostile): void {
    if (this.#paused) return;
    const { kind, outcome, source, datagrams } = hostile;
    const recorded = outcome !== 'answered';
    const before = outcome === 'safe' ? '' : stateText(this.state, recorded);
    this.world.trace.note('hostile', this.node.index, kind, outcome);
    this.world.counters.add(`hostile, ${outcome}: ${kind}`);
    this.world.counters.add('hostile datagrams', datagrams.length);
    const effects: Effect[] = [];
    for (const datagram of datagrams) {
      const { from, messages } = this.#read(source, datagram);
      mustHold(outcome !== 'refused' || messages.length === 0, '11 bad input', () => `${kind}: it is read`);
      for (const { message } of messages) effects.push(...this.handle({ type: 'message', from, message }));
    }
    judge(hostile, before, outcome === 'safe' ? '' : stateText(this.state, recorded), effects);
  }

  pause(): void {
    this.#paused = true;
    this.world.trace.note('pause', this.node.index);
  }

  /** Runs again: what queued in the sockets first and then the timers that came due; or, unwisely, the other way. */
  resume(): void {
    if (this.dead || !this.#paused) return;
    const { random, plan, calm } = this.world;
    this.#paused = false;
    this.#arrivedDatagrams = 0;
    const timersFirst = !calm && random.chance(plan.timers_first);
    this.world.trace.note('resume', this.node.index, timersFirst);
    const arrived = this.#arrived;
    const ring = this.#alarms.overdue();
    this.#arrived = [];
    if (timersFirst) ring();
    for (const happens of arrived) this.arrive(happens);
    if (!timersFirst) ring();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** One event, start to end: what the core decides is carried out in order. Returns it. */
  handle(event: Event): readonly Effect[] {
    if (this.dead) return [];
    const { checker } = this.world;
    const effects = this.#guarded(() => step(this.state, event));
    checker.afterStep(this.node.index, this.state);
    for (const effect of effects) {
      this.#carryOut(effect);
      if (this.#crashesNow()) return effects;
    }
    this.#sendPacked();
    this.#gate.observe(this.state);
    if (this.journal.held && this.mayBegin()) this.#release();
    return effects;
  }

  #guarded<T>(act: () => T): T {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      throw new SimulationFailure(
        `core: ${error.invariant}`,
        `node ${this.node.index}: ${JSON.stringify(error.details)}`,
      );
    }
  }

  #crashesNow(): boolean {
    const { crash_after } = this;
    if (crash_after === undefined || crash_after.effects-- > 0) return false;
    // What was packed may have left already, or not.
    if (this.world.random.chance(0.5)) this.#sendPacked();
    this.node.crashFor(crash_after.power, crash_after.down_ms);
    return true;
  }

  /* --- effects --------------------------------------------------------------------------------------------------- */

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        return this.#persist(effect.record);
      case 'send':
        this.#gate.pass(effect);
        if (this.#gate.riding > 0) this.#waits.within(MAX_RIDE_MS);
        return;
      case 'reply':
        return this.#reception.reply(effect.connection, effect.message);
      case 'close':
        return this.#reception.close(effect.connection);
      case 'set-timer':
        return this.#alarms.set(effect.timer, effect.min_ms, effect.max_ms);
      case 'clear-timer':
        return this.#alarms.clear(effect.timer);
      case 'load':
        return this.#load(effect.entry, effect.retry);
      case 'fetch':
        this.#fetch?.cancel();
        this.#fetch = new LogFetch(this, effect.peer, effect.first);
        return;
      case 'cancel-fetch':
        this.#fetch?.cancel();
        this.#fetch = undefined;
        this.world.counters.add('catch-up finished');
        return;
      default:
        return this.#heed(effect);
    }
  }

  #heed(effect: Effect & { type: 'committed' | 'reign' | 'abdicate' | 'follow' | 'note' }): void {
    const { trace, counters, plan } = this.world;
    switch (effect.type) {
      case 'committed':
        for (const server of this.#servers) server.wake();
        this.#app?.wake();
        return;
      case 'reign':
        trace.note('reign', this.node.index, effect.round);
        counters.add('reigns');
        this.world.checker.onReign(this.node.index, this.state);
        if (plan.has_app) this.#app = new AppProcess(this);
        return;
      case 'abdicate':
        trace.note('abdicate', this.node.index, effect.round, effect.reason);
        if (effect.reason.includes('disk')) counters.add('step-down for a silent disk');
        counters.add(`abdicated: ${effect.reason}`);
        this.#app?.kill();
        this.#app = undefined;
        return;
      case 'follow':
        this.#alarms.follow(effect.leader);
        return trace.note('follow', this.node.index, effect.leader);
      case 'note':
        if (effect.level !== 'debug') trace.note('note', this.node.index, effect.code);
        return counters.add(`note: ${effect.code}`);
    }
  }

  #remember(record: JournalRecord): void {
    if (record.verdict !== 'accepted' && record.verdict !== 'learnt') return;
    const round = record.verdict === 'accepted' ? record.round : (-1 as StoredEntry['round']);
    this.#stored.set(record.entry, { entry: record.entry, round, decree: record.decree });
  }

  /** The latest record of an entry, as the journal would read it. */
  stored(entry: Entry): StoredEntry {
    const found = this.#stored.get(entry);
    if (found === undefined) throw new SimulationFailure('journal', `entry ${entry} isn't in the journal`);
    return found;
  }

  #load(entry: Entry, retry: Event): void {
    this.world.counters.add('entries loaded');
    this.world.schedule.after(this.world.random.between(0.05, 2), () =>
      this.arrive(() => this.#readBack(entry, retry)),
    );
  }

  /** Reads from the journal's files, and holds what comes against what was written there. */
  #readBack(entry: Entry, retry: Event): void {
    this.world.stir();
    const loaded = (stored: StoredEntry): void => {
      if (this.dead) return;
      const { round, decree } = this.stored(entry);
      const same = stored.entry === entry && stored.round === round && sameDecree(stored.decree, decree);
      mustHold(same, 'journal', () => `entry ${entry} is read back as ${JSON.stringify(stored)}`);
      this.handle({ type: 'loaded', stored, retry });
    };
    const failed = (error: unknown): void => {
      throw new SimulationFailure('journal', `node ${this.node.index}: ${String(error)}`);
    };
    this.journal.read(entry).then(
      (stored) => this.world.enter(() => this.arrive(() => loaded(stored))),
      (error: unknown) => this.world.enter(() => failed(error)),
    );
  }

  /* --- sending --------------------------------------------------------------------------------------------------- */

  #pack(to: AgentIndex, message: PeerMessage, alone: boolean): void {
    this.world.checker.onSend(this.node.index, to, message);
    this.world.counters.add(`sent: ${MESSAGE_NAMES[message.type] ?? ''}`);
    const text = encodeMessage(message, this.world.agents[this.node.index]);
    if (alone) return this.#transmit(to, Buffer.from(text, 'utf8'));
    let packer = this.#packers.get(to);
    if (packer === undefined) this.#packers.set(to, (packer = new DatagramPacker()));
    const full = packer.add(text);
    if (full !== undefined) this.#transmit(to, full);
  }

  #sendPacked(): void {
    for (const [to, packer] of this.#packers) {
      const datagram = packer.flush();
      if (datagram !== undefined) this.#transmit(to, datagram);
    }
  }

  #transmit(to: AgentIndex, datagram: Buffer): void {
    this.world.network.send(this.node.index, to, datagram, (arrived) => {
      this.world.checker.nodes[to]?.receive(this.node.address, arrived);
    });
  }

  /* --- the disk -------------------------------------------------------------------------------------------------- */

  #persist(record: JournalRecord): void {
    this.#remember(record);
    this.#unflushed.push(record);
    this.journal.append(record);
    this.world.stir();
  }

  /** The journal says that everything up to `end` is on the disk. */
  onDurable(end: Position): void {
    const flushed = this.#unflushed.length - (this.journal.appended - end);
    this.world.trace.note('durable', this.node.index, end);
    this.world.checker.onDurable(this.node.index, this.#unflushed.splice(0, flushed));
    // As in the shipped driver, what was held back leaves before the core hears of it; either order must be safe.
    const releaseFirst = this.world.random.chance(0.5);
    if (releaseFirst) this.#gate.open(end);
    this.#fetch?.resume();
    this.handle({ type: 'durable', position: end });
    if (this.dead) return;
    if (!releaseFirst) this.#gate.open(end);
    this.#sendPacked();
  }

  /** A group of records begins to be written, or takes its time: the proposals that wait for it leave. */
  writing(): void {
    this.#waits.clear();
    this.#gate.depart();
    this.#sendPacked();
  }

  /** Asked by the journal before it begins a group: as in the shipped driver. */
  mayBegin(): boolean {
    const wait_ms = this.#gate.wait_ms(this.state);
    if (wait_ms > 0) this.#waits.within(wait_ms);
    return wait_ms === 0;
  }

  #release(): void {
    this.world.stir();
    this.journal.release();
  }

  /** Whether more waits for the disk than may: then nothing is taken in that has to be written. */
  get #diskIsBehind(): boolean {
    return this.journal.waiting_bytes > (this.world.plan.max_waiting_bytes ?? MAX_WAITING_BYTES);
  }

  /** Entries came from a peer together; a stream that is faster than the disk is held up. */
  fetched(peer: AgentIndex, entry: Entry, decrees: readonly Decree[]): void {
    this.handle({ type: 'fetched', peer, entry, decrees });
    const unflushed = this.journal.appended - this.journal.durable;
    if (unflushed < MAX_UNFLUSHED_RECORDS && !this.#diskIsBehind) return;
    this.world.counters.add('streams held up for the disk');
    this.#fetch?.pause();
  }

  /* --- streams --------------------------------------------------------------------------------------------------- */

  /** A connection from a client or a peer: its first message says which. */
  accept(end: StreamEnd): void {
    this.track(end);
    const name = connectionId(++this.#connections);
    end.onText = (text) => this.arrive(() => this.#onText(name, end, text));
    end.onEnd = () => this.arrive(() => this.handle({ type: 'client-ended', connection: name }));
    end.onClose = () => this.arrive(() => this.#onClosed(name, end));
  }

  track(end: StreamEnd): void {
    this.#ends.add(end);
  }

  #onText(name: ConnectionId, end: StreamEnd, text: string): void {
    if (!end.open && !this.#reception.knows(name)) return;
    const decoded = decodeMessage(text);
    if (!decoded.ok) throw new SimulationFailure('wire', `a client's message can't be read: ${text}`);
    const { message } = decoded;
    switch (message.type) {
      case MessageType.ClientApp: {
        const server = new LogServer(this, end, message.entry);
        this.#servers.add(server);
        end.onClose = () => this.#servers.delete(server);
        return server.wake();
      }
      case MessageType.ClientConnectRequest:
      case MessageType.ClientRequest:
        this.#reception.asked(name, end);
        this.world.trace.note('client', this.node.index, name, text);
        this.handle({ type: 'client', connection: name, message });
        return;
      default:
        throw new SimulationFailure('wire', `a client sent ${text}`);
    }
  }

  #onClosed(name: ConnectionId, end: StreamEnd): void {
    this.#ends.delete(end);
    this.#reception.forget(name);
    this.handle({ type: 'client-closed', connection: name });
  }

  /** Every connection of this process is torn. */
  breakStreams(): void {
    for (const end of [...this.#ends]) {
      if (!end.open) continue;
      const told = end.onClose;
      end.reset(false);
      told();
    }
  }

  /** The application, while this node leads. */
  get app(): AppProcess | undefined {
    return this.#app;
  }
}
