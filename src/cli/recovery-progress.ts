import { createRequire } from 'node:module';
import type * as CliProgress from 'cli-progress';
import type { Log } from '../index.js';

/** A recovery that is over sooner shows nothing on a terminal. */
const SHOWN_AFTER_MS = 500;

/** How often the log says how far recovery is, where there is no terminal. */
const LINE_EVERY_MS = 2_000;

/** Where a bar is drawn: standard error, or a test's. */
export type Terminal = NodeJS.WritableStream & { readonly isTTY?: boolean };

export interface RecoveryProgress {
  /** How far recovery is, in bytes. */
  on(done_bytes: number, total_bytes: number): void;
  /** A bar goes away and leaves the line to what comes next; nothing is shown after this. */
  end(): void;
}

/** Shows how far a recovery that takes its time has come: a bar on a terminal, lines of the log elsewhere. */
export function recoveryProgress(
  log: Log,
  terminal: Terminal = process.stderr,
  now_ms: () => number = () => performance.now(),
): RecoveryProgress {
  return terminal.isTTY === true ? bar(terminal, now_ms) : lines(log, now_ms);
}

function bar(terminal: Terminal, now_ms: () => number): RecoveryProgress {
  const { Presets, SingleBar } = createRequire(import.meta.url)('cli-progress') as typeof CliProgress;
  const began_ms = now_ms();
  let shown: CliProgress.SingleBar | undefined;
  let over = false;
  return {
    on(done_bytes, total_bytes) {
      if (over || now_ms() - began_ms < SHOWN_AFTER_MS) return;
      if (shown === undefined) {
        const format = 'reads its journal {bar} {percentage} %, {eta_formatted} left';
        shown = new SingleBar(
          { stream: terminal, format, clearOnComplete: true, hideCursor: true },
          Presets.shades_classic,
        );
        shown.start(total_bytes, done_bytes);
      }
      shown.update(done_bytes);
      // Recovery hardly ever waits for anything, so that the bar's own timer wouldn't come to draw.
      shown.render();
    },
    end() {
      over = true;
      shown?.stop();
    },
  };
}

function lines(log: Log, now_ms: () => number): RecoveryProgress {
  let last_ms = now_ms();
  return {
    on(done_bytes, total_bytes) {
      if (now_ms() - last_ms < LINE_EVERY_MS) return;
      last_ms = now_ms();
      const percent = Math.floor((100 * done_bytes) / Math.max(1, total_bytes));
      log('info', 'recovering', `reads its journal: ${percent} %`, { done_bytes, total_bytes });
    },
    end: () => undefined,
  };
}
