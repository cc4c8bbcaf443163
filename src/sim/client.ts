import type { Address } from '../core/address.js';
import { NO_REQUEST } from '../core/decree.js';
import { ERROR_CODES, type ErrorCode } from '../core/errors.js';
import { clientId, entry as entryOf, requestNumber } from '../core/ids.js';
import { MessageType, type ErrorMessage, type Message } from '../core/message.js';
import { decodeMessage, encodeMessage } from '../wire/codec.js';
import { mustHold, SimulationFailure } from './failure.js';
import type { History, Operation } from './history.js';
import { FIRST_CLIENT_HOST, type StreamEnd } from './network.js';
import { Random } from './random.js';
import type { Appointment } from './schedule.js';
import type { World } from './world.js';

const CONNECT_TIMEOUT_MS = 1000;
const LONG_VALUE_LENGTH = 9_000;

/**
 * A client as its libraries should be: it follows redirects, resumes its session on whichever node leads, asks again with
 * the same number, and lets many requests travel at a time. Now and then it asks for what it has been answered already.
 */
export class Client {
  readonly #host: number;
  readonly #random: Random;
  #end: StreamEnd | undefined;
  #session = 0;
  #next_no = 1;
  #ready = false;
  /** Whether the connection is still good for new requests: not after it has been half closed. */
  #speaks = true;
  #pending: Operation[] = [];
  /** Those of `#pending` that were sent over this connection and not answered. */
  readonly #sent = new Set<Operation>();
  /** Answered operations of this session, some of which are asked again. */
  #answered: Operation[] = [];
  readonly #answered_by_no = new Map<number, Operation>();
  /** The entry of the latest first answer over this connection. */
  #last_entry = -1;
  #patience: Appointment | undefined;
  #thinking: Appointment | undefined;
  /** Wants nothing new any more. */
  #quiet = false;

  constructor(
    private readonly world: World,
    private readonly history: History,
    private readonly index: number,
  ) {
    this.#host = FIRST_CLIENT_HOST + index;
    this.#random = new Random(world.plan.seed, `client ${index}`);
  }

