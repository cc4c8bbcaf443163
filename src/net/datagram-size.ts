import { MessageType, type PeerMessage } from '../core/message.js';
import { COALESCED_BYTES, FRAME_BYTES, WIDE_BYTES } from '../wire/datagram.js';

/**
 * How large datagrams to one peer are made (spec.md, "Datagrams"). Each costs both ends a system call and a turn, so that
 * few large ones are cheaper than many small ones; but what is larger than a frame travels in fragments, of which none
 * may be lost. What is left of a datagram that lost one takes the receiver's room for others for half a minute (Linux:
 * `ipfrag_time`, `ipfrag_high_thresh`); when it is full, only datagrams of one frame arrive at all.
 *
 * So proposals go up from size to size as long as large datagrams are answered. If they are not, and proposals have to
 * be said again, they are kept to single frames for a while. A size that fails soon is tried again after twice as long.
 * Answers are no larger than what came lately: they fail and recover with the proposals.
 */
const SIZES = [FRAME_BYTES, COALESCED_BYTES, WIDE_BYTES] as const;

/**
 * How long an answer to a large datagram is waited for before what is said again counts, and how long frames are kept to
 * then. Longer than two ticks of retransmission: many paths are so long, and many disks so slow now and then.
 */
const LATELY_MS = 400;

/** How long a size serves before the next larger one is tried. */
const FIRST_CALM_MS = 2_000;

/** How long at most one that has failed is left alone. */
const MAX_CALM_MS = 256_000;

/** What fails later than this was not too large for the path: by then as much as ever was left of its datagrams. */
const PROVEN_MS = 60_000;

/** In the place of an entry. */
const NONE = -1;

/** The state of this towards one peer. Times are milliseconds of a clock that never goes back. */
export class DatagramSize {
  #level = 1;
  /** When the size was entered, or first used if it has been. */
  #since_ms: number;
  #used = false;
  /** From when on each size may be tried, and how long it was left alone last. */
  readonly #from_ms = SIZES.map(() => -Infinity);
  readonly #calm_ms = SIZES.map(() => FIRST_CALM_MS);
  /** When a datagram came that was larger than all sizes below this one. */
  readonly #came_ms = SIZES.map(() => -Infinity);
  /** The last proposal in the datagram under way. */
  #proposed = NONE;
  /** The last one in a large datagram, as long as its vote may prove that it arrived, and when that left. */
  #tried = NONE;
  #tried_ms = -Infinity;
  /** When the first large datagram left since one was proven to arrive. */
  #unproven_ms: number | undefined;

  constructor(now_ms: number) {
    this.#since_ms = now_ms;
  }

  /** A message was put into the datagram under way. */
  packed(message: PeerMessage): void {
    if (message.type === MessageType.AcceptRequest) this.#proposed = message.entry;
  }

  /** The datagram under way has left. */
  sent(bytes: number, now_ms: number): void {
    const proposed = this.#proposed;
    this.#proposed = NONE;
    if (proposed === NONE || bytes <= FRAME_BYTES) return;
    this.#unproven_ms ??= now_ms;
    // One vote may be lost, or not be needed, without a meaning: then another one is waited for.
    if (this.#tried === NONE || now_ms - this.#tried_ms >= LATELY_MS) {
      this.#tried = proposed;
      this.#tried_ms = now_ms;
    }
    if (this.#used || bytes <= (SIZES[this.#level - 1] ?? 0)) return;
    this.#used = true;
    this.#since_ms = now_ms;
  }

  /** A datagram has come from the peer. */
  received(bytes: number, now_ms: number): void {
    for (let level = 1; level < SIZES.length && bytes > (SIZES[level - 1] ?? 0); level++)
      this.#came_ms[level] = now_ms;
  }

  /** A message has come from the peer. */
  hears(message: { readonly type: MessageType; readonly entry?: number }): void {
    if (message.type !== MessageType.Accepted || message.entry !== this.#tried) return;
    this.#tried = NONE;
    this.#unproven_ms = undefined;
  }

  /** A message is about to travel alone: a proposal that does so was said before. */
  alone(message: PeerMessage, now_ms: number): void {
    if (message.type !== MessageType.AcceptRequest) return;
    // From now on its vote proves nothing.
    if (message.entry === this.#tried) this.#tried = NONE;
    if (this.#unproven_ms !== undefined && now_ms - this.#unproven_ms >= LATELY_MS) this.#fail(now_ms);
  }

  #fail(now_ms: number): void {
    const failed = this.#level;
    if (failed > 0 && now_ms - this.#since_ms >= PROVEN_MS) this.#calm_ms.fill(FIRST_CALM_MS);
    else if (failed > 0) {
      const calm_ms = Math.min(2 * (this.#calm_ms[failed] ?? 0), MAX_CALM_MS);
      this.#calm_ms[failed] = calm_ms;
      this.#from_ms[failed] = now_ms + calm_ms;
    }
    this.#enter(0, now_ms);
    this.#unproven_ms = undefined;
    this.#tried = NONE;
  }

  #enter(level: number, now_ms: number): void {
    this.#level = level;
    this.#since_ms = now_ms;
    this.#used = false;
  }

  /** How many bytes a datagram that begins with this message has at most. */
  bytes({ type }: PeerMessage, now_ms: number): number {
    const isAnswer = type === MessageType.Accepted || type === MessageType.Promise;
    return SIZES[isAnswer ? this.#cameLately(now_ms) : this.#tryNext(now_ms)] ?? FRAME_BYTES;
  }

  #tryNext(now_ms: number): number {
    const next = this.#level + 1;
    const stay_ms = this.#level === 0 ? LATELY_MS : FIRST_CALM_MS;
    if (next < SIZES.length && now_ms >= Math.max(this.#from_ms[next] ?? 0, this.#since_ms + stay_ms))
      this.#enter(next, now_ms);
    return this.#level;
  }

  #cameLately(now_ms: number): number {
    return this.#came_ms.findLastIndex((came_ms, level) => level === 0 || now_ms - came_ms < LATELY_MS);
  }
}
