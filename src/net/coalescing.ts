/**
 * Which peers may be sent several messages in one datagram (spec.md, "Encoding").
 *
 * A literal implementation of the base text expects one JSON object per datagram and drops a datagram with two, so
 * that sending it coalesced datagrams would be silence. Nothing in the messages tells such a peer from a full one;
 * therefore capability is shown by evidence:
 *
 * - Messages to a peer are coalesced only while there is evidence that it does the same: a datagram of two or more
 *   objects came from it during the last EVIDENCE_LIFETIME_MS.
 * - Each agent shows its own capability. Along with traffic to a peer that it has not sent anything coalesced for a
 *   while, it sends a probe: two Empty messages in one datagram. A literal peer drops it, a full peer takes it as
 *   evidence. The while is PROBE_INTERVAL_MS towards a peer without evidence (so the first traffic always carries
 *   one, and the tie of two agents that wait for each other is broken), and EVIDENCE_REFRESH_MS towards one with.
 * - Evidence grows old. A peer that restarts as a literal implementation stops coalescing, and after
 *   EVIDENCE_LIFETIME_MS gets single datagrams again. Until then it is not quite silent either, as single messages
 *   and retransmissions travel alone anyway. An agent that talks to no one needs no evidence about it: the probe goes
 *   with traffic only, and the first exchange after a quiet time restores the evidence on both sides.
 */

/** Evidence older than this counts no more: longer than any pause that a live cluster survives without a new leader. */
export const EVIDENCE_LIFETIME_MS = 10_000;

/** At most this often is a peer without evidence probed; a literal one is bothered with 100 bytes a second. */
export const PROBE_INTERVAL_MS = 1_000;

/** A peer with evidence sees something coalesced this often: three chances, lest one loss lets evidence grow old. */
export const EVIDENCE_REFRESH_MS = 3_000;

/** The state of this between an agent and one peer. Times are milliseconds of a clock that never goes back. */
export class CoalescingEvidence {
  #heard_ms = Number.NEGATIVE_INFINITY;
  #shown_ms = Number.NEGATIVE_INFINITY;

  /** A datagram of several objects came from the peer. */
  heard(now_ms: number): void {
    this.#heard_ms = now_ms;
  }

  /** A datagram of several objects went to the peer. */
  shown(now_ms: number): void {
    this.#shown_ms = now_ms;
  }

  /** Whether the peer understands coalesced datagrams, as far as is known. */
  understood(now_ms: number): boolean {
    return now_ms - this.#heard_ms < EVIDENCE_LIFETIME_MS;
  }

  /** Whether traffic to the peer should carry a probe along. */
  probeDue(now_ms: number): boolean {
    const interval_ms = this.understood(now_ms) ? EVIDENCE_REFRESH_MS : PROBE_INTERVAL_MS;
    return now_ms - this.#shown_ms >= interval_ms;
  }
}
