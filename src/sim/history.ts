import { mustHold } from './failure.js';
import type { LogModel } from './model.js';

/** One request of a client, from the moment it was first wanted. */
export interface Operation {
  readonly client: number;
  readonly id: number;
  readonly no: number;
  readonly value: string;
  /** The last entry of any operation that had been answered, to any client, before this one was asked. */
  readonly after_entry: number;
  /** An attempt may have reached the log: its fate isn't known, or was called unknown. */
  open_attempts: number;
  /** `failed`: every attempt ended with a definite Error. `unknown`: given up without knowing. */
  state: 'pending' | 'answered' | 'executed' | 'failed' | 'unknown';
  entry: number | undefined;
  answer: string | undefined;
}

/**
 * The histories of all clients. The chosen log is the order in which operations took effect, and the answers are held
 * against it; what is left of linearizability is real time: what was asked after something had been answered stands
 * behind it (faults.md, invariants 8 and 9).
 */
export class History {
  readonly operations: Operation[] = [];
  readonly #granted = new Set<number>();
  readonly #contested = new Set<string>();
  #answered_entry = -1;

  constructor(private readonly model: () => LogModel) {}

  /** Somebody else may ask with this session's number, too: then its entry may be older than its owner's wish. */
  contest(id: number, no: number): void {
    this.#contested.add(`${id}/${no}`);
  }

  isContested({ id, no }: Operation): boolean {
    return this.#contested.has(`${id}/${no}`);
  }

  /** The last entry that an answered operation stands at. */
  get answered_entry(): number {
    return this.#answered_entry;
  }

  begin(client: number, id: number, no: number, value: string): Operation {
    const operation: Operation = {
      client,
      id,
      no,
      value,
      after_entry: this.#answered_entry,
      open_attempts: 0,
      state: 'pending',
      entry: undefined,
      answer: undefined,
    };
    this.operations.push(operation);
    return operation;
  }

  /** A session was granted to a client that didn't ask to go on with one. */
  onGranted(id: number): void {
    mustHold(!this.#granted.has(id), '8 once', () => `session ${id} is given twice`);
    this.#granted.add(id);
  }

  /** A client got the answer of an operation: the first time, or once more. */
  onAnswer(operation: Operation, entry: number, answer: string | undefined): void {
    const { id, no } = operation;
    mustHold(
      this.model().entryOf(id, no) === entry,
      '9 linearizable',
      () => `${id}/${no} is said to stand at entry ${entry}`,
    );
    mustHold(
      entry > operation.after_entry || this.isContested(operation),
      '9 linearizable',
      () => `${id}/${no} at entry ${entry} was asked after entry ${operation.after_entry} had been answered`,
    );
    if (answer !== undefined && operation.answer !== undefined) {
      mustHold(answer === operation.answer, '8 once', () => `${id}/${no} is answered in two ways`);
    }
    operation.entry = entry;
    operation.answer ??= answer;
    if (operation.state === 'pending' || operation.state === 'unknown')
      operation.state = answer === undefined ? 'executed' : 'answered';
    this.#answered_entry = Math.max(this.#answered_entry, entry);
  }

  /** After the run: what was called definite didn't happen. */
  finish(): void {
    for (const operation of this.operations) {
      const { id, no, state } = operation;
      if (state !== 'failed' || this.isContested(operation)) continue;
      const entry = this.model().entryOf(id, no);
      mustHold(
        entry === undefined,
        '9 definite',
        () => `${id}/${no} was refused for good, and stands at ${entry ?? ''}`,
      );
    }
  }
}
