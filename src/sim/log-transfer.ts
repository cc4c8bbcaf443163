import { entry as entryOf, type AgentIndex, type Entry } from '../core/ids.js';
import { decreeOf, NO_REQUEST, type Decree } from '../core/decree.js';
import { MessageType } from '../core/message.js';
import { ChosenLineReader } from '../wire/chosen-line.js';
import { decodeMessage, encodeMessage } from '../wire/codec.js';
import { SimulationFailure } from './failure.js';
import type { Life } from './life.js';
import type { StreamEnd } from './network.js';
import type { Appointment } from './schedule.js';

/** As in the shipped fetch: a peer that doesn't answer, or falls silent, is left. */
const CONNECT_TIMEOUT_MS = 1000;
const IDLE_TIMEOUT_MS = 2000;

/** Entries that a peer reads from its journal at a time. */
const BATCH_ENTRIES = 64;

/** Streams the raw log to a peer: every chosen entry, and those to come. */
export class LogServer {
  #next: number;
  #reading = false;

  constructor(
    private readonly life: Life,
    private readonly end: StreamEnd,
    first: Entry,
  ) {
    this.#next = first;
  }

  wake(): void {
    if (this.#reading || !this.end.open || this.#next >= this.life.state.learner.committed) return;
    this.#reading = true;
    const { schedule, random } = this.life.world;
    schedule.after(random.between(0.1, 3), () =>
      this.life.arrive(() => {
        this.#reading = false;
        this.#sendBatch();
        this.wake();
      }),
    );
  }

  #sendBatch(): void {
    const { state, world, node } = this.life;
    const end = Math.min(state.learner.committed, this.#next + BATCH_ENTRIES);
    for (; this.#next < end && this.end.open; this.#next++) {
      const { entry, decree } = this.life.stored(entryOf(this.#next));
      world.checker.onTold(node.index, entry, decree);
      const { id, no, noset, value } = decree;
      const message = { type: MessageType.LogResponse, request: { id, no, noset }, entry, value };
      this.end.send(encodeMessage(message, world.agents[node.index]));
    }
  }
}

/** Fetches the raw log of a peer, as the core asked for with `fetch`. */
export class LogFetch {
  #end: StreamEnd | undefined;
  #next: Entry;
  #over = false;
  readonly #lines: ChosenLineReader;
  #timer: Appointment | undefined;
  /** What has arrived while it doesn't read. */
  #held: string[] | undefined;

  constructor(
    private readonly life: Life,
    private readonly peer: AgentIndex,
    first: Entry,
  ) {
    this.#next = first;
    const from = life.world.agents[peer];
    if (from === undefined) throw new RangeError(`there is no agent ${peer}`);
    this.#lines = new ChosenLineReader(from);
    const { network, schedule, trace, checker } = life.world;
    trace.note('fetch', life.node.index, peer, first);
    this.#wait(CONNECT_TIMEOUT_MS);
    if (network.isCut(life.node.index, peer) || network.isCut(peer, life.node.index)) return;
    schedule.after(network.delay_ms(), () => {
      if (this.#over) return;
      const [here, there] = network.connect(life.node.index, peer);
      if (checker.nodes[peer]?.accept(there) !== true) return this.#finish('refused');
      this.#open(here, first);
    });
  }

  #open(end: StreamEnd, first: Entry): void {
    this.#end = end;
    this.life.track(end);
    end.onText = (text) => this.life.arrive(() => this.#take(text));
    end.onClose = () => this.life.arrive(() => this.#finish('broken'));
    const request = { ...NO_REQUEST, noset: true };
    const hello = { type: MessageType.ClientApp, request, entry: first };
    end.send(encodeMessage(hello, this.life.world.agents[this.life.node.index]));
    this.#wait(IDLE_TIMEOUT_MS);
  }

  #take(text: string): void {
    if (this.#over) return;
    this.#wait(IDLE_TIMEOUT_MS);
    if (this.#held !== undefined) this.#held.push(text);
    else this.#hand([text]);
  }

  /** Hands on what has arrived together. */
  #hand(texts: readonly string[]): void {
    const first = this.#next;
    const decrees = texts.map((text) => this.#read(text));
    if (decrees.length > 0) this.life.fetched(this.peer, first, decrees);
  }

  #read(text: string): Decree {
    const line = this.#lines.read(Buffer.from(`${text}\n`), 0);
    if (line === undefined) return this.#readAny(text);
    this.#goOn(line.entry, text);
    return line;
  }

  #readAny(text: string): Decree {
    const decoded = decodeMessage(text);
    if (!decoded.ok || decoded.message.type !== MessageType.LogResponse) {
      throw new SimulationFailure('wire', `a peer streamed ${text}`);
    }
    const { entry, request, value } = decoded.message;
    this.#goOn(entry, text);
    return decreeOf(request, value);
  }

  #goOn(entry: Entry, text: string): void {
    if (entry !== this.#next) throw new SimulationFailure('wire', `entry ${entry} came for ${this.#next}`);
    this.#next = entryOf(entry + 1);
    this.life.world.trace.note('fetched', this.life.node.index, this.peer, text);
  }

  /** Reads nothing more until the disk has caught up; what arrives meanwhile stays in the socket. */
  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (!this.#over) this.#hand(held);
  }

  cancel(): void {
    this.#over = true;
    if (this.#timer) this.#timer.cancelled = true;
    this.#end?.close();
  }

  #wait(timeout_ms: number): void {
    if (this.#timer) this.#timer.cancelled = true;
    this.#timer = this.life.world.schedule.after(timeout_ms, () =>
      this.life.arrive(() => this.#finish('silent')),
    );
  }

  #finish(reason: string): void {
    if (this.#over) return;
    this.cancel();
    this.life.handle({ type: 'fetch-ended', peer: this.peer, reason });
  }
}