  start(): void {
    this.world.schedule.after(this.#random.between(0, 500), () => this.#connect(this.#anyNode()));
  }

  /** Asks nothing new from now on, and goes on until all it has asked is answered. */
  calmDown(): void {
    this.#quiet = true;
  }

  /** Wants one more operation, so that it is seen whether the cluster lives. */
  askOnce(): void {
    if (this.#session !== 0 && this.#pending.length === 0) this.#begin();
  }

  get idle(): boolean {
    return this.#pending.length === 0;
  }

  /** What it is up to, for the report of a cluster that doesn't live. */
  describe(): string {
    const pending = this.#pending.map(({ id, no }) => `${id}/${no}`).slice(0, 5);
    return `client ${this.index}: session ${this.#session}, ready ${this.#ready}, pending ${pending.join(' ')}`;
  }

  #anyNode(): number {
    return this.#random.below(this.world.plan.nodes);
  }

  /* --- connections ----------------------------------------------------------------------------------------------- */

  #connect(node: number): void {
    const { network, schedule, checker } = this.world;
    this.#drop();
    if (network.isCut(this.#host, node)) return this.#tryElsewhere(CONNECT_TIMEOUT_MS);
    const [here, there] = network.connect(this.#host, node);
    this.#end = here;
    here.onText = (text) => this.#onText(here, text);
    here.onClose = () => this.#lost(here);
    schedule.after(network.delay_ms(), () => {
      if (this.#end !== here) return;
      if (checker.nodes[node]?.accept(there) !== true) {
        this.world.counters.add('client finds nobody');
        return this.#lost(here);
      }
      const request = { ...NO_REQUEST, id: clientId(this.#session) };
      this.#say({ type: MessageType.ClientConnectRequest, request });
      this.#beImpatient();
    });
  }

  #lost(end: StreamEnd): void {
    if (this.#end !== end) return;
    this.#tryElsewhere(this.#random.between(1, 100));
  }

  #tryElsewhere(wait_ms: number): void {
    this.#drop();
    this.world.schedule.after(wait_ms, () => {
      if (this.#end === undefined) this.#connect(this.#anyNode());
    });
  }

  #drop(): void {
    // Some die without a word, so that the node takes the next connection of the session for a second one.
    if (this.#end && this.#random.chance(0.3)) this.#end.onText = this.#end.onClose = (): void => undefined;
    else this.#end?.close();
    this.#end = undefined;
    this.#ready = false;
    this.#last_entry = -1;
    this.#speaks = true;
    this.#sent.clear(); // their attempts stay open: nobody knows what became of them
    if (this.#patience) this.#patience.cancelled = true;
    if (this.#thinking) this.#thinking.cancelled = true;
  }

  /** Without a word from the node for so long, another one is tried. */
  #beImpatient(): void {
    if (this.#patience) this.#patience.cancelled = true;
    const end = this.#end;
    this.#patience = this.world.schedule.after(this.world.plan.clients.patience_ms, () => {
      // One that has closed its half and wants something again waits for the node to close the other, which may be dead.
      const waits = this.#sent.size > 0 || (!this.#speaks && this.#pending.length > 0);
      if (end === undefined || this.#end !== end || (this.#ready && !waits)) return;
      this.world.counters.add('client time-outs');
      this.#lost(end);
    });
  }

  #say(message: Message): void {
    this.#end?.send(encodeMessage(message, undefined));
  }

  /* --- what it hears --------------------------------------------------------------------------------------------- */

  #onText(end: StreamEnd, text: string): void {
    if (this.#end !== end) return;
    this.world.trace.note('hears', this.index, text);
    const decoded = decodeMessage(text);
    if (!decoded.ok) throw new SimulationFailure('wire', `a node's answer can't be read: ${text}`);
    const { message } = decoded;
    switch (message.type) {
      case MessageType.ClientConn:
        return this.#onConnected(message.request.id);
      case MessageType.ClientRedirect: {
        this.world.counters.add('redirects');
        const node = this.#nodeAt({ address: message.leaderaddress, port: message.leaderport });
        this.#drop();
        this.world.schedule.after(this.#random.between(0.1, 20), () => {
          if (this.#end === undefined) this.#connect(node);
        });
        return;
      }
      case MessageType.ClientResponse:
        if (message.request.noset) return;
        return this.#onAnswer(message.request.no, message.request.id, message.entry, message.value);
      case MessageType.Error:
        return this.#onError(end, message);
      default:
        throw new SimulationFailure('wire', `a node sent a client ${text}`);
    }
  }

  #nodeAt(address: Address): number {
    return this.world.agents.findIndex((one) => one.port === address.port && one.address === address.address);
  }

  #onConnected(id: number): void {
    if (this.#session === 0) {
      this.history.onGranted(id);
      this.#session = id;
      this.#next_no = 1;
    }
    mustHold(id === this.#session, '8 once', () => `session ${this.#session} goes on as ${id}`);
    this.#ready = true;
    for (const operation of this.#pending) this.#send(operation);
    this.#beImpatient();
    this.#goOn();
  }

  #onAnswer(no: number, id: number, entry: number, answer: string | undefined): void {
    mustHold(id === this.#session, '8 once', () => `session ${this.#session} gets an answer to ${id}`);
    this.#beImpatient();
    const again = this.#answered_by_no.get(no);
    if (again !== undefined) {
      this.world.counters.add('duplicate answered from the table');
      return this.history.onAnswer(again, entry, answer);
    }
    const operation = this.#pending.find((one) => one.no === no);
    if (operation === undefined) return;
    this.history.onAnswer(operation, entry, answer);
    this.#checkOrder(operation, entry);
    this.world.counters.add('operations answered');
    this.#finish(operation);
    this.#answered.push(operation);
    this.#answered_by_no.set(no, operation);
    this.#goOn();
  }

  /** First answers come in the order of the log; what was attempted before may be a repeated one. */
  #checkOrder(operation: Operation, entry: number): void {
    const { open_attempts, no } = operation;
    if (open_attempts > 1 || this.history.isContested(operation)) return;
    // An application that answers before its turn has its answer ignored, and gives it in its next life, late.
    if ((this.world.plan.odd_answers ?? 0) > 0) return;
    mustHold(
      entry > this.#last_entry,
      'order',
      () => `the answer to ${no}, entry ${entry}, comes after that of entry ${this.#last_entry}`,
    );
    this.#last_entry = entry;
  }

  #finish(operation: Operation): void {
    this.#pending = this.#pending.filter((one) => one !== operation);
    this.#sent.delete(operation);
  }

  #onError(end: StreamEnd, { error, request, entry }: ErrorMessage): void {
    const code = error.slice(0, error.indexOf(':')) as ErrorCode;
    this.world.counters.add(`error: ${code}`);
    if (request.noset) return;
    const operation = [...this.#sent].find(({ no }) => no === request.no && request.id !== 0);
    switch (ERROR_CODES[code]) {
      case 'executed':
        if (operation) this.#onAnswer(operation.no, operation.id, entry, undefined);
        return;
      case 'definite':
        if (operation) operation.open_attempts--;
        if (operation && operation.open_attempts === 0 && !this.#quiet && this.#random.chance(0.2)) {
          operation.state = 'failed';
          this.#finish(operation);
        }
        break;
      case 'unknown':
        break;
    }
    if (code === 'session-expired' && this.#isOwn(request)) {
      this.#abandonSession();
      return this.#tryElsewhere(this.#random.between(5, 200));
    }
    if (operation) this.#sent.delete(operation);
    else if (this.#answered_by_no.has(request.no)) return;
    // Not too soon, and perhaps elsewhere.
    this.world.schedule.after(this.#random.between(5, 200), () => {
      if (this.#end === end) this.#lost(end);
    });
  }

  /** Whether an Error speaks of what this client still waits for, not of something old that it asked again. */
  #isOwn({ no }: { readonly no: number }): boolean {
    return no === 0 || this.#pending.some((operation) => operation.no === no);
  }

  #abandonSession(): void {
    for (const operation of this.#pending) operation.state = 'unknown';
    this.#pending = [];
    this.#answered = [];
    this.#answered_by_no.clear();
    this.#session = 0;
  }

  /* --- what it asks ---------------------------------------------------------------------------------------------- */

  #send(operation: Operation): void {
    if (!this.#ready || !this.#speaks || this.#sent.has(operation)) return;
    operation.open_attempts++;
    this.#sent.add(operation);
    this.#ask(operation.no, operation.value);
  }

  #ask(no: number, value: string): void {
    const id = clientId(this.#random.chance(0.5) ? this.#session : 0);
    const request = { id, no: requestNumber(no), noset: false };
    this.#say({ type: MessageType.ClientRequest, request, entry: entryOf(0), value });
  }

  /** Fills its window, after a while, and does the odd thing in between. */
  #goOn(): void {
    const { plan, schedule } = this.world;
    if (this.#quiet || this.#pending.length >= plan.clients.depth) return;
    if (this.#thinking) this.#thinking.cancelled = true;
    this.#thinking = schedule.after(this.#random.interval(plan.clients.think_ms), () => {
      if (this.#quiet || !this.#ready || !this.#speaks) return;
      this.#begin();
      this.#doOddThings();
      this.#goOn();
    });
  }

  #begin(): void {
    // Numbers may have gaps.
    this.#next_no += this.#random.chance(0.05) ? this.#random.whole(2, 5) : 1;
    const no = this.#next_no;
    const operation = this.history.begin(this.index, this.#session, no, this.#drawValue(no));
    this.#pending.push(operation);
    this.#send(operation);
    this.#beImpatient();
  }

  #drawValue(no: number): string {
    if (this.#random.chance(0.03)) return '';
    const name = `c${this.index} n${no}`;
    if (this.#random.chance(0.05)) return `${name} ü€𝄞\u2028\n"\\\u0000`;
    if (this.world.plan.clients.long_values && this.#random.chance(0.2))
      return name + 'x'.repeat(this.#random.below(LONG_VALUE_LENGTH));
    return name;
  }

  #doOddThings(): void {
    const { clients } = this.world.plan;
    if (this.#random.chance(clients.ask_again) && this.#answered.length > 0) {
      const old = this.#random.pick(this.#answered);
      this.#ask(old.no, this.#random.chance(0.5) ? old.value : 'another value');
    }
    if (this.#random.chance(clients.query)) {
      const entry = entryOf(this.#random.below(this.world.checker.model.length + 2));
      const request = { ...NO_REQUEST, noset: true };
      this.#say({ type: MessageType.ClientRequest, request, entry, value: '' });
    }
    if (this.#random.chance(clients.half_close)) {
      this.#speaks = false;
      this.#end?.end();
    }
    if (!this.#random.chance(clients.leave)) return;
    if (this.#pending.length === 0 && this.#random.chance(0.5)) this.#abandonSession();
    this.#tryElsewhere(this.#random.between(0, 200));
  }
}
