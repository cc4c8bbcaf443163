import { TokenBucket } from './token-bucket.js';

/** How much a line matters: `warn` is something to look at, `error` that the node stops. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** The figures of a line, by name; units stand last in the names. */
export type LogDetails = Readonly<Record<string, string | number | boolean>>;

/** Where a room's lines go. `code` is stable and greppable, `text` is a sentence for people. */
export type Log = (level: LogLevel, code: string, text: string, details?: LogDetails) => void;

/** Longest piece of foreign text in a line of the log: enough to recognise it, too little to fill a disk with. */
const MAX_QUOTED_LENGTH = 300;

/** Lines of one code that may come at once, and per second after that: a flood must not become a flood of lines. */
const BURST_LINES = 5;
const LINES_PER_S = 1;

/** Control, format, surrogate and separator characters: what could move a terminal's cursor or fake a line. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Foreign text made fit for a terminal and a log line: unprintable characters as `\u{…}`, and cut to a length. */
export function printable(text: string, max_length = MAX_QUOTED_LENGTH): string {
  const cut = text.length > max_length ? `${text.slice(0, max_length)}…` : text;
  return cut.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

function printableDetails(details: LogDetails): LogDetails {
  return Object.fromEntries(
    Object.entries(details).map(([key, value]) => [
      key,
      typeof value === 'string' ? printable(value) : value,
    ]),
  );
}

/**
 * A log for what strangers cause: every string is made printable, and each code has its own limited rate. What was
 * held back is counted, and the next line of that code says how many (`held_back`). Codes are the program's own,
 * so the number of buckets is bounded.
 */
export function limitedLog(log: Log, now_ms: () => number): Log {
  const rates = new Map<string, { bucket: TokenBucket; held_back: number }>();
  return (level, code, text, details = {}) => {
    let rate = rates.get(code);
    if (rate === undefined) {
      rate = { bucket: new TokenBucket({ burst: BURST_LINES, per_s: LINES_PER_S, now_ms }), held_back: 0 };
      rates.set(code, rate);
    }
    if (!rate.bucket.take()) {
      rate.held_back++;
      return;
    }
    const held_back = rate.held_back;
    rate.held_back = 0;
    log(level, code, printable(text), {
      ...printableDetails(details),
      ...(held_back > 0 ? { held_back } : {}),
    });
  };
}
