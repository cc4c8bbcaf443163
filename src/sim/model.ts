import { isNoOp, type Decree } from '../core/decree.js';
import { MAX_NUMBERS_PER_SESSION, MAX_SESSIONS } from '../core/limits.js';
import { Program } from './app.js';
import { mustHold } from './failure.js';

/** What the log, as chosen, makes of an entry. */
export interface Outcome {
  /** Whether it takes effect: no-ops and repeated requests don't. */
  readonly executed: boolean;
  /** What the application answers, if it takes effect. */
  readonly answer: string;
}

/**
 * What must come of the chosen log, worked out apart from the core: which entries take effect, where each request was
 * executed first, and what it was answered.
 */
export class LogModel {
  readonly #outcomes: Outcome[] = [];
  readonly #first = new Map<string, number>();
  /** Executed numbers by session; the session whose last execution is oldest comes first. */
  readonly #executed = new Map<number, number[]>();
  /** No session up to this is new any more. */
  #forgotten = 0;
  readonly #program = new Program();
  /** How many sessions the table had no place for. */
  forgottenSessions = 0;

  constructor(private readonly has_app: boolean) {}

  /** Entries folded: all that are chosen without a hole. */
  get length(): number {
    return this.#outcomes.length;
  }

  outcome(entry: number): Outcome | undefined {
    return this.#outcomes[entry];
  }

  /** The entry at which a request took effect. */
  entryOf(id: number, no: number): number | undefined {
    return this.#first.get(`${id}/${no}`);
  }

  fold(decree: Decree): void {
    const entry = this.#outcomes.length;
    if (isNoOp(decree) || this.#isRepeated(decree)) {
      this.#outcomes.push({ executed: false, answer: '' });
      return;
    }
    const key = `${decree.id}/${decree.no}`;
    mustHold(!this.#first.has(key), '8 once', () => `${key} takes effect twice`);
    this.#first.set(key, entry);
    const answer = this.#program.apply(decree.value);
    this.#outcomes.push({ executed: true, answer: this.has_app ? answer : decree.value });
  }

  /** A number is new unless it was executed, or isn't above all that the table has dropped of its session. */
  #isRepeated({ id, no }: Decree): boolean {
    if (this.#first.has(`${id}/${no}`)) return true;
    const known = this.#executed.get(id);
    if (known === undefined && id <= this.#forgotten) return true;
    const numbers = known ?? [];
    const floor = numbers[numbers.length - MAX_NUMBERS_PER_SESSION - 1] ?? -1;
    if (no <= floor) return true;
    const isHighest = no > (numbers.at(-1) ?? -1);
    numbers.push(no);
    if (!isHighest) numbers.sort((a, b) => a - b);
    if (numbers.length > 2 * MAX_NUMBERS_PER_SESSION) numbers.splice(0, MAX_NUMBERS_PER_SESSION - 1);
    this.#executed.delete(id);
    this.#executed.set(id, numbers);
    if (this.#executed.size > MAX_SESSIONS) this.#dropOldest();
    return false;
  }

  #dropOldest(): void {
    const [oldest] = this.#executed.keys();
    if (oldest === undefined) return;
    this.#executed.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, oldest);
    this.forgottenSessions++;
  }
}
