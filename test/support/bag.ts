import type { Event, TimerName } from '../../src/core/event.js';
import { isNoOp, type Decree } from '../../src/core/decree.js';
import { entry, type AgentIndex } from '../../src/core/ids.js';
import type { MessageType } from '../../src/core/message.js';
import { CoreNode, type Sent } from './core-node.js';
import { ask, config, connection, hello } from './make.js';
import { SeededRandom } from './random.js';
import { SafetyWatch } from './safety-watch.js';

/** How often things happen, per event. What is left over are deliveries. */
export interface Odds {
  readonly timer: number;
  readonly flush: number;
  readonly crash: number;
  readonly request: number;
  readonly stream: number;
  /** Share of deliveries drawn from what was never delivered; the rest come from all that was ever sent. */
  readonly fresh: number;
  /** Chance that another message for the same agent comes at once with one. */
  readonly together: number;
}

export const USUAL: Odds = {
  timer: 0.1,
  flush: 0.3,
  crash: 0.001,
  request: 0.04,
  stream: 0.1,
  fresh: 0.5,
  together: 0.3,
};

/** Past this many of a type, the oldest is left to the bag alone: it is late until it turns up there. */
const MAX_FRESH_PER_AGENT = 10;

/** Timers that are long beside the way of a message: without some patience no try and no reign gets anywhere. */
const SLOW: ReadonlySet<TimerName> = new Set(['leader', 'election', 'try', 'progress']);

/** Chance that a slow timer fires when it is its turn: calm, in which reigns last, up to turmoil. It changes at times. */
const HASTES = [0.02, 0.1, 0.5] as const;
const WEATHER_CHANGES = 0.002;

/** Leaders take new requests up to this many entries in flight: reporting a long tail takes longer than a try has. */
const MAX_IN_FLIGHT = 6;

/**
 * Messages by type, so that the many Promises of a long log don't crowd out the rest. `fresh` are those not yet
 * delivered, `all` every one ever sent.
 */
class TypedBag {
  readonly #all = new Map<MessageType, Sent[]>();
  readonly #fresh = new Map<MessageType, Sent[]>();

  constructor(
    private readonly random: SeededRandom,
    private readonly max_fresh: number,
  ) {}

