import { CALM_NETWORK, type NetworkPlan } from './plan.js';
import type { Counters } from './counters.js';
import type { Random } from './random.js';
import type { Schedule } from './schedule.js';

/** A place that messages go between: nodes are 0, 1, …; clients come from FIRST_CLIENT_HOST on. */
export type Host = number;
export const FIRST_CLIENT_HOST = 100;

/** Old datagrams of a link that may come again. */
const REMEMBERED_DATAGRAMS = 64;

/** How often a blocked stream tries again, as TCP would. */
const STREAM_RETRY_MS = 100;

/** The network: who can reach whom, and what becomes of datagrams and streams on the way. */
export class Network {
  #conditions: NetworkPlan;
  /** How many cuts lie on a directed link. */
  readonly #cuts = new Map<number, number>();
  readonly #old = new Map<number, Buffer[]>();

  constructor(
    private readonly schedule: Schedule,
    private readonly random: Random,
    private readonly counters: Counters,
    private readonly nodes: number,
    conditions: NetworkPlan,
  ) {
    this.#conditions = conditions;
  }

  isCut(from: Host, to: Host): boolean {
    return (this.#cuts.get(link(from, to)) ?? 0) > 0;
  }

  cut(from: Host, to: Host): void {
    this.#cuts.set(link(from, to), (this.#cuts.get(link(from, to)) ?? 0) + 1);
  }

  mend(from: Host, to: Host): void {
    const cuts = (this.#cuts.get(link(from, to)) ?? 0) - 1;
    if (cuts > 0) this.#cuts.set(link(from, to), cuts);
    else this.#cuts.delete(link(from, to));
  }

  /** From now on every link is whole, quick and true. */
  heal(): void {
    this.#cuts.clear();
    this.#old.clear();
    this.#conditions = CALM_NETWORK;
  }

  delay_ms(): number {
    const { spike, spike_ms, least_ms, most_ms } = this.#conditions;
    if (spike > 0 && this.random.chance(spike)) return this.random.between(least_ms, spike_ms + least_ms);
    return this.random.between(least_ms, most_ms);
  }

  /** Hands a datagram to `deliver` after a while: once, twice, or never; perhaps with an old one behind it. */
  send(from: Host, to: Host, datagram: Buffer, deliver: (datagram: Buffer) => void): void {
    const { loss, duplicate, replay } = this.#conditions;
    this.counters.add('datagrams');
    if (this.isCut(from, to)) return this.counters.add('fault: datagram cut off');
    if (loss > 0 && this.random.chance(loss)) return this.counters.add('fault: datagram lost');
    this.#carry(from, to, datagram, deliver);
    if (duplicate > 0 && this.random.chance(duplicate)) {
      this.counters.add('fault: datagram duplicated');
      this.#carry(from, to, datagram, deliver);
    }
    if (replay === 0) return;
    const old = this.#old.get(link(from, to)) ?? [];
    if (old.length > 0 && this.random.chance(replay)) {
      this.counters.add('fault: old datagram replayed');
      this.#carry(from, to, this.random.pick(old), deliver);
    }
    if (old.length < REMEMBERED_DATAGRAMS) old.push(datagram);
    else old[this.random.below(REMEMBERED_DATAGRAMS)] = datagram;
    this.#old.set(link(from, to), old);
  }

  #carry(from: Host, to: Host, datagram: Buffer, deliver: (datagram: Buffer) => void): void {
    const late_ms = this.#conditions.late_links[from * this.nodes + to] ?? 0;
    this.schedule.after(this.delay_ms() + late_ms, () => {
      if (!this.isCut(from, to)) deliver(datagram);
    });
  }

  /** A stream between two hosts, already connected. */
  connect(a: Host, b: Host): [StreamEnd, StreamEnd] {
    const one = new StreamEnd(this, this.schedule, a, b);
    const other = new StreamEnd(this, this.schedule, b, a);
    one.peer = other;
    other.peer = one;
    return [one, other];
  }
}

function link(from: Host, to: Host): number {
  return from * 1024 + to;
}

type Parcel =
  { readonly kind: 'text'; readonly text: string } | { readonly kind: 'end' } | { readonly kind: 'close' };

/** One end of a TCP connection: what is sent arrives in order, late behind a cut, or never once it is reset. */
export class StreamEnd {
  peer: StreamEnd | undefined;
  onText: (text: string) => void = () => undefined;
  /** The other end sends nothing more. */
  onEnd: () => void = () => undefined;
  /** The connection is gone. Called once, and not at the end that closed it. */
  onClose: () => void = () => undefined;
  #open = true;
  readonly #queue: { readonly at_ms: number; readonly parcel: Parcel }[] = [];
  #pumping = false;

  constructor(
    private readonly network: Network,
    private readonly schedule: Schedule,
    private readonly here: Host,
    private readonly there: Host,
  ) {}

  get open(): boolean {
    return this.#open;
  }

  send(text: string): void {
    if (this.#open) this.#put({ kind: 'text', text });
  }

  /** Sends nothing more, and still reads. */
  end(): void {
    if (this.#open) this.#put({ kind: 'end' });
  }

  /** Closes; what was sent before still arrives. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#put({ kind: 'close' });
  }

  /** The host is gone, or the connection torn: nothing on its way arrives. Silent: the other end isn't even told. */
  reset(silent: boolean): void {
    this.#queue.length = 0;
    if (this.peer) this.peer.#queue.length = 0;
    if (!this.#open) return;
    this.#open = false;
    if (!silent) this.#put({ kind: 'close' });
  }

  #put(parcel: Parcel): void {
    const latest = this.#queue.at(-1)?.at_ms ?? 0;
    this.#queue.push({ at_ms: Math.max(latest, this.schedule.now_ms + this.network.delay_ms()), parcel });
    this.#pump();
  }

  #pump(): void {
    const next = this.#queue[0];
    if (this.#pumping || next === undefined) return;
    this.#pumping = true;
    const wait_ms = Math.max(0, next.at_ms - this.schedule.now_ms);
    this.schedule.after(
      this.network.isCut(this.here, this.there) ? wait_ms + STREAM_RETRY_MS : wait_ms,
      () => {
        this.#pumping = false;
        if (!this.network.isCut(this.here, this.there)) {
          const first = this.#queue.shift();
          if (first !== undefined) this.peer?.take(first.parcel);
        }
        this.#pump();
      },
    );
  }

  private take(parcel: Parcel): void {
    if (!this.#open) return;
    switch (parcel.kind) {
      case 'text':
        return this.onText(parcel.text);
      case 'end':
        return this.onEnd();
      case 'close':
        this.#open = false;
        return this.onClose();
    }
  }
}
