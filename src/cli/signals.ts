import type { Logger } from 'pino';
import { Exit } from './failure.js';

/**
 * One Ctrl-C may arrive twice, from the terminal and handed on by npm; a signal this much later is a person who has
 * lost patience.
 */
const SAME_WISH_MS = 500;

export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', handle: (signal: string) => void): unknown;
}

/** Calls `stop` at the first SIGINT or SIGTERM, and `force` at a later one. Source and clock can be others in tests. */
export function onStopSignals(
  stop: (signal: string) => void,
  force: () => void,
  source: SignalSource = process,
  now_ms: () => number = () => performance.now(),
): void {
  let first_ms: number | undefined;
  const handle = (signal: string): void => {
    if (first_ms === undefined) {
      first_ms = now_ms();
      stop(signal);
    } else if (now_ms() - first_ms > SAME_WISH_MS) force();
  };
  source.on('SIGINT', handle);
  source.on('SIGTERM', handle);
}

/**
 * A write beyond the file size that the process may have (`ulimit -f`) fails like one on a full disk, and the journal
 * says so. Without a listener of its own, the process would be ended by the signal that comes with it wherever a small
 * file was replaced before: what replaces them listens meanwhile, and leaves the signal to the system afterwards.
 */
export function surviveFileSizeLimit(): void {
  process.on('SIGXFSZ', () => undefined);
}

/**
 * An error that nobody caught leaves the process in a state that nobody has thought about: it says so and ends.
 * Rejections that nobody handles arrive here too.
 */
export function endOnUncaught(logger: Logger): void {
  process.on('uncaughtException', (error: unknown) => {
    try {
      logger.fatal(
        { code: 'uncaught', err: error },
        'an error that nobody expected: stops at once; please report it with these lines',
      );
    } finally {
      process.exit(Exit.Failed);
    }
  });
}
