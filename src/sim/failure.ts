/** A broken invariant: what faults.md numbers, or one of the core's own. The run ends with it. */
export class SimulationFailure extends Error {
  constructor(
    /** A short name, by which the shrinker tells whether it still sees the same failure. */
    readonly kind: string,
    text: string,
  ) {
    super(`${kind}: ${text}`);
    this.name = 'SimulationFailure';
  }
}

export function mustHold(holds: boolean, kind: string, text: () => string): asserts holds {
  if (!holds) throw new SimulationFailure(kind, text());
}
