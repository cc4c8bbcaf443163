import { isNoOp, lengthOf } from '../core/decree.js';
import { entry as toEntry, type Entry } from '../core/ids.js';
import { MessageType, type LogResponse, type Message } from '../core/message.js';
import type { StoredEntry } from '../core/record.js';
import { AppStream, type AppSource, type LogLines } from './app-stream.js';
import type { Batch, Pace } from './pace.js';

/**
 * Entries read ahead for the application. A batch costs a few turns of a busy loop, so it is worth some; it is bounded,
 * as every reader may keep it for as long as it likes.
 */
export const READ_AHEAD_ENTRIES = 512;

/** For all others, who shouldn't keep the loop for long from those that wait for answers. */
export const SHORT_READ_AHEAD_ENTRIES = 256;

/** Bytes of values read ahead for one reader: two of the largest values. */
export const READ_AHEAD_BYTES = 128 * 1024;

/** Where a stream goes: a client's connection, or a simulator's. */
export interface StreamSink {
  send(message: Message): void;
  /** Sends lines that were encoded, each with its newline. */
  sendBytes(lines: Buffer): void;
  /** Whether the buffer towards the reader has room. While it has none, nothing more is sent. */
  readonly writable: boolean;
  /** Lets what was sent leave now, and not at the turn's end. */
  flush(): void;
  /** Calls back once, when there is room again; never if the reader is gone before. */
  onDrain(listener: () => void): void;
}

/**
 * What a reader of the log gets (spec.md, "Applications" and "Learning and catch-up").
 * `app`: what the application is to execute, and answer. `follower`: the same, with every `noset` true, as no answer
 * is wanted. `raw`: every chosen entry, no-ops and duplicates too, with requests as chosen.
 */
export type StreamMode = 'app' | 'follower' | 'raw';

export interface LogStreamOptions {
  readonly source: AppSource;
  readonly sink: StreamSink;
  /** The first entry wanted. One that isn't chosen yet is waited for. */
  readonly first: Entry;
  /** With an AppStream, its window holds the stream back; it must not be offered entries by anybody else. */
  readonly mode: { readonly kind: 'app'; readonly stream: AppStream } | { readonly kind: 'follower' | 'raw' };
  /** Holds the stream back between batches; absent: the next one is read in another turn of the loop. */
  readonly pace?: Pace;
  /** The log can't be read; the stream has stopped. Called at most once. */
  readonly onFailed: (reason: string) => void;
}

/**
 * Pumps chosen entries from the log to one reader, with back-pressure: at most one batch is read ahead, and nothing
 * is sent while the reader's buffer is full. A reader that doesn't read costs that batch and nothing else.
 */
export class LogStream {
  readonly #options: LogStreamOptions;
  #next: Entry;
  /** What has been read and not been sent; consecutive, from `#next` on. */
  #batch: readonly StoredEntry[] = [];
  #batchIndex = 0;
  /** The same for a raw reader, who gets all of it at once. */
  #lines: LogLines | undefined;
  #reading = false;
  #awaitingRoom = false;
  #stopped = false;

  constructor(options: LogStreamOptions) {
    this.#options = options;
    this.#next = options.first;
    this.#pump();
  }

  get mode(): StreamMode {
    return this.#options.mode.kind;
  }

  /** The first entry that the reader has not been sent, or that was skipped for it. */
  get next(): Entry {
    return this.#next;
  }

  /** Whether the reader holds the stream up by not reading. */
  get stuck(): boolean {
    return !this.#stopped && this.#awaitingRoom;
  }

  /** To be called when `committed` has grown, and when the application has answered. */
  wake(): void {
    this.#pump();
  }

  /** Nothing is sent after this. */
  stop(): void {
    this.#stopped = true;
    this.#batch = [];
    this.#lines = undefined;
  }

  #pump(): void {
    const { sink } = this.#options;
    while (!this.#stopped && !this.#isHeldBack()) {
      if (!sink.writable) {
        this.#awaitRoom();
        return;
      }
      const next = this.#batch[this.#batchIndex];
      if (next !== undefined) this.#send(next);
      else if (this.#lines !== undefined) this.#sendLines(this.#lines);
      else return this.#readOn();
    }
  }

