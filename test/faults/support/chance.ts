import type { Cluster } from '../../support/cluster.js';
import { SeededRandom } from '../../support/random.js';

/** A seed to draw everything from again, as a failed test has told it. */
const TOLD = process.env['FAULTS_SEED'];

/** What all draws of this process come from, unless a test names a seed of its own. */
export const SEED = TOLD === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(TOLD);
if (!Number.isSafeInteger(SEED) || SEED < 0) {
  throw new RangeError(`FAULTS_SEED is ${JSON.stringify(TOLD)}: give a whole number from 0 on`);
}

/** If the test of `all` fails, what its nodes wrote begins with the seed. */
export function tellSeed(all: Cluster): void {
  all.note(`what was drawn at random is drawn again with FAULTS_SEED=${SEED}`);
}

/** Chance for a test of `all`, which tells the seed if it fails. */
export function chance(all: Cluster): SeededRandom {
  tellSeed(all);
  return new SeededRandom(SEED);
}
