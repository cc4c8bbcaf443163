import { askJudge, judgeMissing, type Verdict } from './judge.js';

/** How many operations of a key that is to blame are shown. */
const MAX_SHOWN = 60;

/** An operation on a key-value store as its client saw it. Times in nanoseconds of one monotonic clock. */
export interface Operation {
  readonly client: number;
  readonly op: 'put' | 'get';
  readonly key: string;
  readonly call: number;
  /** What was put, or found. */
  readonly value: string;
  /** Whether a get found anything. */
  readonly found: boolean;
  /** Absent if nobody knows whether it happened: it may have, at any time after the call. */
  readonly return?: number;
}

/** An operation that has begun. One of these is called once; until then the operation is open. */
export interface Begun {
  /** It happened; `found` is what a get found. */
  returned(found?: string): void;
  /** It certainly didn't happen, and never will: the history goes on as if nobody had asked. */
  refused(): void;
}

/** What clients of a key-value store asked and were answered, with when. */
export class History {
  readonly #start = process.hrtime.bigint();
  readonly #operations = new Set<Operation>();

  /** Nanoseconds since this history was begun. */
  now(): number {
    return Number(process.hrtime.bigint() - this.#start);
  }

  get operations(): readonly Operation[] {
    return [...this.#operations];
  }

  put(client: number, key: string, value: string): Begun {
    return this.#begin({ client, op: 'put', key, value, found: false, call: this.now() });
  }

  get(client: number, key: string): Begun {
    return this.#begin({ client, op: 'get', key, value: '', found: false, call: this.now() });
  }

  /** Adds an operation as it stands, for histories that are told instead of lived. */
  add(operation: Operation): this {
    this.#operations.add(operation);
    return this;
  }

  #begin(open: Operation): Begun {
    this.#operations.add(open);
    return {
      returned: (found) => {
        this.#operations.delete(open);
        const seen = open.op === 'get' && { value: found ?? '', found: found !== undefined };
        this.#operations.add({ ...open, ...seen, return: this.now() });
      },
      refused: () => this.#operations.delete(open),
    };
  }
}

/** Porcupine's verdict on a history. */
export function judge(history: History): Promise<Verdict> {
  return askJudge(history.operations.map((operation) => JSON.stringify(operation)));
}

/**
 * Rejects unless Porcupine finds the history linearizable; a check that takes too long is no proof either. Where there
 * is no judge, nothing is checked: titles say so (`judgedTitle`).
 */
export async function expectLinearizable(history: History): Promise<void> {
  if (judgeMissing() !== undefined) return;
  const verdict = await judge(history);
  if (verdict.verdict === 'linearizable') return;
  const { operations, open, illegal, unknown } = verdict;
  const [blamed] = [...illegal, ...unknown];
  throw new Error(
    `the history of ${operations} operations, ${open} of them open, is ${verdict.verdict}; ` +
      `keys: ${[...illegal, ...unknown].join(', ')}; the first:\n${shown(history, blamed)}`,
  );
}

/** The operations of one key in the order of their calls. */
function shown(history: History, key: string | undefined): string {
  const operations = history.operations.filter((operation) => operation.key === key);
  const lines = operations
    .sort((a, b) => a.call - b.call)
    .map(({ client, op, value, found, call, return: end }) => {
      const what = op === 'get' && end !== undefined && !found ? 'nothing' : value;
      return `  client ${client} ${op} ${what} [${call}, ${end ?? 'open'}]`;
    });
  const more = lines.length > MAX_SHOWN ? [`  and ${lines.length - MAX_SHOWN} more`] : [];
  return [...lines.slice(0, MAX_SHOWN), ...more].join('\n');
}
