import { EntryMap } from '../core/entry-map.js';
import { isNoOp, type Decree, type Request } from '../core/decree.js';
import { NO_CLIENT, entry as toEntry, type Entry } from '../core/ids.js';
import { MessageType, type AppResponse, type LogResponse } from '../core/message.js';
import type { StoredEntry } from '../core/record.js';

/**
 * Entries that an application has been sent and has not answered. Enough to hide the way to the application and
 * back; few enough that one which hangs holds no more than 256 values.
 */
export const MAX_UNANSWERED_ENTRIES = 256;

/**
 * Past entries whose fate is remembered, only so that a wrong answer can be called by its right name. Four windows.
 */
const REMEMBERED_FATES = 4 * MAX_UNANSWERED_ENTRIES;

/** What the stream of an application is made of. The driver gives it. */
export interface AppSource {
  /** Every entry below this is chosen, known here and folded into the session table. */
  committed(): Entry;
  /** Whether this entry is executed: false for no-ops and for skipped duplicates (spec.md, "Clients"). */
  isExecuted(entry: Entry, decree: Decree): boolean;
  /** Whether the (id, no) of this entry is still in the session table, so that somebody may ask for its answer. */
  isRemembered(entry: Entry, decree: Decree): boolean;
  /**
   * Consecutive entries from `first` on: at least one, and no more than `limit` allows beyond that one. Rejects when
   * the journal can't be read.
   */
  read(first: Entry, limit: ReadLimit): Promise<readonly StoredEntry[]>;
  /** The same entries, each as the LogResponse in which this node passes it on as it was chosen. */
  readLines(first: Entry, limit: ReadLimit): Promise<LogLines>;
}

/** Consecutive entries, each as a LogResponse: one line of JSON, with its newline. */
export interface LogLines {
  readonly entries: number;
  readonly bytes: Buffer;
}

export interface ReadLimit {
  readonly entries: number;
  /** Of the values, about. */
  readonly bytes: number;
}

/** What an AppResponse is worth. All but `answered` are to be reported and ignored (spec.md, "Applications"). */
export type Judgement =
  /** It answers the entry whose turn it was. */
  | { readonly verdict: 'answered' }
  | {
      readonly verdict: 'out-of-order' | 'twice' | 'never-sent' | 'not-awaited';
      readonly text: string;
    };

type Fate = 'answered' | 'ignored' | 'silent' | 'gap';

/**
 * The bookkeeping of one application connection, without input and output: which entry is streamed next, which
 * answers are awaited, and what an answer is worth (spec.md, "Applications"). Its memory is bounded whatever the
 * application does.
 */
export class AppStream {
  /** The first entry that has not been offered yet. */
  #next: Entry;
  readonly #first: Entry;
  readonly #window: number;
  readonly #source: Pick<AppSource, 'isExecuted' | 'isRemembered'>;
  /** In ascending order; the first is the one whose turn it is. At most `#window`. */
  readonly #awaited: { readonly entry: Entry; readonly request: Request }[] = [];
  /** The latest entries that are no longer awaited, or never were. At most REMEMBERED_FATES. */
  readonly #fates = new EntryMap<Fate>();
  /** None of them is before this. */
  #fates_from: number;

  /** `first` is the entry from which the application wants the log: `ClientApp.entry`. */
  constructor(
    first: Entry,
    source: Pick<AppSource, 'isExecuted' | 'isRemembered'>,
    window = MAX_UNANSWERED_ENTRIES,
  ) {
    this.#first = first;
    this.#fates_from = first;
    this.#next = first;
    this.#source = source;
    this.#window = window;
  }

  /** The first entry that has not been offered yet. */
  get next(): Entry {
    return this.#next;
  }

  /** How many answers are awaited. */
  get unanswered(): number {
    return this.#awaited.length;
  }

  /** The entry whose answer is due next; undefined when nothing is awaited. */
  get firstUnanswered(): Entry | undefined {
    return this.#awaited[0]?.entry;
  }

