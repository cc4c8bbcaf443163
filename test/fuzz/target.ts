import type { SeededRandom } from '../support/random.js';

/** Something that takes bytes from outside, with what must hold whatever they are. */
export interface Target {
  readonly name: string;
  /** How often it gets a case, beside the others. */
  readonly weight: number;
  /** What new cases are made from. */
  readonly seeds: readonly Buffer[];
  /** A case made from one or two that were interesting. */
  mutate(one: Buffer, other: Buffer, random: SeededRandom): Buffer;
  /**
   * Runs a case. Returns what became of it; the signature tells alike cases from others. Throws or rejects if anything is violated.
   */
  run(bytes: Buffer): Outcome | Promise<Outcome>;
  /** Smaller cases that may fail as well, the smallest first. */
  smaller(bytes: Buffer): Iterable<Buffer>;
}

/** What became of a case. */
export interface Outcome {
  /** For the statistics: one for each message in it, or one for all of it. */
  readonly codes: readonly string[];
  readonly signature: string;
  /** Whether anything of it was taken, and not all refused. */
  readonly isTaken: boolean;
}

/** A violation; `kind` tells one from another while a case is made smaller. */
export class Finding extends Error {
  override readonly name = 'Finding';

  constructor(
    readonly kind: string,
    detail: string,
  ) {
    super(`${kind}: ${detail}`);
  }
}

/** The kind of whatever was thrown. */
export function kindOf(error: unknown): string {
  if (error instanceof Finding) return error.kind;
  return error instanceof Error ? `${error.name} ${error.message.replace(/\d+/g, 'N')}` : String(error);
}
