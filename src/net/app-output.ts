import type { Readable } from 'node:stream';
import { printable, type Log } from './logging.js';
import { TokenBucket } from './token-bucket.js';

/** Longest line of an application's output that is shown whole: more than people read, little to keep. */
const MAX_OUTPUT_LINE_LENGTH = 1000;

/** Lines of output shown at once, and per second after that. An application that floods must not fill the log. */
const BURST_OUTPUT_LINES = 200;
const OUTPUT_LINES_PER_S = 100;

/**
 * Shows what an application writes, line by line, in the log: cut to a length, fit for a terminal, and at a limited
 * rate. All of it is read, so that a chatty application never blocks on its own output; what isn't shown is counted.
 */
export function showOutput(stream: Readable, name: 'stdout' | 'stderr', log: Log): void {
  const bucket = new TokenBucket({
    burst: BURST_OUTPUT_LINES,
    per_s: OUTPUT_LINES_PER_S,
    now_ms: () => performance.now(),
  });
  let held_back = 0;
  const reportHeldBack = () => {
    if (held_back === 0) return;
    log('warn', 'app-output-held-back', `${held_back} lines of the application's ${name} were not shown`);
    held_back = 0;
  };
  const onLine = (line: string) => {
    if (!bucket.take()) {
      held_back++;
      return;
    }
    reportHeldBack();
    const text = printable(line.replaceAll('\t', '    '), MAX_OUTPUT_LINE_LENGTH);
    log('info', 'app-output', `app | ${text}`, { stream: name });
  };
  const lines = new LineCutter(MAX_OUTPUT_LINE_LENGTH, onLine);
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => lines.push(chunk));
  // A pipe that breaks has no more to show; the process's own end is reported elsewhere.
  stream.on('error', () => undefined);
  stream.once('close', () => {
    lines.end();
    reportHeldBack();
  });
}

/** Cuts text into lines, keeping at most one character more than `max_length` of each: then it shows as cut. */
class LineCutter {
  #line = '';
  readonly #max_length: number;
  readonly #onLine: (line: string) => void;

  constructor(max_length: number, onLine: (line: string) => void) {
    this.#max_length = max_length;
    this.#onLine = onLine;
  }

  push(chunk: string): void {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
      this.#append(chunk.slice(start, end));
      this.#flush();
      start = end + 1;
    }
    this.#append(chunk.slice(start));
  }

  end(): void {
    if (this.#line !== '') this.#flush();
  }

  #append(text: string): void {
    const room = this.#max_length + 1 - this.#line.length;
    if (room > 0) this.#line += text.slice(0, room);
  }

  #flush(): void {
    const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
    this.#line = '';
    this.#onLine(line);
  }
}
