import { isUtf8 } from 'node:buffer';
import { MAX_DATAGRAM_BYTES } from '../core/limits.js';

/** Datagrams hold one or more messages, separated by newlines (spec.md, "Encoding"). */

export type Split =
  | {
      readonly ok: true;
      readonly text: string;
      /** Where each message begins in it and what stands behind it, one after the other. */
      readonly bounds: readonly number[];
    }
  | { readonly ok: false; readonly reason: string };

const OPENING_BRACE = 0x7b;

/** Finds the texts in a datagram; blank lines don't count. Refused: what isn't UTF-8, or has no text at all. */
export function splitDatagram(bytes: Uint8Array): Split {
  if (!isUtf8(bytes)) return { ok: false, reason: 'not valid UTF-8' };
  // toString keeps a byte order mark, which TextDecoder would take away: such a text is refused, not repaired.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  const bounds: number[] = [];
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const isBlank = text.charCodeAt(start) !== OPENING_BRACE && text.slice(start, end).trim() === '';
    if (!isBlank) bounds.push(start, end);
    start = end + 1;
  }
  return bounds.length === 0 ? { ok: false, reason: 'empty' } : { ok: true, text, bounds };
}

/**
 * How full datagrams are made when messages are joined; which of these towards whom is decided in
 * `src/net/datagram-size.ts`. The smallest fits a frame of Ethernet even when tunnels have added theirs.
 */
export const FRAME_BYTES = 1_200;

/**
 * Some fifty messages of usual size. Over Ethernet it travels in ten fragments. With its headers it stays below 16 KiB,
 * the size in which Linux allocates and accounts it, so that a default receive buffer holds a dozen.
 */
export const COALESCED_BYTES = 14_000;

/** Some two hundred: a busy leader's group. It fits a packet of the loopback, and a default receive buffer holds a few. */
export const WIDE_BYTES = 60_000;

/** Makes the bytes of datagrams. What is broadcast makes the same datagram for one peer after another: it is made once. */
export class DatagramJoiner {
  #texts: readonly string[] = [];
  #datagram = Buffer.alloc(0);

  /** Nobody may change the texts or the bytes afterwards. */
  join(texts: readonly string[]): Buffer {
    const isSame = texts.length === this.#texts.length && texts.every((text, i) => text === this.#texts[i]);
    if (!isSame) {
      this.#datagram = Buffer.from(texts.join('\n'), 'utf8');
      this.#texts = texts;
    }
    return this.#datagram;
  }
}

/**
 * Joins encoded messages into datagrams. Pure: it gives datagrams back and knows no socket. A message above the target
 * travels alone. One above MAX_DATAGRAM_BYTES does too, and the socket refuses it (EMSGSIZE); `fitsAlone` tells before.
 */
export class DatagramPacker {
  readonly #joiner: DatagramJoiner;
  #target_bytes = COALESCED_BYTES;
  #texts: string[] = [];
  #size_bytes = 0;

  /** Packers with one joiner share what they send alike. */
  constructor(target_bytes: number = COALESCED_BYTES, joiner = new DatagramJoiner()) {
    this.#joiner = joiner;
    this.resize(target_bytes);
  }

  /** How full datagrams are made from now on. */
  resize(target_bytes: number): void {
    if (!(target_bytes >= 1 && target_bytes <= MAX_DATAGRAM_BYTES)) {
      throw new RangeError(`a datagram holds 1 to ${MAX_DATAGRAM_BYTES} bytes, not ${target_bytes}`);
    }
    this.#target_bytes = target_bytes;
  }

  /** Messages that wait for `flush`. */
  get waiting(): number {
    return this.#texts.length;
  }

  /** Puts a message of so many bytes in, and gives back the datagram that it no longer fitted into, if there was one. */
  add(text: string, size_bytes = Buffer.byteLength(text)): Buffer | undefined {
    const joined_bytes = this.#texts.length === 0 ? size_bytes : this.#size_bytes + 1 + size_bytes;
    if (this.#texts.length === 0 || joined_bytes <= this.#target_bytes) {
      this.#texts.push(text);
      this.#size_bytes = joined_bytes;
      return undefined;
    }
    const full = this.flush();
    this.#texts = [text];
    this.#size_bytes = size_bytes;
    return full;
  }

  /** The datagram under way, if any message waits. */
  flush(): Buffer | undefined {
    if (this.#texts.length === 0) return undefined;
    const datagram = this.#joiner.join(this.#texts);
    this.#texts = [];
    this.#size_bytes = 0;
    return datagram;
  }
}

/** Whether a message can travel over UDP at all. */
export function fitsAlone(text: string): boolean {
  return Buffer.byteLength(text, 'utf8') <= MAX_DATAGRAM_BYTES;
}
