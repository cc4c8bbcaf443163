/** A request that was answered. Times in nanoseconds of this process's own clock. */
export interface Acknowledged {
  readonly id: number;
  readonly no: number;
  readonly entry: number;
  readonly asked: string;
  readonly answer: string;
  readonly called_ns: number;
  readonly returned_ns: number;
}

const START_NS = process.hrtime.bigint();

/** The time by which calls and returns are ordered, in nanoseconds since this process began. */
export function now_ns(): number {
  return Number(process.hrtime.bigint() - START_NS);
}
