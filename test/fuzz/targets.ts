import { journal } from './journal-target.js';
import type { Target } from './target.js';
import { datagram, output, stream } from './wire-targets.js';

/** Everything that takes bytes from outside. */
export const TARGETS: readonly Target[] = [datagram, stream, output, journal];
