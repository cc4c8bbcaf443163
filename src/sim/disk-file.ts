import { SECTOR_BYTES } from '../journal/format.js';

const INITIAL_BYTES = 4096;

/**
 * A file as the system shows it, with what of it a power failure may take back. For every sector that was written since
 * it was last flushed, what the disk held before is kept.
 */
export class DiskFile {
  /** What programs see; its first `length` bytes count. */
  #bytes = Buffer.alloc(INITIAL_BYTES);
  length = 0;
  /** Up to here the disk has the file; beyond it nothing was ever flushed. */
  #flushed = 0;
  /** What the disk holds where something else was written and not flushed. */
  #dirty = new Map<number, Buffer>();
  /** The same of the sectors that are being flushed. */
  #flushing = new Map<number, Buffer>();
  #flushing_length = 0;
  /** The same where a flush failed: the system takes these sectors for written, and never will write them. */
  #lost = new Map<number, Buffer>();

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (end > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(end, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.length);
      this.#bytes = larger;
    }
    for (const sector of sectorsOf(offset, Math.min(end, this.#flushed))) this.#remember(sector);
    this.#bytes.set(bytes, offset);
    this.length = Math.max(this.length, end);
  }

  #remember(sector: number): void {
    if (this.#dirty.has(sector)) return;
    const lost = this.#lost.get(sector);
    this.#lost.delete(sector);
    this.#dirty.set(sector, lost ?? this.#copyOf(sector));
  }

  #copyOf(sector: number): Buffer {
    return Buffer.from(this.#bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
  }

  beginFlush(): void {
    for (const [sector, before] of this.#dirty) {
      if (!this.#flushing.has(sector)) this.#flushing.set(sector, before);
    }
    this.#dirty = new Map();
    this.#flushing_length = this.length;
  }

  finishFlush(): void {
    this.#flushing.clear();
    this.#flushed = Math.max(this.#flushed, this.#flushing_length);
  }

  /** The flush ended with an error: nothing of it got to the disk, and nobody will try again. */
  failFlush(): void {
    for (const [sector, before] of this.#flushing) this.#lost.set(sector, before);
    this.#flushing.clear();
    for (const sector of sectorsOf(this.#flushed, this.#flushing_length))
      if (!this.#lost.has(sector)) this.#lost.set(sector, Buffer.alloc(SECTOR_BYTES));
    this.#flushed = Math.max(this.#flushed, this.#flushing_length);
  }

  /** The process that waited for a flush is gone: what it wanted flushed may be, or not. */
  abandonFlush(): void {
    for (const [sector, before] of this.#flushing) this.#dirty.set(sector, before);
    this.#flushing.clear();
  }

  /** The sectors of which a power failure may leave the old bytes, in their order. */
  get uncertain(): number[] {
    const written = [...this.#dirty.keys()].sort((a, b) => a - b);
    return [
      ...written,
      ...sectorsOf(this.#flushed, this.length).filter((sector) => !this.#dirty.has(sector)),
    ];
  }

  /** The power fails: of each uncertain sector the first `kept` bytes got to the disk. */
  losePower(kept: (sector: number) => number): void {
    for (const sector of this.uncertain) this.#restore(sector, kept(sector), this.#dirty.get(sector));
    for (const [sector, before] of this.#lost) this.#restore(sector, 0, before);
    this.#dirty.clear();
    this.#lost.clear();
    this.#flushed = this.length;
  }

  #restore(sector: number, kept: number, before: Buffer | undefined): void {
    const from = Math.max(sector * SECTOR_BYTES + kept, before === undefined ? this.#flushed : 0);
    const to = Math.min((sector + 1) * SECTOR_BYTES, this.length);
    if (from >= to) return;
    if (before === undefined) this.#bytes.fill(0, from, to);
    else before.copy(this.#bytes, from, from - sector * SECTOR_BYTES, to - sector * SECTOR_BYTES);
  }

  /** Something changes bytes that had been durable. */
  damage(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
  }

  /** What the system shows of it, as a file of its own, flushed. */
  clone(): DiskFile {
    const copy = new DiskFile();
    copy.write(this.bytes, 0);
    copy.#flushed = copy.length;
    return copy;
  }
}

/** The sectors that hold the bytes from `from` up to `to`. */
function sectorsOf(from: number, to: number): number[] {
  const first = Math.floor(from / SECTOR_BYTES);
  return Array.from({ length: Math.max(0, Math.ceil(to / SECTOR_BYTES) - first) }, (_, i) => first + i);
}
