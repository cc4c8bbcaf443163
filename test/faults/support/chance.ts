import type { Cluster } from '../../support/cluster.js';
import { SeededRandom } from '../../support/random.js';

/** A seed to draw everything from again, as a failed test has told it. */
const TOLD = process.env['FAULTS_SEED'];

/** What all draws of this process come from, unless a test names a seed of its own. */
export const SEED = TOLD === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(TOLD);
if (!Number.isSafeInteger(SEED) || SEED < 0) {
  throw new RangeError(`FAULTS_SEED is ${JSON.stringify(TOLD)}: give a whole number from 0 on`);
}

/** Chance for a test of `all`; if the test fails, what its nodes wrote begins with the seed. */
export function chance(all: Cluster): SeededRandom {
  all.note(`what was drawn at random is drawn again with FAULTS_SEED=${SEED}`);
  return new SeededRandom(SEED);
}
