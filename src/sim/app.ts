import { crc32 } from 'node:zlib';

/**
 * The replicated program: a counter, a running hash of all it was given, and an echo. Its answer to a value depends on
 * everything before it, so that an entry lost, doubled or moved shows in all later answers.
 */
export class Program {
  #count = 0;
  #hash = 0;

  apply(value: string): string {
    this.#count++;
    this.#hash = crc32(value, this.#hash);
    return `${this.#count}:${this.#hash.toString(36)}:${value}`;
  }
}
