import { expectLinearizable, History, type Operation } from '../faults/support/history.js';

/** Judges a history: resolves if it is linearizable, and rejects with the reason if it isn't. */
export type Judge = (history: History) => Promise<void>;

/** Porcupine, where it can be built. */
export const porcupine: Judge = expectLinearizable;

/** What was known of the keys before anybody asked, as operations that came before all others. */
export function carriedOver(
  values: ReadonlyMap<string, string>,
  open: readonly Operation[],
  before_ns: number,
): Operation[] {
  const puts = [...values].map(([key, value]): Operation => ({
    ...{ client: -1, op: 'put', key, value, found: false },
    ...{ call: before_ns, return: before_ns },
  }));
  return [...puts, ...open];
}

export { History, type Operation };
