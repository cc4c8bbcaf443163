/** Who has something to do at the end of a turn. */
export interface TurnListener {
  turnEnded(): void;
}

/**
 * A turn of the event loop, shared by all connections of a listener: its time is read once, and what they send leaves at
 * its end, for which the platform is asked once. Either costs about as much as reading a small request does, and there
 * may be a thousand in one turn.
 */
export class Turn {
  readonly #clock_ms: () => number;
  #now_ms: number | undefined;
  #listeners: TurnListener[] = [];
  #under_way = false;

  /** `clock_ms`: milliseconds of a clock that never goes back. */
  constructor(clock_ms: () => number) {
    this.#clock_ms = clock_ms;
  }

  /** The time, in milliseconds, as it was when somebody first asked in this turn. */
  now_ms(): number {
    this.#begin();
    return (this.#now_ms ??= this.#clock_ms());
  }

  /** Tells a listener when the turn ends; once for each time that it asks. */
  atEnd(listener: TurnListener): void {
    this.#begin();
    this.#listeners.push(listener);
  }

  #begin(): void {
    if (this.#under_way) return;
    this.#under_way = true;
    // Not a microtask: those run after every chunk read, and a turn reads the chunks of many connections.
    setImmediate(() => this.#end());
  }

  #end(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    this.#now_ms = undefined;
    this.#under_way = false;
    for (const listener of listeners) listener.turnEnded();
  }
}
