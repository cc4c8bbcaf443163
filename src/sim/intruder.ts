import { NO_REQUEST } from '../core/decree.js';
import { clientId, entry as entryOf, requestNumber } from '../core/ids.js';
import { MessageType, type Message } from '../core/message.js';
import { encodeMessage } from '../wire/codec.js';
import type { History } from './history.js';
import type { Host, StreamEnd } from './network.js';
import { Random } from './random.js';
import type { World } from './world.js';

/** Messages of one visit. */
const MOST_MESSAGES = 8;

/** As far as a visitor's numbers lie from those of whom it pretends to be. */
const GAP = 40;

/**
 * Somebody who uses the sessions of others, ids that nobody was given, and numbers as they come (faults.md, rows 57 to
 * 59). What it hears is checked where it is said; whoever owns the session may find a number taken, and nothing else.
 */
export class Intruder {
  readonly #random: Random;
  #end: StreamEnd | undefined;

  constructor(
    private readonly world: World,
    private readonly history: History,
    private readonly host: Host,
  ) {
    this.#random = new Random(world.plan.seed, 'intruder');
  }

  start(): void {
    const { plan, schedule } = this.world;
    const mean_ms = plan.intruder_ms ?? 0;
    if (mean_ms > 0) schedule.after(this.#random.interval(mean_ms), () => this.#visit());
  }

  /** Leaves for good. */
  calmDown(): void {
    this.#end?.close();
    this.#end = undefined;
  }

  #visit(): void {
    const { network, schedule, checker, counters, plan } = this.world;
    if (this.world.calm) return;
    this.start();
    const node = this.#random.below(plan.nodes);
    if (network.isCut(this.host, node)) return;
    if (this.#random.chance(0.5)) this.#end?.close();
    const [here, there] = network.connect(this.host, node);
    this.#end = here;
    schedule.after(network.delay_ms(), () => {
      if (this.#end !== here || checker.nodes[node]?.accept(there) !== true) return;
      counters.add('fault: intruder');
      if (this.#random.chance(0.9)) this.#connect();
      for (let left = this.#random.below(MOST_MESSAGES); left > 0; left--) this.#ask();
      if (this.#random.chance(0.2)) here.end();
    });
  }

  #say(message: Message): void {
    this.#end?.send(encodeMessage(message, undefined));
  }

  /** Somebody's id: of one who has it, or of nobody. */
  #drawId(): number {
    const { operations } = this.history;
    if (operations.length > 0 && this.#random.chance(0.8))
      return this.#random.pick(operations.slice(-200)).id;
    return this.#random.pick([0, 3, 65_536, 2 ** 40 + 5]);
  }

  #connect(): void {
    const request = { ...NO_REQUEST, id: clientId(this.#drawId()) };
    this.#say({ type: MessageType.ClientConnectRequest, request });
  }

  #ask(): void {
    const { operations } = this.history;
    const value = `intruder ${this.#random.below(1000)}`;
    const known = operations.length > 0 ? this.#random.pick(operations.slice(-200)) : { id: 0, no: 1 };
    const far = this.#random.whole(-GAP, GAP);
    const nos = [known.no, known.no, Math.max(0, known.no + far), 0, Number.MAX_SAFE_INTEGER];
    const no = this.#random.pick(nos);
    // The session that the connection has counts, whatever id is said; it may be that of any operation so far.
    for (const id of new Set(operations.slice(-200).map((one) => one.id))) this.history.contest(id, no);
    const id = clientId(this.#random.chance(0.7) ? 0 : known.id);
    const request = { id, no: requestNumber(no), noset: false };
    this.#say({ type: MessageType.ClientRequest, request, entry: entryOf(0), value });
  }
}
