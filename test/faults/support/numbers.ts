import { expect } from 'chai';
import {
  encodeKvRequest,
  RequestError,
  type Answer,
  type Client,
  type KvRequest,
} from '../../../clients/typescript/index.js';
import { MAX_NUMBERS_PER_SESSION } from '../../../src/core/limits.js';
import type { Cluster } from '../../support/cluster.js';
import { eventually } from '../../support/process.js';
import type { Begun } from './history.js';
import { told, type Load } from './load.js';

/** For one request: longer than a cluster takes to recover from anything here. */
const ASK_TIMEOUT_MS = 30_000;

/** For one that is asked until it is answered, whoever else asks in its session. */
const INSIST_TIMEOUT_MS = 60_000;

/** What is said of a number that is too old. */
export const EXPIRED = 'session-expired';

/** The number in the history of the first session's client, above all of the load's. */
const FIRST_CLIENT = 1_000;

/** What has been asked by a number: of several requests the first in the log is executed, and nobody knows which. */
interface Attempt {
  readonly request: KvRequest;
  readonly value: string;
  readonly call: number;
  readonly begun: Begun;
}

/** What came of asking: an answer, or the code of an error after which the outcome is unknown. */
export type Outcome = { readonly answer: Answer } | { readonly code: string };

/**
 * The requests of one session by their numbers, whoever asks for them, and however often: each number is one operation
 * of the load's history, from the first call of what was executed to the first answer. Every further answer must be
 * the same.
 */
export class NumberedRequests {
  static #sessions = 0;
  readonly id: number;
  readonly #work: Load;
  readonly #client = FIRST_CLIENT + NumberedRequests.#sessions++;
  readonly #attempts = new Map<number, Attempt[]>();
  readonly #answers = new Map<number, Answer>();

  constructor(work: Load, id: number) {
    this.#work = work;
    this.id = id;
  }

  /** Numbers that somebody has got an answer to. */
  get answered(): number {
    return this.#answers.size;
  }

  answer(no: number): Answer | undefined {
    return this.#answers.get(no);
  }

  /** Notes that a number is asked for now. To be called before what asks for it is sent. */
  begin(no: number, request: KvRequest): string {
    const value = encodeKvRequest(request);
    const { history } = this.#work;
    if (this.#answers.has(no)) {
      this.#superseded(no, value);
      return value;
    }
    const attempts = this.#attempts.get(no) ?? [];
    this.#attempts.set(no, attempts);
    if (attempts.some((attempt) => attempt.value === value)) return value;
    const { op, key } = request;
    const call = history.now();
    const begun =
      op === 'put' ? history.put(this.#client, key, request.value) : history.get(this.#client, key);
    attempts.push({ request, value, call, begun });
    return value;
  }

  /** Notes an answer. Throws if it isn't the one that the number had before, or is to nothing that was asked. */
  end(no: number, { entry, value }: Pick<Answer, 'entry' | 'value'>): Answer {
    const answer = { id: this.id, no, entry, value };
    const before = this.#answers.get(no);
    if (before !== undefined) {
      expect(answer, `number ${no} of session ${this.id}, asked again`).to.eql(before);
      return answer;
    }
    const attempts = this.#attempts.get(no) ?? [];
    const executed = attempts.length === 1 ? attempts[0] : attempts.find((one) => isAnswerTo(value, one));
    if (executed === undefined) throw new Error(`nobody asked number ${no} for what got ${value}`);
    this.#answers.set(no, answer);
    executed.begun.returned(told(executed.request, answer));
    this.#work.acknowledged.push({
      value: executed.value,
      answer,
      call: executed.call,
      return: this.#work.history.now(),
    });
    for (const other of attempts) {
      if (other === executed) continue;
      other.begun.refused();
      this.#superseded(no, other.value);
    }
    return answer;
  }

  /** Asks for a number once; the client asks again by itself as long as it doesn't lose the session. */
  async ask(client: Client, no: number, request: KvRequest): Promise<Outcome> {
    const value = this.begin(no, request);
    try {
      const answer = await client.askAgain({ id: this.id, no, value }, { timeout_ms: ASK_TIMEOUT_MS });
      expect({ id: answer.id, no: answer.no }).to.eql({ id: this.id, no });
      return { answer: this.end(no, answer) };
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      expect(error.certainty, `${error.message}, of what may have been asked before`).to.equal('unknown');
      return { code: error.code };
    }
  }

  /** Asks for a number until it is answered, or refused for being too old. */
  async settle(client: Client, no: number, request: KvRequest): Promise<Outcome> {
    let last: Outcome | undefined;
    const look = async (): Promise<Outcome | undefined> => {
      last = await this.ask(client, no, request);
      return 'answer' in last || last.code === EXPIRED ? last : undefined;
    };
    return eventually(`the fate of number ${no}`, look, { timeout_ms: INSIST_TIMEOUT_MS, seen: () => last });
  }

  /** Asks for a number, which can't be too old, until it is answered. */
  async insist(client: Client, no: number, request: KvRequest): Promise<Answer> {
    const outcome = await this.settle(client, no, request);
    if ('answer' in outcome) return outcome.answer;
    throw new Error(`number ${no} of session ${this.id}: ${outcome.code}`);
  }

  /** Notes that a number was refused for being too old, and never executed. */
  expired(no: number): void {
    if (this.#answers.has(no)) return;
    for (const { begun, request, value } of this.#attempts.get(no) ?? []) {
      begun.refused();
      if (request.op === 'put') this.#work.refused.push(value);
    }
    this.#attempts.delete(no);
  }

  /** A put that came too late for its number is nowhere in the log as one that was executed. Gets are alike. */
  #superseded(no: number, value: string): void {
    const executed = this.#answers.get(no);
    const same = this.#attempts
      .get(no)
      ?.some((one) => one.value === value && isAnswerTo(executed?.value, one));
    if (same !== true && value.includes('"put"')) this.#work.refused.push(value);
  }
}

/** Whether this is the answer to that put, whose value is its own. */
function isAnswerTo(value: string | undefined, { request }: Attempt): boolean {
  return request.op === 'put' && value === JSON.stringify({ ok: true, value: request.value });
}

/** A new session of which no connection is left. */
export async function abandonedSession(all: Cluster): Promise<number> {
  const { raw, id } = await all.session();
  raw.socket.resetAndDestroy();
  return id;
}

/** Which numbers of a session are remembered, by the rule of spec.md, section 11. */
export class Remembered {
  #floor = -1;
  readonly #numbers = new Set<number>();

  /**
   * What asking for a number comes to, where `highest` is the highest so far: an answer that was given before, an
   * execution, or a refusal. `fleeting`: it is executed, and forgotten at once.
   */
  fate(no: number, highest: number): 'again' | 'expired' | 'fresh' | 'gap' | 'fleeting' {
    if (this.#numbers.has(no)) return 'again';
    if (no <= this.#floor) return 'expired';
    if (this.#numbers.size >= MAX_NUMBERS_PER_SESSION && no < Math.min(...this.#numbers)) return 'fleeting';
    return no >= highest ? 'fresh' : 'gap';
  }

  execute(no: number): void {
    this.#numbers.add(no);
    if (this.#numbers.size <= MAX_NUMBERS_PER_SESSION) return;
    this.#floor = Math.min(...this.#numbers);
    this.#numbers.delete(this.#floor);
  }
}
