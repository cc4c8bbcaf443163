import { expect } from 'chai';
import { BATCH_MS, Pace, type Batch } from '../../src/net/pace.js';

const WHOLE: Batch = { entries: 192, bytes: 128 * 1024 };

/** A pace on a clock that goes on by what it asks for, and by as much more as timers are late. */
class Bench {
  now_ms = 1_000;
  busy = true;
  late_ms = 0;
  readonly waits: number[] = [];
  readonly pace = new Pace(WHOLE, {
    isBusy: () => this.busy,
    now_ms: () => this.now_ms,
    after: (ms, done) => {
      this.waits.push(ms);
      this.now_ms += ms === 0 ? 0 : ms + this.late_ms;
      done();
    },
  });

  /** Reads so many batches, each in `work_ms`; how long all of it took. */
  read(batches: number, read = WHOLE, work_ms = 1): number {
    const began_ms = this.now_ms;
    for (let i = 0; i < batches; i++) {
      let isNext = false;
      this.pace.then(read, () => (isNext = true));
      expect(isNext).to.equal(true);
      this.now_ms += work_ms;
    }
    return this.now_ms - began_ms;
  }
}

describe('net: the pace of those who are behind', () => {
  let bench: Bench;

  beforeEach(() => (bench = new Bench()));

  it('is their own while no client waits', () => {
    bench.busy = false;
    bench.read(10);
    expect(bench.waits).to.eql(Array(10).fill(0));
  });

  it('is limited while clients wait, however late timers are', () => {
    expect(bench.read(1_000)).to.be.within(990 * BATCH_MS, 1_005 * BATCH_MS);
    bench.late_ms = 4;
    expect(bench.read(1_000)).to.be.within(990 * BATCH_MS, 1_005 * BATCH_MS);
  });

  it('is measured by what was read: few entries cost little, and large ones as much as many', () => {
    expect(bench.read(512, { entries: 1, bytes: 10 }, 0)).to.be.within(0, 2 * BATCH_MS);
    expect(bench.read(1_000, { entries: 2, bytes: WHOLE.bytes })).to.be.within(
      995 * BATCH_MS,
      1_005 * BATCH_MS,
    );
  });

  it('lets nobody make up for a long rest', () => {
    bench.read(10);
    bench.now_ms += 60_000;
    expect(bench.read(100)).to.be.within(93 * BATCH_MS, 101 * BATCH_MS);
  });
});
