/**
 * All global states seen, each a few 32-bit words, in the order of discovery, with the index of the state that each
 * was first reached from. States are compared word by word: no two are ever taken for one on account of a hash.
 */
export class StateTable {
  #words: Int32Array;
  #parents: Int32Array;
  /** Indices into the table plus one, by hash; 0 is free. */
  #slots: Int32Array;
  #mask: number;
  #size = 0;

  constructor(
    readonly width: number,
    capacity = 1 << 16,
  ) {
    this.#words = new Int32Array(capacity * width);
    this.#parents = new Int32Array(capacity);
    this.#slots = new Int32Array(capacity * 2);
    this.#mask = capacity * 2 - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether the state is new; it is kept then, as reached from `parent`. */
  add(state: Int32Array, parent: number): boolean {
    if (this.#size * 4 > this.#mask * 3) this.#growSlots();
    const { width } = this;
    const words = this.#words;
    let slot = this.#hash(state, 0) & this.#mask;
    for (;;) {
      const found = this.#slots[slot] as number;
      if (found === 0) break;
      const at = (found - 1) * width;
      let same = 0;
      while (same < width && words[at + same] === state[same]) same++;
      if (same === width) return false;
      slot = (slot + 1) & this.#mask;
    }
    this.#append(state, parent);
    this.#slots[slot] = this.#size;
    return true;
  }

  #append(state: Int32Array, parent: number): void {
    if (this.#size === this.#parents.length) this.#growStates();
    this.#words.set(state, this.#size * this.width);
    this.#parents[this.#size] = parent;
    this.#size++;
  }

  /** Copies a state's words out. */
  read(index: number, into: Int32Array): void {
    const { width } = this;
    const at = index * width;
    for (let i = 0; i < width; i++) into[i] = this.#words[at + i] as number;
  }

  parent(index: number): number {
    return this.#parents[index] ?? -1;
  }

  #hash(words: Int32Array, at: number): number {
    let h = 0x811c9dc5;
    for (let i = 0; i < this.width; i++) {
      h = Math.imul(h ^ (words[at + i] as number), 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0x85ebca6b);
    return (h ^ (h >>> 13)) >>> 0;
  }

  #growStates(): void {
    const words = new Int32Array(this.#words.length * 2);
    words.set(this.#words);
    this.#words = words;
    const parents = new Int32Array(this.#parents.length * 2);
    parents.set(this.#parents);
    this.#parents = parents;
  }

  #growSlots(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    this.#slots = slots;
    this.#mask = slots.length - 1;
    for (let i = 0; i < this.#size; i++) {
      let slot = this.#hash(this.#words, i * this.width) & this.#mask;
      while (slots[slot] !== 0) slot = (slot + 1) & this.#mask;
      slots[slot] = i + 1;
    }
  }
}
