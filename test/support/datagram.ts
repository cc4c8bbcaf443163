import type { Split } from '../../src/wire/datagram.js';

/** The texts that were found in a datagram, each by itself. */
export function textsOf({ text, bounds }: Split & { readonly ok: true }): string[] {
  const texts: string[] = [];
  for (let i = 0; i < bounds.length; i += 2) texts.push(text.slice(bounds[i], bounds[i + 1]));
  return texts;
}
