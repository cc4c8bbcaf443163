const EMPTY = -1;

/** A map from two non-negative 31-bit integers to one, in typed arrays: open addressing, linear probing. */
export class PairMap {
  #first: Int32Array;
  #second: Int32Array;
  #value: Int32Array;
  #mask: number;
  #size = 0;

  constructor(capacity = 1024) {
    this.#first = new Int32Array(capacity).fill(EMPTY);
    this.#second = new Int32Array(capacity);
    this.#value = new Int32Array(capacity);
    this.#mask = capacity - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** The value of a pair, or −1. */
  get(first: number, second: number): number {
    const at = this.#slot(first, second);
    return this.#first[at] === EMPTY ? -1 : (this.#value[at] as number);
  }

  set(first: number, second: number, value: number): void {
    if ((this.#size + 1) * 2 > this.#mask) this.#grow();
    const at = this.#slot(first, second);
    if (this.#first[at] === EMPTY) this.#size++;
    this.#first[at] = first;
    this.#second[at] = second;
    this.#value[at] = value;
  }

  #slot(first: number, second: number): number {
    let at = hashPair(first, second) & this.#mask;
    for (;;) {
      const found = this.#first[at];
      if (found === EMPTY || (found === first && this.#second[at] === second)) return at;
      at = (at + 1) & this.#mask;
    }
  }

  #grow(): void {
    const [first, second, value] = [this.#first, this.#second, this.#value];
    const capacity = (this.#mask + 1) * 2;
    this.#first = new Int32Array(capacity).fill(EMPTY);
    this.#second = new Int32Array(capacity);
    this.#value = new Int32Array(capacity);
    this.#mask = capacity - 1;
    this.#size = 0;
    for (let i = 0; i < first.length; i++) {
      if (first[i] !== EMPTY) this.set(first[i] as number, second[i] as number, value[i] as number);
    }
  }
}

/** Mixes two integers into 32 bits. */
export function hashPair(first: number, second: number): number {
  let h = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}
