import { PROJECT } from '../../support/process.js';

/** Environment variables that make `preload.ts` part of a node, and tell it what to do there. */
export function inside(faults: Readonly<Record<string, string>>): Record<string, string> {
  return { ...faults, NODE_OPTIONS: `--import=${PROJECT}dist/test/faults/support/preload.js` };
}

/** The same as a command prefix, for a single life of a node. */
export function insideOnce(faults: Readonly<Record<string, string>>): string[] {
  return ['env', ...Object.entries(inside(faults)).map(([name, value]) => `${name}=${value}`)];
}
