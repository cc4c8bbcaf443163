/**
 * Whether the sweeps are to be long: `FAULTS=deep`, or `npm run test:faults -- --deep`. What it takes in either form is
 * in docs/proof.md, "Real faults".
 */
export const DEEP = process.env['FAULTS'] === 'deep' || process.argv.includes('--deep');

/** Much longer than what the longest of the deep sweeps takes. */
const DEEP_TIMEOUT_MS = 60 * 60_000;

/** Longer than any of these tests takes in its short form on a machine that does other things as well. */
const SHORT_TIMEOUT_MS = 240_000;

/** For `this.timeout` of suites with sweeps. */
export const FAULTS_TIMEOUT_MS = DEEP ? DEEP_TIMEOUT_MS : SHORT_TIMEOUT_MS;

/** How long or wide something is to be, in the short form and in the deep one. */
export function deep<T>(short: T, long: T): T {
  return DEEP ? long : short;
}
