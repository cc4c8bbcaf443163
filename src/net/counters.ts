/** Counts by code, for the status page: what was refused or dropped, and how often. */
export class Counters<Code extends string> {
  readonly #counts = new Map<Code, number>();

  count(code: Code): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  of(code: Code): number {
    return this.#counts.get(code) ?? 0;
  }

  /** Every code that was ever counted, in alphabetical order. */
  all(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
