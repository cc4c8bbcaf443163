import { NO_OP, type Decree } from '../../src/core/decree.js';
import { clientId, entry, requestNumber, round, type Entry } from '../../src/core/ids.js';
import { MessageType, type LogResponse } from '../../src/core/message.js';
import type { StoredEntry } from '../../src/core/record.js';
import type { AppSource, LogLines, ReadLimit } from '../../src/net/app-stream.js';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';

/** A log in memory that grows when the test says so. */
export class MemoryLog implements AppSource {
  readonly #decrees: Decree[] = [];
  readonly skipped = new Set<number>();
  readonly forgotten = new Set<number>();
  readonly reads: { first: Entry; limit: ReadLimit }[] = [];
  /** Entries at the end of the log that are accepted here and not known chosen. */
  unchosen = 0;
  failure: Error | undefined;

  add(...values: string[]): this {
    for (const value of values) {
      const no = requestNumber(this.#decrees.length + 1);
      this.#decrees.push({ id: clientId(65537), no, noset: false, value });
    }
    return this;
  }

  addNoOp(): this {
    this.#decrees.push(NO_OP);
    return this;
  }

  stored(at: number): StoredEntry {
    return { entry: entry(at), round: round(0), decree: this.#decrees[at]! };
  }

  committed(): Entry {
    return entry(this.#decrees.length - this.unchosen);
  }

  isExecuted(at: Entry): boolean {
    return !this.skipped.has(at);
  }

  isRemembered(at: Entry): boolean {
    return !this.forgotten.has(at);
  }

  read(first: Entry, limit: ReadLimit): Promise<readonly StoredEntry[]> {
    this.reads.push({ first, limit });
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const batch: StoredEntry[] = [];
    let bytes = 0;
    // Like a journal, it also gives entries that are only accepted.
    for (let at = first as number; at < this.#decrees.length && batch.length < limit.entries + 1; at++) {
      const stored = this.stored(at);
      bytes += stored.decree.value.length;
      if (batch.length > 0 && bytes > limit.bytes) break;
      batch.push(stored);
    }
    return Promise.resolve(batch);
  }

  async readLines(first: Entry, limit: ReadLimit): Promise<LogLines> {
    const lines = (await this.read(first, limit)).slice(0, limit.entries).map(({ entry, decree }) => {
      const { id, no, noset, value } = decree;
      const response = { type: MessageType.LogResponse, request: { id, no, noset }, entry, value } as const;
      return `${encodeMessage(response, undefined)}\n`;
    });
    return { entries: lines.length, bytes: Buffer.from(lines.join('')) };
  }
}

/** The LogResponses in lines of a stream. */
export function responsesOf(lines: Buffer): LogResponse[] {
  const texts = lines.toString().split('\n');
  if (texts.pop() !== '') throw new Error(`a line is cut short: ${lines.toString()}`);
  return texts.map((text) => {
    const decoded = decodeMessage(text);
    if (decoded.ok && decoded.message.type === MessageType.LogResponse) return decoded.message;
    throw new Error(`no line of a stream: ${text}`);
  });
}

/** A promise that its owner resolves, and that fails when nothing comes within `limit_ms`. */
export function signal<T = void>(limit_ms = 10_000): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done, fail) => {
    const timer = setTimeout(() => fail(new Error(`nothing came for ${limit_ms} ms`)), limit_ms);
    resolve = (value) => {
      clearTimeout(timer);
      done(value);
    };
  });
  return { promise, resolve };
}