  #send(next: StoredEntry): void {
    this.#batchIndex++;
    this.#next = toEntry(next.entry + 1);
    const message = this.#select(next);
    if (message !== undefined) this.#options.sink.send(message);
  }

  #sendLines({ entries, bytes }: LogLines): void {
    this.#lines = undefined;
    this.#next = toEntry(this.#next + entries);
    this.#options.sink.sendBytes(bytes);
  }

  #awaitRoom(): void {
    if (this.#awaitingRoom) return;
    this.#awaitingRoom = true;
    this.#options.sink.onDrain(() => {
      this.#awaitingRoom = false;
      this.#pump();
    });
  }

  #isHeldBack(): boolean {
    const { mode } = this.#options;
    return mode.kind === 'app' && mode.stream.full;
  }

  /** What the application or a follower is sent. */
  #select(stored: StoredEntry): LogResponse | undefined {
    const { mode, source } = this.#options;
    if (mode.kind === 'app') return mode.stream.offer(stored);
    if (isSkipped(stored, source)) return undefined;
    const { entry, decree } = stored;
    const { id, no, value } = decree;
    return { type: MessageType.LogResponse, request: { id, no, noset: true }, entry, value };
  }

  #readOn(): void {
    const { source } = this.#options;
    const first = this.#next;
    const known = source.committed() - first;
    if (this.#reading || known <= 0) return;
    this.#reading = true;
    // The journal also holds what is only accepted, which nobody may see.
    const most = this.mode === 'app' ? READ_AHEAD_ENTRIES : SHORT_READ_AHEAD_ENTRIES;
    const entries = Math.min(known, most);
    const limit = { entries, bytes: READ_AHEAD_BYTES };
    const reading =
      this.mode === 'raw'
        ? source.readLines(first, limit).then((lines) => () => this.#onLines(lines))
        : source.read(first, limit).then((batch) => () => this.#onBatch(batch.slice(0, entries)));
    reading.then(
      (onRead) => onRead(),
      (error: unknown) => this.#fail(error instanceof Error ? error.message : String(error)),
    );
  }

  #onLines(lines: LogLines): void {
    if (this.#stopped) return;
    this.#lines = lines;
    this.#onRead({ entries: lines.entries, bytes: lines.bytes.length });
  }

  #onBatch(batch: readonly StoredEntry[]): void {
    if (this.#stopped) return;
    for (const [i, stored] of batch.entries()) {
      if (stored.entry === this.#next + i) continue;
      this.#fail(`the journal gave entry ${stored.entry} in the place of ${this.#next + i}`);
      return;
    }
    this.#batch = batch;
    this.#batchIndex = 0;
    const bytes = batch.reduce((sum, { decree }) => sum + lengthOf(decree), 0);
    this.#onRead({ entries: batch.length, bytes });
  }

  #onRead(read: Batch): void {
    if (read.entries === 0) {
      this.#fail(`the journal gave no entry ${this.#next}`);
      return;
    }
    // The next batch is read in another turn of the loop, so that a reader far behind leaves turns to everybody else.
    const next = (): void => {
      this.#reading = false;
      this.#pump();
    };
    const wait_ms = this.#wait_ms(read);
    if (wait_ms < 1) setImmediate(next);
    else setTimeout(next, wait_ms);
    this.#pump();
    // Clients wait for it; nothing that could leave with this comes in the same turn.
    if (this.mode === 'app') this.#options.sink.flush();
  }

  #wait_ms(read: Batch): number {
    const { pace, source } = this.#options;
    return pace?.wait_ms(read, source.committed() - this.#next - read.entries) ?? 0;
  }

  #fail(reason: string): void {
    if (this.#stopped) return;
    this.stop();
    this.#options.onFailed(reason);
  }
}

/** No-ops and skipped duplicates reach no application (spec.md, "Applications"). */
function isSkipped({ entry, decree }: StoredEntry, source: AppSource): boolean {
  return isNoOp(decree) || !source.isExecuted(entry, decree);
}
