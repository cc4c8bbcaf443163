import type { Entry } from './ids.js';

/** Slots of a map that has just been made: enough for what the explorer and most tests put in. */
const FIRST_SLOTS = 4;

/** Slots at most, usually: more than the entries that are on their way at a time. */
const MAX_SLOTS = 16_384;

/** In a slot that holds nothing. */
const NOTHING = -1;

/**
 * A map from entries of the log, or other numbers that count up, for those that come and go in about their own order.
 * It is a ring: the place of an entry is its number modulo the number of slots, which doubles when two entries want the
 * same one. A hash table of the platform would do, but is rehashed again and again under such a load, and costs much
 * more. Entries too far apart for any ring are kept in such a table nevertheless.
 */
export class EntryMap<V, K extends number = Entry> {
  #entries: number[];
  #values: (V | undefined)[];
  #size = 0;
  /** Those whose slot belongs to another entry. Most lookups are below all of them, and needn't ask the table. */
  #others: Map<K, V> | undefined;
  #others_from = Infinity;
  readonly #max_slots: number;

  /** `max_slots` is a power of two. */
  constructor(pairs: Iterable<readonly [K, V]> = [], max_slots = MAX_SLOTS) {
    this.#max_slots = max_slots;
    this.#entries = new Array<number>(FIRST_SLOTS).fill(NOTHING);
    this.#values = new Array<V | undefined>(FIRST_SLOTS).fill(undefined);
    for (const [entry, value] of pairs) this.set(entry, value);
  }

  get size(): number {
    return this.#size;
  }

  has(entry: K): boolean {
    const slot = entry & (this.#entries.length - 1);
    return this.#entries[slot] === entry || this.#isAside(entry);
  }

  get(entry: K): V | undefined {
    const slot = entry & (this.#entries.length - 1);
    if (this.#entries[slot] === entry) return this.#values[slot];
    return entry < this.#others_from ? undefined : this.#others?.get(entry);
  }

  set(entry: K, value: V): this {
    for (;;) {
      const slot = entry & (this.#entries.length - 1);
      const there = this.#entries[slot];
      if (there === entry) {
        this.#values[slot] = value;
        return this;
      }
      if (there === NOTHING && !this.#isAside(entry)) {
        this.#entries[slot] = entry;
        this.#values[slot] = value;
        this.#size++;
        return this;
      }
      if (this.#entries.length >= this.#max_slots) return this.#setAside(entry, value);
      this.#grow();
    }
  }

  delete(entry: K): boolean {
    const slot = entry & (this.#entries.length - 1);
    if (this.#entries[slot] === entry) {
      this.#entries[slot] = NOTHING;
      this.#values[slot] = undefined;
    } else if (!this.#isAside(entry) || this.#others?.delete(entry) !== true) return false;
    else if (this.#others.size === 0) this.#forgetOthers();
    this.#size--;
    return true;
  }

  clear(): void {
    this.#entries.fill(NOTHING);
    this.#values.fill(undefined);
    this.#forgetOthers();
    this.#size = 0;
  }

  /** What is in it now, in the order of the log. */
  *[Symbol.iterator](): IterableIterator<[K, V]> {
    for (const entry of this.keys()) yield [entry, this.get(entry) as V];
  }

  /** The entries that are in it now, in the order of the log. */
  keys(): K[] {
    const kept = this.#entries.filter((entry) => entry !== NOTHING) as K[];
    if (this.#others !== undefined) kept.push(...this.#others.keys());
    return kept.sort((a, b) => a - b);
  }

  /** The first of them in the order of the log. */
  lowest(): K | undefined {
    let lowest = Infinity;
    for (const entry of this.#entries) if (entry !== NOTHING && entry < lowest) lowest = entry;
    for (const entry of this.#others?.keys() ?? []) if (entry < lowest) lowest = entry;
    return lowest === Infinity ? undefined : (lowest as K);
  }

  /** What they map to, in the same order. */
  values(): V[] {
    return this.keys().map((entry) => this.get(entry) as V);
  }

  /** For texts of whole states. */
  toJSON(): [K, V][] {
    return [...this];
  }

  #isAside(entry: K): boolean {
    return entry >= this.#others_from && this.#others?.has(entry) === true;
  }

  #forgetOthers(): void {
    this.#others = undefined;
    this.#others_from = Infinity;
  }

  #setAside(entry: K, value: V): this {
    this.#others ??= new Map();
    this.#others_from = Math.min(this.#others_from, entry);
    if (!this.#others.has(entry)) this.#size++;
    this.#others.set(entry, value);
    return this;
  }

  #grow(): void {
    const entries = this.#entries;
    const values = this.#values;
    const slots = 2 * entries.length;
    this.#entries = new Array<number>(slots).fill(NOTHING);
    this.#values = new Array<V | undefined>(slots).fill(undefined);
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      if (entry === undefined || entry === NOTHING) continue;
      this.#entries[entry & (slots - 1)] = entry;
      this.#values[entry & (slots - 1)] = values[i];
    }
  }
}
