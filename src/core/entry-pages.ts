import type { Entry } from './ids.js';

/** Entries of a page. */
const PAGE_ENTRIES = 1024;

/** What is kept for entries from `no` × 1,024 on. */
interface Page<V> {
  no: number;
  /** At the place of each, counted from the first; short as long as nothing was set further behind. */
  readonly values: (V | undefined)[];
  /** How many there are. */
  size: number;
}

/**
 * A map from entries of the log for an agent that may lag behind: it holds what lies around its commit index and, maybe
 * millions of entries ahead, what is proposed now. Both come and go in about the log's own order, so there is a table
 * of pages, of which two are looked at by turns for a while; a page is there as long as something is on it.
 */
export class EntryPages<V extends object> {
  readonly #pages = new Map<number, Page<V>>();
  /** The page that was found last, and the one before: what is there is nearly always on one of these. */
  #last: Page<V> | undefined;
  #other: Page<V> | undefined;
  /** An empty one, to be used again. */
  #spare: Page<V> | undefined;
  #size = 0;

  constructor(pairs: Iterable<readonly [Entry, V]> = []) {
    for (const [entry, value] of pairs) this.set(entry, value);
  }

  get size(): number {
    return this.#size;
  }

  has(entry: Entry): boolean {
    return this.get(entry) !== undefined;
  }

  get(entry: Entry): V | undefined {
    return this.#page(pageOf(entry))?.values[entry % PAGE_ENTRIES];
  }

  set(entry: Entry, value: V): this {
    const page = this.#page(pageOf(entry)) ?? this.#add(pageOf(entry));
    const place = entry % PAGE_ENTRIES;
    if (page.values[place] === undefined) {
      page.size++;
      this.#size++;
    }
    page.values[place] = value;
    return this;
  }

  delete(entry: Entry): boolean {
    const page = this.#page(pageOf(entry));
    const place = entry % PAGE_ENTRIES;
    if (page?.values[place] === undefined) return false;
    page.values[place] = undefined;
    page.size--;
    this.#size--;
    if (page.size === 0) this.#remove(page);
    return true;
  }

  /** What is in it now, in the order of the log. */
  *[Symbol.iterator](): IterableIterator<[Entry, V]> {
    for (const entry of this.keys()) yield [entry, this.get(entry) as V];
  }

  /** The entries that are in it now, in the order of the log. */
  keys(): Entry[] {
    const keys: Entry[] = [];
    const pages = [...this.#pages.values()].sort((a, b) => a.no - b.no);
    for (const { no, values } of pages)
      for (let i = 0; i < values.length; i++)
        if (values[i] !== undefined) keys.push((no * PAGE_ENTRIES + i) as Entry);
    return keys;
  }

  /** What they map to, in the same order. */
  values(): V[] {
    return this.keys().map((entry) => this.get(entry) as V);
  }

  /** For texts of whole states. */
  toJSON(): [Entry, V][] {
    return [...this];
  }

  #page(no: number): Page<V> | undefined {
    const last = this.#last;
    if (last?.no === no) return last;
    const found = this.#other?.no === no ? this.#other : this.#pages.get(no);
    if (found !== undefined) this.#use(found);
    return found;
  }

  #use(page: Page<V>): void {
    this.#other = this.#last;
    this.#last = page;
  }

  #add(no: number): Page<V> {
    const page = this.#spare ?? { no, values: [], size: 0 };
    this.#spare = undefined;
    page.no = no;
    this.#pages.set(no, page);
    this.#use(page);
    return page;
  }

  #remove(page: Page<V>): void {
    this.#pages.delete(page.no);
    if (this.#last === page) this.#last = undefined;
    if (this.#other === page) this.#other = undefined;
    this.#spare = page;
  }
}

function pageOf(entry: Entry): number {
  return Math.floor(entry / PAGE_ENTRIES);
}