  /** Whether no entry may be offered until an answer comes. */
  get full(): boolean {
    return this.#awaited.length >= this.#window;
  }

  /**
   * Takes the entry `next`, which must be chosen, and returns what the application is sent for it: nothing for a
   * no-op or a skipped duplicate. `noset` is set where nobody can ask for the answer any more.
   */
  offer(stored: StoredEntry): LogResponse | undefined {
    const { entry, decree } = stored;
    if (entry !== this.#next) throw new Error(`entry ${entry} offered in the place of ${this.#next}`);
    if (this.full) throw new Error(`entry ${entry} offered with ${this.unanswered} answers awaited`);
    this.#next = toEntry(entry + 1);
    if (isNoOp(decree) || !this.#source.isExecuted(entry, decree)) {
      this.#remember(entry, 'gap');
      return undefined;
    }
    const noset = !this.#source.isRemembered(entry, decree);
    const request: Request = { id: decree.id, no: decree.no, noset };
    if (noset) this.#remember(entry, 'silent');
    else this.#awaited.push({ entry, request });
    return { type: MessageType.LogResponse, request, entry, value: decree.value };
  }

  /**
   * Judges an answer. Only `answered` counts. An answer that comes before its turn is spent: the entry isn't awaited
   * any more, so that one such answer doesn't hold up all that come after it.
   */
  judge(response: AppResponse): Judgement {
    const { entry } = response;
    const isFirst = this.#awaited[0]?.entry === entry;
    const index = isFirst ? 0 : this.#awaited.findIndex((one) => one.entry === entry);
    const awaited = this.#awaited[index];
    if (awaited === undefined) return this.#judgeUnawaited(entry);
    if (!isSameRequest(awaited.request, response.request)) {
      return {
        verdict: 'never-sent',
        text:
          `entry ${entry} was sent with request id ${awaited.request.id}, no ${awaited.request.no}, ` +
          `and answered with id ${response.request.id}, no ${response.request.no}`,
      };
    }
    if (isFirst) {
      this.#awaited.shift();
      this.#remember(entry, 'answered');
      return { verdict: 'answered' };
    }
    this.#awaited.splice(index, 1);
    this.#remember(entry, 'ignored');
    return {
      verdict: 'out-of-order',
      text: `entry ${entry} was answered before entry ${this.firstUnanswered ?? 0}; answers must come in order`,
    };
  }

  /** Gives up the answer that is due next: it has come, and could not be read. */
  forfeit(): void {
    const awaited = this.#awaited.shift();
    if (awaited !== undefined) this.#remember(awaited.entry, 'ignored');
  }

  #judgeUnawaited(entry: Entry): Judgement {
    const fate = this.#fates.get(entry);
    switch (fate) {
      case 'answered':
      case 'ignored':
        return { verdict: 'twice', text: `entry ${entry} was answered already` };
      case 'silent':
        return {
          verdict: 'not-awaited',
          text: `entry ${entry} was sent with noset, which asks for no answer`,
        };
      case 'gap':
        return { verdict: 'never-sent', text: `entry ${entry} holds nothing to execute and was not sent` };
      case undefined:
        if (entry >= this.#first && entry < this.#next) {
          return { verdict: 'not-awaited', text: `entry ${entry} is long past` };
        }
        return {
          verdict: 'never-sent',
          text: `entry ${entry} was not sent; this stream began at entry ${this.#first} and goes on at ${this.#next}`,
        };
    }
  }

  #remember(entry: Entry, fate: Fate): void {
    this.#fates.set(entry, fate);
    this.#fates_from = Math.min(this.#fates_from, entry);
    while (this.#fates.size > REMEMBERED_FATES) this.#fates.delete(toEntry(this.#fates_from++));
  }
}

/** An application may leave the request out, as `entry` says enough; one that sends it must send the right one. */
function isSameRequest(sent: Request, echoed: Request): boolean {
  return echoed.id === NO_CLIENT || (echoed.id === sent.id && echoed.no === sent.no);
}
