import { addressName, type LoadPlan, type LoadResult, type LoadSample } from './plan.js';
import { LoadClient, retryMs } from './client.js';
import { Histogram } from './histogram.js';
import { putTemplate } from './lines.js';

/** The load gives up if no further session has been opened for this long: more than an election takes. */
const OPEN_TIMEOUT_MS = 10_000;

/** How long answers that are still out when the load ends are waited for; more than the request timeout of 5 s. */
const DRAIN_TIMEOUT_MS = 10_000;

/** Sessions opened at a time: more would overflow the queue in which a system keeps connections to be accepted. */
const MAX_OPENING = 100;

/** A client that was refused asks again after this, lest an overload be a busy loop on both sides. */
const REFUSED_PAUSE_MS = 10;

/** The grid on which an open loop's requests are due; timers of the platform have no finer one. */
const TICK_MS = 1;

/**
 * A request of an open loop that leaves this much after it was due is counted from when it left: the delay is a
 * timer's. Beyond it, it is counted from when it was due, so that a stall isn't hidden by requests that wait for it.
 */
const TICK_TOLERANCE_MS = 2;

/** The timeline's buckets. */
export const TIMELINE_BUCKET_MS = 10;

/** Milliseconds of the clock that all processes of a machine share. */
const CLOCK_OFFSET_MS = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now();
export const sharedNow_ms = (): number => performance.now() + CLOCK_OFFSET_MS;

/** A load could not be put on the cluster; the message says why. */
export class LoadError extends Error {
  override readonly name = 'LoadError';
}

type Phase = 'opening' | 'running' | 'draining';

/**
 * Puts requests on a cluster and measures their answers: in a closed loop each client keeps so many requests in flight;
 * in an open loop (`rate_per_s`) requests are due at fixed times, whether earlier ones were answered or not.
 */
