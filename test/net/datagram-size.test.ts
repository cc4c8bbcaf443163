import { expect } from 'chai';

import { DatagramSize } from '../../src/net/datagram-size.js';
import { COALESCED_BYTES, FRAME_BYTES, WIDE_BYTES } from '../../src/wire/datagram.js';
import { accepted, acceptRequest, decree, heartbeat, prepare, promise } from '../support/make.js';
import { ManualClock } from './support.js';

describe('net: how large datagrams are', () => {
  const x = decree('x');
  const proposal = acceptRequest(0, 1, x);
  const vote = accepted(0, 1, x);

  /** A leader and its path to one peer, which carries datagrams of so many bytes. */
  class Path {
    carries = Infinity;
    /** Votes that are lost from now on, of entries that are chosen without them. */
    lostVotes = 0;
    readonly #clock = new ManualClock();
    readonly #size = new DatagramSize(this.#clock.time_ms);
    #entry = 0;

    /** A full group is proposed; if it doesn't arrive, its entries are said again, one by one, and arrive then. */
    group(): number {
      const bytes = this.largest();
      this.#entry += 10;
      this.#size.packed(acceptRequest(this.#entry, 1, x));
      this.#size.sent(bytes, this.#clock.time_ms);
      if (this.lostVotes > 0) this.lostVotes--;
      else if (bytes <= this.carries) this.vote(this.#entry);
      else {
        this.after(100);
        this.sayAgain(this.#entry - 9);
        this.after(100);
        this.sayAgain(this.#entry);
        this.vote(this.#entry);
      }
      return bytes;
    }

    vote(entry: number): void {
      this.#size.hears(accepted(entry, 1, x));
    }

    sayAgain(entry: number): void {
      this.#size.alone(acceptRequest(entry, 1, x), this.#clock.time_ms);
    }

    after(ms: number): this {
      this.#clock.time_ms += ms;
      return this;
    }

    largest(message: Parameters<DatagramSize['bytes']>[0] = proposal): number {
      return this.#size.bytes(message, this.#clock.time_ms);
    }

    receive(bytes: number): void {
      this.#size.received(bytes, this.#clock.time_ms);
    }

    /** Groups, one after the other, until one of them is as large as this; returns how long it took, in milliseconds. */
    until(bytes: number): number {
      const from_ms = this.#clock.time_ms;
      while (this.after(100).group() !== bytes) expect(this.#clock.time_ms - from_ms).to.be.below(600_000);
      return this.#clock.time_ms - from_ms;
    }
  }

  it('grow while they arrive', () => {
    const path = new Path();
    expect(path.group()).to.equal(COALESCED_BYTES);
    expect(path.after(1_999).group()).to.equal(COALESCED_BYTES);
    expect(path.after(1).group()).to.equal(WIDE_BYTES);
    expect(path.after(3_600_000).group()).to.equal(WIDE_BYTES);
  });

  it('fit a frame within moments when larger ones vanish, and for a while', () => {
    const path = new Path();
    path.until(WIDE_BYTES);
    path.carries = FRAME_BYTES;
    expect(path.until(FRAME_BYTES)).to.be.below(1_000);
    expect(path.after(100).group()).to.equal(FRAME_BYTES);
    path.carries = Infinity;
    expect(path.until(COALESCED_BYTES)).to.be.below(300);
  });

  it('stay as they are when something is said again while large ones arrive', () => {
    const path = new Path();
    path.until(WIDE_BYTES);
    for (let i = 0; i < 100; i++) {
      expect(path.after(100).group()).to.equal(WIDE_BYTES);
      path.sayAgain(1);
    }
  });

  it('stay as they are when a single vote was lost, and others came since', () => {
    const path = new Path();
    path.until(WIDE_BYTES);
    path.lostVotes = 1;
    for (let i = 0; i < 20; i++) path.after(100).group();
    path.sayAgain(1);
    expect(path.group()).to.equal(WIDE_BYTES);
  });

  it('aren’t said to vanish because answers went out that nobody votes for', () => {
    const clock = new ManualClock();
    const size = new DatagramSize(clock.time_ms);
    size.packed(vote);
    size.sent(COALESCED_BYTES, clock.time_ms);
    clock.time_ms += 10_000;
    size.alone(proposal, clock.time_ms);
    expect(size.bytes(proposal, clock.time_ms)).to.be.above(FRAME_BYTES);
  });

  it('stay as they are where a vote takes longer than until its proposal is said again', () => {
    const size = new DatagramSize(0);
    for (let now_ms = 0; now_ms < 60_000; now_ms += 100) {
      const entry = now_ms;
      const bytes = size.bytes(proposal, now_ms);
      expect(bytes).to.be.above(FRAME_BYTES);
      size.packed(acceptRequest(entry, 1, x));
      size.sent(bytes, now_ms);
      // The oldest of each group; the last one, which is the one that is watched, is not among them.
      size.alone(acceptRequest(entry - 150, 1, x), now_ms);
      size.hears(accepted(entry - 300, 1, x));
    }
  });

  it('stay as they are while a disk hangs for a moment, and nothing is answered', () => {
    const path = new Path();
    path.until(WIDE_BYTES);
    path.carries = 0;
    path.group();
    path.carries = Infinity;
    expect(path.after(100).group()).to.equal(WIDE_BYTES);
  });

  for (const [carries, next] of [
    [FRAME_BYTES, COALESCED_BYTES],
    [COALESCED_BYTES, WIDE_BYTES],
  ] as const) {
    it(`of ${next} bytes, once they have failed, are left alone for twice as long each time, up to some minutes`, () => {
      const path = new Path();
      path.carries = carries;
      path.until(next);
      const waits = Array.from({ length: 9 }, () => {
        path.until(FRAME_BYTES);
        return Math.round(path.until(next) / 1000);
      });
      expect(waits).to.deep.equal([4, 8, 16, 32, 64, 128, 256, 256, 256]);
    });
  }

  it('are soon tried again where they had served for long, and not where they had just not been needed', () => {
    for (const served of [true, false]) {
      const path = new Path();
      for (let failure = 0; failure < 4; failure++) {
        path.carries = Infinity;
        path.until(WIDE_BYTES);
        path.after(served ? 60_000 : 0);
        path.carries = FRAME_BYTES;
        path.until(FRAME_BYTES);
        path.carries = Infinity;
      }
      if (served) expect(path.until(WIDE_BYTES)).to.be.below(4_000);
      else expect(path.until(WIDE_BYTES)).to.be.above(16_000);
    }
  });

  it('don’t count as having served before one was filled', () => {
    const path = new Path();
    path.largest();
    path.after(100_000).largest();
    path.carries = FRAME_BYTES;
    path.until(FRAME_BYTES);
    path.carries = Infinity;
    expect(path.until(WIDE_BYTES)).to.be.above(3_000);
  });

  it('are for answers no larger than what came lately', () => {
    const path = new Path();
    path.until(WIDE_BYTES);
    for (const answer of [vote, promise(0, 1)]) {
      path.after(400);
      expect(path.largest(answer), 'nothing came').to.equal(FRAME_BYTES);
      path.receive(FRAME_BYTES);
      expect(path.largest(answer)).to.equal(FRAME_BYTES);
      path.receive(FRAME_BYTES + 1);
      expect(path.largest(answer)).to.equal(COALESCED_BYTES);
      path.receive(COALESCED_BYTES + 1);
      expect(path.after(399).largest(answer)).to.equal(WIDE_BYTES);
      path.receive(COALESCED_BYTES);
      expect(path.after(1).largest(answer)).to.equal(COALESCED_BYTES);
    }
    for (const other of [heartbeat(0, 1), prepare(0, 1)]) expect(path.largest(other)).to.equal(WIDE_BYTES);
  });
});
