/** Something that the bench waited for didn't come; the message says what. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** How often what can't be waited for as an event is looked at. */
const POLL_MS = 20;

/** Looks until `look` finds something; rejects with a BenchError after `timeout_ms`. */
export async function until<T>(
  what: string,
  timeout_ms: number,
  look: () => T | undefined | Promise<T | undefined>,
  poll_ms = POLL_MS,
): Promise<T> {
  const end_ms = performance.now() + timeout_ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end_ms) throw new BenchError(`waited ${timeout_ms} ms in vain for ${what}`);
    await pause(poll_ms);
  }
}
