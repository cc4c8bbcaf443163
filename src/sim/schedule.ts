/** Something that will happen at a virtual time, unless it is cancelled before. */
export interface Appointment {
  readonly at_ms: number;
  readonly order: number;
  cancelled: boolean;
  readonly run: () => void;
}

/** Virtual time: a heap of appointments. What is due at the same moment happens in the order it was arranged in. */
export class Schedule {
  now_ms = 0;
  /** Appointments kept so far. */
  events = 0;
  #arranged = 0;
  readonly #heap: Appointment[] = [];

  after(delay_ms: number, run: () => void): Appointment {
    const made = { at_ms: this.now_ms + delay_ms, order: this.#arranged++, cancelled: false, run };
    this.#push(made);
    return made;
  }

  /** Moves on to the next appointment and keeps it; false when it lies beyond `end_ms`, which then is the time. */
  step(end_ms: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at_ms > end_ms) {
        this.now_ms = end_ms;
        return false;
      }
      this.#pop();
      if (next.cancelled) continue;
      this.now_ms = next.at_ms;
      this.events++;
      next.run();
      return true;
    }
  }

  #push(made: Appointment): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(made);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, made)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = made;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const child = this.#smallerChild(at);
      const below = heap[child];
      if (below === undefined || isBefore(last, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }

  #smallerChild(at: number): number {
    const left = this.#heap[2 * at + 1];
    const right = this.#heap[2 * at + 2];
    return left !== undefined && right !== undefined && isBefore(right, left) ? 2 * at + 2 : 2 * at + 1;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order);
}