  put(sent: Sent): void {
    const { type } = sent.message;
    listOf(this.#all, type).push(sent);
    const fresh = listOf(this.#fresh, type);
    fresh.push(sent);
    if (fresh.length > this.max_fresh) fresh.shift();
  }

  any(): Sent | undefined {
    const lists = [...this.#all.values()];
    return lists.length === 0 ? undefined : this.random.pick(this.random.pick(lists));
  }

  takeFresh(): Sent | undefined {
    const lists = [...this.#fresh.values()].filter((list) => list.length > 0);
    return lists.length === 0 ? undefined : takeAny(this.random, this.random.pick(lists));
  }

  /** A message for an agent that has others already: one not yet delivered if there is one of the type picked, or any. */
  another(to: AgentIndex): Sent | undefined {
    const lists = [...this.#all.keys()];
    if (lists.length === 0) return undefined;
    const type = this.random.pick(lists);
    const fresh = listOf(this.#fresh, type);
    const index = fresh.findIndex((sent) => sent.to === to);
    if (index >= 0) return fresh.splice(index, 1)[0];
    const old = this.random.pick(listOf(this.#all, type));
    return old.to === to ? old : undefined;
  }
}

function takeAny(random: SeededRandom, list: Sent[]): Sent {
  const index = random.below(list.length);
  const sent = list[index]!;
  list.splice(index, 1);
  return sent;
}

function listOf(lists: Map<MessageType, Sent[]>, type: MessageType): Sent[] {
  const known = lists.get(type);
  if (known !== undefined) return known;
  const fresh: Sent[] = [];
  lists.set(type, fresh);
  return fresh;
}

/**
 * Agents in a world without time. Every message ever sent stays in a bag and is delivered at random, any number of
 * times, in any order; what is not durable is lost in crashes; any timer may fire at any moment.
 */
export class Bag {
  readonly watch: SafetyWatch;
  readonly nodes: CoreNode[];
  readonly bag: TypedBag;
  readonly counts = {
    deliveries: 0,
    reigns: 0,
    crashes: 0,
    records_lost: 0,
    old_values_again: 0,
    no_ops: 0,
    learnt: 0,
    abdications: 0,
    answers: 0,
    at_once: 0,
  };
  /** What becomes of each message that leaves; a test may take them over. */
  onSent: (sent: Sent) => void = (sent) => this.bag.put(sent);
  /** Looks at an agent after each of its steps. */
  onStep: (node: CoreNode) => void = () => undefined;
  #haste: number = HASTES[0];
  #values = 0;
  #connections = 0;

  constructor(
    readonly random: SeededRandom,
    agents: number,
    private readonly odds: Odds,
  ) {
    this.watch = new SafetyWatch(agents);
    this.bag = new TypedBag(random, MAX_FRESH_PER_AGENT * agents);
    this.nodes = Array.from(
      { length: agents },
      (_unused, i) => new CoreNode(config(i, agents), this.watch, (sent) => this.onSent(sent)),
    );
    for (const node of this.nodes) this.#look(node, node.step({ type: 'start' }));
  }

  run(deliveries: number): void {
    while (this.counts.deliveries < deliveries) this.#next();
  }

  #next(): void {
    const { random, odds } = this;
    if (random.chance(WEATHER_CHANGES)) this.#haste = random.pick(HASTES);
    const node = random.pick(this.nodes);
    let dice = random.next();
    const happens = (odd: number): boolean => (dice -= odd) < 0;
    if (happens(odds.timer)) return this.#fire(node);
    if (happens(odds.flush)) return this.#flush(node);
    if (happens(odds.crash)) return this.#crash(node);
    if (happens(odds.request)) return this.#request(node);
    if (happens(odds.stream)) return this.#stream(node);
    this.#deliver();
  }

  #look(node: CoreNode, effects: ReturnType<CoreNode['step']>): void {
    this.onStep(node);
    for (const effect of effects) {
      if (effect.type === 'abdicate') this.counts.abdications++;
      if (effect.type === 'reply') this.counts.answers++;
      if (effect.type === 'persist' && effect.record.verdict === 'learnt') this.counts.learnt++;
      if (effect.type !== 'reign') continue;
      this.counts.reigns++;
      for (const decree of node.state.proposer.reign?.inherited ?? []) {
        if (isNoOp(decree)) this.counts.no_ops++;
        else this.counts.old_values_again++;
      }
    }
  }

  #fire(node: CoreNode): void {
    if (node.timers.size === 0) return;
    const timer = this.random.pick([...node.timers.keys()]);
    if (!SLOW.has(timer) || this.random.chance(this.#haste)) this.#look(node, node.fire(timer));
  }

  #flush(node: CoreNode): void {
    if (node.pending === 0) return;
    this.#look(node, node.flush(1 + this.random.below(node.pending)));
  }

  #crash(node: CoreNode): void {
    this.counts.crashes++;
    this.counts.records_lost += node.crash();
    this.#look(node, node.restart());
  }

  #request(node: CoreNode): void {
    const { reign } = node.state.proposer;
    if (reign === undefined || reign.in_flight.size >= MAX_IN_FLIGHT) return;
    const from = connection(++this.#connections);
    this.#look(node, node.step({ type: 'client', connection: from, message: hello() }));
    for (let no = 1 + this.random.below(3); no > 0; no--) {
      const message = ask(no, `v${this.#values++}`);
      this.#look(node, node.step({ type: 'client', connection: from, message }));
    }
    this.#look(node, node.step({ type: 'client-closed', connection: from }));
  }

  /** Catch-up: the source hands on the next entries that it knows chosen, one or some, or the stream breaks. */
  #stream(node: CoreNode): void {
    const { source } = node.state.catchup;
    if (source === undefined) return;
    const peer = this.nodes[source]!;
    if (this.random.chance(0.05)) {
      this.#look(node, node.step({ type: 'fetch-ended', peer: source, reason: 'broken' }));
      return;
    }
    const wanted = entry(node.state.learner.committed);
    const decrees: Decree[] = [];
    const end = Math.min(peer.state.learner.committed, wanted + 1 + this.random.below(3));
    for (let e: number = wanted; e < end; e++) {
      const decree = peer.state.learner.chosen.get(entry(e));
      if (decree === undefined) break;
      decrees.push(decree);
    }
    if (decrees.length > 0)
      this.#look(node, node.step({ type: 'fetched', peer: source, entry: wanted, decrees }));
  }

  #deliver(): void {
    const { bag, random } = this;
    const sent = (random.chance(this.odds.fresh) ? bag.takeFresh() : undefined) ?? bag.any();
    if (sent === undefined) return;
    const node = this.nodes[sent.to]!;
    const events: Event[] = [];
    for (let next: Sent | undefined = sent; next !== undefined;) {
      this.counts.deliveries++;
      events.push({ type: 'message', from: next.from, message: next.message });
      next = random.chance(this.odds.together) ? bag.another(sent.to) : undefined;
    }
    if (events.length > 1) this.counts.at_once++;
    this.#look(node, node.step(events.length === 1 ? events[0]! : { type: 'several', events }));
  }
}
