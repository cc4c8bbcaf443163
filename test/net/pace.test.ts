import { expect } from 'chai';
import { BATCH_MS, LEAST_PAUSE_MS, Pace, type Batch } from '../../src/net/pace.js';

const WHOLE: Batch = { entries: 256, bytes: 128 * 1024 };

/** One that is far behind, on a clock that goes on by what it is to wait, and by as much more as timers are late. */
class Bench {
  now_ms = 1_000;
  busy = true;
  late_ms = 0;
  lacking = 1_000_000;
  /** Entries that are chosen in a millisecond. */
  chosen_per_ms = 0;
  readonly waits: number[] = [];
  readonly pace = new Pace(WHOLE, { isBusy: () => this.busy, now_ms: () => this.now_ms });

  /** Reads so many batches, each in `work_ms`; how long all of it took. */
  read(batches: number, read = WHOLE, work_ms = 1): number {
    const began_ms = this.now_ms;
    for (let i = 0; i < batches; i++) {
      this.lacking -= read.entries;
      const wait_ms = this.pace.wait_ms(read, Math.round(this.lacking));
      this.waits.push(wait_ms);
      const passed_ms = work_ms + (wait_ms === 0 ? 0 : wait_ms + this.late_ms);
      this.now_ms += passed_ms;
      this.lacking += this.chosen_per_ms * passed_ms;
    }
    return this.now_ms - began_ms;
  }
}

describe('net: the pace of those who are behind', () => {
  let bench: Bench;

  beforeEach(() => (bench = new Bench()));

  it('is their own while no client waits, and at once when none waits any more', () => {
    bench.busy = false;
    bench.read(10);
    bench.busy = true;
    bench.read(20);
    expect(Math.max(...bench.waits.slice(10))).to.be.above(0);
    bench.busy = false;
    bench.read(10);
    expect(bench.waits.slice(0, 10)).to.eql(Array(10).fill(0));
    expect(bench.waits.slice(30)).to.eql(Array(10).fill(0));
  });

  it('leaves pauses that are worth it between bursts of batches', () => {
    bench.read(1_000);
    const pauses = bench.waits.filter((wait_ms) => wait_ms > 0);
    expect(Math.min(...pauses)).to.be.at.least(LEAST_PAUSE_MS);
    expect(Math.max(...pauses)).to.be.below(LEAST_PAUSE_MS + BATCH_MS);
  });

  it('is limited while clients wait, however late timers are', () => {
    expect(bench.read(1_000)).to.be.within(990 * BATCH_MS, 1_005 * BATCH_MS);
    bench.late_ms = 4;
    expect(bench.read(1_000)).to.be.within(990 * BATCH_MS, 1_030 * BATCH_MS);
  });

  it('is measured by what was read: few entries cost little, and large ones as much as many', () => {
    const few = { entries: 1, bytes: 10 };
    const pause_ms = LEAST_PAUSE_MS + 20; // and what may be made up for
    const unpaused = Math.floor((pause_ms / BATCH_MS) * WHOLE.entries);
    expect(bench.read(unpaused, few, 0)).to.equal(0);
    expect(bench.read(20, few, 0)).to.be.within(LEAST_PAUSE_MS, LEAST_PAUSE_MS + BATCH_MS);
    expect(bench.read(1_000, { entries: 2, bytes: WHOLE.bytes })).to.be.within(
      990 * BATCH_MS,
      1_005 * BATCH_MS,
    );
  });

  it('lets nobody make up for a long rest', () => {
    bench.read(10);
    bench.now_ms += 60_000;
    // What may be made up for, and a pause that isn't due yet.
    const less_ms = 20 + LEAST_PAUSE_MS;
    expect(bench.read(100)).to.be.within(100 * BATCH_MS - less_ms, 101 * BATCH_MS);
  });

  it('lets one gain on the log that grows as fast as the pace is, and faster', () => {
    for (const per_ms of [30, 56, 100, 150]) {
      bench = new Bench();
      bench.chosen_per_ms = per_ms;
      bench.read(1_000);
      expect(bench.lacking, `${per_ms} entries per ms`).to.be.below(1_000_000 - 1_000 * 256 * 0.1);
    }
  });

  it('is limited too where clients wait only at times', () => {
    let looks = 0;
    const pace = new Pace(WHOLE, { isBusy: () => looks++ % 5 === 0, now_ms: () => bench.now_ms });
    const began_ms = bench.now_ms;
    for (let i = 0; i < 1_000; i++) bench.now_ms += 1 + pace.wait_ms(WHOLE, (bench.lacking -= WHOLE.entries));
    expect(bench.now_ms - began_ms).to.be.within(500 * BATCH_MS, 1_005 * BATCH_MS);
  });

  it('is limited again after a time in which one came no nearer', () => {
    bench.chosen_per_ms = 256;
    bench.read(10_000);
    expect(bench.waits.filter((wait_ms) => wait_ms > 0)).to.have.length.below(3);
    bench.chosen_per_ms = 0;
    bench.waits.length = 0;
    bench.read(300);
    expect(bench.waits.filter((wait_ms) => wait_ms > 0)).to.have.length.above(20);
  });

  it('is not for one who is near', () => {
    bench.lacking = 200;
    bench.chosen_per_ms = 20;
    bench.read(100, { entries: 20, bytes: 2_000 });
    expect(bench.waits).to.eql(Array(100).fill(0));
  });
});