export class Load {
  readonly #plan: LoadPlan;
  readonly #clients: LoadClient[] = [];
  #phase: Phase = 'opening';
  #opening = 0;
  #opened = 0;
  #latency = new Histogram();
  #refused_latency = new Histogram();
  readonly #refused: Record<string, number> = {};
  readonly #notes: Record<string, number> = {};
  #sent = 0;
  #answered = 0;
  #refusals = 0;
  #measured = 0;
  #measure_from_ms = 0;
  #measure_to_ms = 0;
  #loop_from_ms = 0;
  #due = 0;
  #turn = 0;
  #timeline: number[] = [];
  #started_ms = 0;
  #marks: { at_ms: number; resolve: (ms: number) => void }[] = [];
  #stopped = false;
  /** Ends the present phase. */
  #wake: () => void = () => undefined;

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    const { servers, clients, value_bytes } = plan;
    for (let i = 0; i < clients; i++) {
      this.#clients.push(
        new LoadClient({
          servers,
          retry_ms: retryMs(clients),
          template: putTemplate(`bench-${i}`, value_bytes),
          now_ms: sharedNow_ms,
          onReady: (client, is_first) => this.#onReady(client, is_first),
          onAnswered: (client, due_ms, now_ms) => this.#onAnswered(client, due_ms, now_ms),
          onRefused: (client, code, due_ms, now_ms) => this.#onRefused(client, code, due_ms, now_ms),
          onNote: (name) => (this.#notes[name] = (this.#notes[name] ?? 0) + 1),
          onTurn: (client) => this.#fill(client),
        }),
      );
    }
  }

  /** Runs the whole plan. Rejects with a LoadError if sessions can't be opened. */
  async run(): Promise<LoadResult> {
    this.#started_ms = sharedNow_ms();
    try {
      await this.#open();
      await this.#loop();
      await this.#drain();
    } finally {
      for (const client of this.#clients) client.close();
    }
    return this.#result();
  }

  /** Ends the loop early; `run` resolves after what is in flight has been answered. */
  stop(): void {
    this.#measure_to_ms = Math.min(this.#measure_to_ms, sharedNow_ms());
    this.#stopped = true;
    this.#wake();
  }

  /** When, by the shared clock, the first answer arrived on a connection that was made after `at_ms`. */
  firstAnswerAfter(at_ms: number): Promise<number> {
    return new Promise((resolve) => this.#marks.push({ at_ms, resolve }));
  }

  /** How far it is. */
  sample(): LoadSample {
    const out = this.#clients.reduce((sum, { in_flight }) => sum + in_flight, 0);
    return { at_ms: sharedNow_ms(), answered: this.#answered, refused: this.#refusals, in_flight: out };
  }

  async #open(): Promise<void> {
    let opened = 0;
    let timer: NodeJS.Timeout | undefined;
    const all_open = new Promise<void>((resolve, reject) => {
      this.#wake = resolve;
      timer = setInterval(() => {
        if (this.#opened > opened) opened = this.#opened;
        else reject(this.#notOpened());
      }, OPEN_TIMEOUT_MS);
    });
    for (const client of this.#clients.slice(0, MAX_OPENING)) client.start();
    this.#opening = Math.min(MAX_OPENING, this.#clients.length);
    await all_open.finally(() => clearInterval(timer));
  }

  #notOpened(): LoadError {
    const { servers, clients } = this.#plan;
    return new LoadError(
      `only ${this.#opened} of ${clients} sessions could be opened at ${servers.map(addressName).join(', ')}: are these ` +
        `nodes' client addresses, is there a leader, and does --max-connections allow so many?${this.#told()}`,
    );
  }

  #told(): string {
    const notes = Object.entries(this.#notes).map(([name, count]) => `${name} ${count}×`);
    return notes.length === 0 ? '' : ` (seen: ${notes.join(', ')})`;
  }

  async #loop(): Promise<void> {
    const { warm_up_ms, measure_ms, rate_per_s } = this.#plan;
    this.#loop_from_ms = sharedNow_ms();
    this.#measure_from_ms = this.#loop_from_ms + warm_up_ms;
    this.#measure_to_ms = this.#measure_from_ms + measure_ms;
    this.#phase = 'running';
    if (rate_per_s === undefined) for (const client of this.#clients) this.#fill(client);
    const ticker = rate_per_s === undefined ? undefined : setInterval(() => this.#tick(rate_per_s), TICK_MS);
    if (!this.#stopped) await this.#end(warm_up_ms + measure_ms);
    clearInterval(ticker);
  }

  /** Resolves after a time, or when the load is stopped. */
  #end(after_ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(after_ms) ? setTimeout(resolve, after_ms) : undefined;
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #drain(): Promise<void> {
    this.#phase = 'draining';
    const end_ms = sharedNow_ms() + DRAIN_TIMEOUT_MS;
    while (this.sample().in_flight > 0 && sharedNow_ms() < end_ms) {
      await new Promise((resolve) => setTimeout(resolve, TIMELINE_BUCKET_MS));
    }
  }

  #onReady(client: LoadClient, is_first: boolean): void {
    if (is_first) {
      this.#opened++;
      this.#clients[this.#opening++]?.start();
      if (this.#opened === this.#clients.length) this.#wake();
    } else this.#fill(client);
  }

  /** Closed loop: as many requests as the client may have out. */
  #fill(client: LoadClient): void {
    const { rate_per_s, in_flight, requests = Infinity } = this.#plan;
    if (this.#phase === 'running' && rate_per_s === undefined) {
      const now_ms = sharedNow_ms();
      while (client.in_flight < in_flight && this.#sent < requests && client.queue(now_ms)) this.#sent++;
      if (this.#sent >= requests) this.stop();
    }
    client.flush();
  }

  /** Open loop: what is due by now, by turns. What no client has room for stays due. */
  #tick(rate_per_s: number): void {
    const now_ms = sharedNow_ms();
    const wanted = Math.floor(((now_ms - this.#loop_from_ms) * rate_per_s) / 1000);
    const touched = new Set<LoadClient>();
    for (let full = 0; this.#due < wanted && full < this.#clients.length;) {
      const client = this.#clients[this.#turn++ % this.#clients.length];
      const grid_ms = this.#loop_from_ms + Math.ceil(((this.#due + 1) * 1000) / rate_per_s);
      const due_ms = now_ms - grid_ms <= TICK_TOLERANCE_MS ? now_ms : grid_ms;
      if (client === undefined || client.in_flight >= this.#plan.in_flight || !client.queue(due_ms)) full++;
      else {
        full = 0;
        this.#due++;
        this.#sent++;
        touched.add(client);
      }
    }
    for (const client of touched) client.flush();
  }

  #onAnswered(client: LoadClient, due_ms: number, now_ms: number): void {
    this.#answered++;
    const bucket = Math.floor((now_ms - this.#started_ms) / TIMELINE_BUCKET_MS);
    this.#timeline[bucket] = (this.#timeline[bucket] ?? 0) + 1;
    if (now_ms >= this.#measure_from_ms && now_ms < this.#measure_to_ms) {
      this.#measured++;
      this.#latency.record(now_ms - due_ms);
    }
    if (this.#marks.length > 0) this.#tellMarks(client, now_ms);
  }

  #tellMarks(client: LoadClient, now_ms: number): void {
    const reached = this.#marks.filter(({ at_ms }) => client.connected_ms > at_ms);
    this.#marks = this.#marks.filter((mark) => !reached.includes(mark));
    for (const { resolve } of reached) resolve(now_ms);
  }

  #onRefused(client: LoadClient, code: string, due_ms: number, now_ms: number): void {
    this.#refusals++;
    this.#refused[code] = (this.#refused[code] ?? 0) + 1;
    if (now_ms >= this.#measure_from_ms && now_ms < this.#measure_to_ms) {
      this.#refused_latency.record(now_ms - due_ms);
    }
    setTimeout(() => this.#fill(client), REFUSED_PAUSE_MS);
  }

  #result(): LoadResult {
    const seconds = (this.#measure_to_ms - this.#measure_from_ms) / 1000;
    return {
      seconds,
      answered: this.#measured,
      per_second: seconds > 0 ? this.#measured / seconds : 0,
      latency: this.#latency.summary(),
      refused_latency: this.#refused_latency.summary(),
      refused: this.#refused,
      notes: this.#notes,
      totals: {
        sent: this.#sent,
        answered: this.#answered,
        refused: this.#refusals,
        unanswered: this.sample().in_flight,
      },
      started_ms: this.#started_ms,
      timeline: Array.from(this.#timeline, (count: number | undefined) => count ?? 0),
    };
  }
}
