import type { Entry } from '../core/ids.js';

/** Where the line of a record stands. */
export interface Location {
  readonly segment: number;
  /** In the segment's file, in bytes. */
  readonly offset: number;
  /** Of the line. */
  readonly bytes: number;
}

/** A page holds 1024 entries, 12 bytes each. */
const PAGE_ENTRIES = 1024;
const FIELDS = 3;

/**
 * Entry → place of its latest acceptance, or of the record that it was learnt by. Twelve bytes an entry, in pages, so
 * that it grows without copying and a far-away entry costs one page.
 */
export class EntryIndex {
  private readonly pages = new Map<number, Uint32Array>();

  set(entry: Entry, segment: number, offset: number, bytes: number): void {
    const number = Math.floor(entry / PAGE_ENTRIES);
    let page = this.pages.get(number);
    if (!page) {
      page = new Uint32Array(PAGE_ENTRIES * FIELDS);
      this.pages.set(number, page);
    }
    const at = (entry % PAGE_ENTRIES) * FIELDS;
    page[at] = segment;
    page[at + 1] = offset;
    page[at + 2] = bytes;
  }

  get(entry: Entry): Location | undefined {
    const page = this.pages.get(Math.floor(entry / PAGE_ENTRIES));
    const at = (entry % PAGE_ENTRIES) * FIELDS;
    const segment = page?.[at] ?? 0;
    /* Segments are numbered from 1, so that 0 means that nothing was put here. */
    if (segment === 0) return undefined;
    return { segment, offset: page?.[at + 1] ?? 0, bytes: page?.[at + 2] ?? 0 };
  }
}
