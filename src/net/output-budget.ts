/**
 * Bytes that all connections of one listener together hold for readers that lag behind. Each connection has a bound
 * of its own; this one keeps many moderately slow readers from adding up.
 */
export class OutputBudget {
  readonly #max_bytes: number;
  #held_bytes = 0;
  #holders = 0;

  constructor(max_bytes: number) {
    this.#max_bytes = max_bytes;
  }

  get held_bytes(): number {
    return this.#held_bytes;
  }

  join(): void {
    this.#holders++;
  }

  leave(held_bytes: number): void {
    this.#holders--;
    this.#held_bytes -= held_bytes;
  }

  hold(bytes: number): void {
    this.#held_bytes += bytes;
  }

  release(bytes: number): void {
    this.#held_bytes -= bytes;
  }

  /**
   * Whether a connection that would hold `own_bytes` is too much: the budget is spent, and it has more than its equal
   * share. Those below their share may go on, so that one slow reader's backlog is never another's end.
   */
  exceededBy(own_bytes: number, more_bytes: number): boolean {
    return (
      this.#held_bytes + more_bytes > this.#max_bytes &&
      own_bytes > this.#max_bytes / Math.max(1, this.#holders)
    );
  }
}
