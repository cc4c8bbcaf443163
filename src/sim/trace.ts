import { crc32 } from 'node:zlib';

type Field = string | number | boolean | undefined;

/** Lines kept for the report of a failure. */
const KEPT_LINES = 400;

/** Of a printed line: enough for any message but its value. */
const LINE_LENGTH = 300;

/**
 * What happened, event by event: a hash of all of it, by which two runs are compared, and the latest lines, by which a
 * failure is understood.
 */
export class Trace {
  #hash = 0;
  readonly #kept: (readonly Field[])[] = [];
  #next = 0;

  constructor(
    private readonly now_ms: () => number,
    private readonly print?: (line: string) => void,
  ) {}

  get hash(): string {
    return this.#hash.toString(16).padStart(8, '0');
  }

  note(kind: string, ...fields: Field[]): void {
    const line: readonly Field[] = [this.now_ms(), kind, ...fields];
    this.#hash = crc32(line.join(' '), this.#hash);
    if (this.print) this.print(format(line));
    this.#kept[this.#next] = line;
    this.#next = (this.#next + 1) % KEPT_LINES;
  }

  /** The latest lines, oldest first. */
  latest(): string[] {
    return [...this.#kept.slice(this.#next), ...this.#kept.slice(0, this.#next)].map(format);
  }
}

function format([at_ms, kind, ...fields]: readonly Field[]): string {
  const at = (Number(at_ms) / 1000).toFixed(4).padStart(10);
  const text = fields.filter((field) => field !== undefined).join(' ');
  return `${at} ${String(kind).padEnd(10)} ${text.slice(0, LINE_LENGTH)}`;
}
