import { expect } from 'chai';
import type { TimerName } from '../../src/core/event.js';
import { Timers } from '../../src/server/timers.js';
import { eventually } from '../support/process.js';

/** Timers on a clock that the test moves; the platform's own timers only make them look at it. */
class Bench {
  now_ms = 1_000;
  /** How often the timers have looked at the clock. */
  looks = 0;
  readonly fired: TimerName[] = [];
  /** What `drain` waits for; each entry is one drain under way. */
  readonly drains: (() => void)[] = [];
  readonly timers = new Timers({
    onTimer: (timer) => this.fired.push(timer),
    drain: () => new Promise((resolve) => this.drains.push(resolve)),
    now_ms: () => {
      this.looks++;
      return this.now_ms;
    },
  });

  until(what: string, test: () => boolean): Promise<unknown> {
    return eventually(what, () => (test() ? true : undefined), { seen: () => this.fired });
  }
}

describe('server, timers (spec.md, "Liveness")', () => {
  let bench: Bench;

  beforeEach(() => (bench = new Bench()));
  afterEach(() => bench.timers.stop());

  it('fire once, when they are due', async () => {
    bench.timers.set('heartbeat', 5, 5);
    bench.timers.set('prepare', 1, 1);
    bench.now_ms += 1;
    await bench.until('the first', () => bench.fired.length === 1);
    expect(bench.fired).to.eql(['prepare']);
    bench.now_ms += 4;
    await bench.until('the second', () => bench.fired.length === 2);
    bench.timers.set('accept', 0, 0);
    await bench.until('the third', () => bench.fired.includes('accept'));
    expect(bench.fired).to.eql(['prepare', 'heartbeat', 'accept']);
  });

  it('are drawn within their range, from its one end to the other', async () => {
    const { random } = Math;
    try {
      for (const [drawn, due_ms] of [
        [0, 10],
        [0.5, 15],
        [1, 20],
      ] as const) {
        Math.random = () => drawn;
        bench.fired.length = 0;
        bench.timers.set('heartbeat', 10, 20);
        bench.now_ms += due_ms - 1;
        const { looks } = bench;
        await bench.until('two looks at the clock', () => bench.looks >= looks + 2);
        expect(bench.fired).to.eql([]);
        bench.now_ms += 1;
        await bench.until('it', () => bench.fired.length > 0);
        expect(bench.fired).to.eql(['heartbeat']);
      }
    } finally {
      Math.random = random;
    }
  });

  it('start anew when they are set again, sooner or later, and are off when they are cleared', async () => {
    bench.timers.set('heartbeat', 1, 1);
    bench.timers.set('heartbeat', 1_000_000, 1_000_000);
    bench.timers.set('accept', 1_000_000, 1_000_000);
    bench.timers.set('accept', 2, 2);
    bench.timers.set('requests', 1, 1);
    bench.timers.clear('requests');
    bench.now_ms += 3;
    await bench.until('the one that was set sooner', () => bench.fired.length > 0);
    bench.timers.set('prepare', 2, 2);
    bench.now_ms += 3;
    await bench.until('a later one', () => bench.fired.includes('prepare'));
    expect(bench.fired).to.eql(['accept', 'prepare']);
  });

  it('that accuse somebody of silence are believed only after what has arrived was handled', async () => {
    bench.timers.set('leader', 1, 1);
    bench.now_ms += 1;
    await bench.until('the drain', () => bench.drains.length === 1);
    expect(bench.fired).to.eql([]);
    bench.drains[0]!();
    await bench.until('it', () => bench.fired.length === 1);
    expect(bench.fired).to.eql(['leader']);
  });

  it('accuse nobody whose sign of life was found meanwhile, and run on from there', async () => {
    bench.timers.set('leader', 1, 1);
    bench.timers.set('catch-up', 1, 1);
    bench.now_ms += 1;
    await bench.until('the drains', () => bench.drains.length === 2);
    bench.timers.set('leader', 2, 2);
    bench.timers.clear('catch-up');
    for (const drained of bench.drains) drained();
    bench.timers.set('prepare', 0, 0);
    await bench.until('another timer', () => bench.fired.length > 0);
    expect(bench.fired).to.eql(['prepare']);
    bench.now_ms += 2;
    await bench.until('the new drain', () => bench.drains.length === 3);
    bench.drains[2]!();
    await bench.until('it', () => bench.fired.length === 2);
    expect(bench.fired).to.eql(['prepare', 'leader']);
  });

  it('are silent after the end, also those that were waiting for a drain', async () => {
    bench.timers.set('leader', 1, 1);
    bench.timers.set('heartbeat', 1, 1);
    bench.now_ms += 1;
    await bench.until('the drain', () => bench.drains.length === 1 && bench.fired.length === 1);
    bench.timers.set('accept', 0, 0);
    bench.timers.stop();
    bench.drains[0]!();
    bench.timers.set('prepare', 0, 0);
    const other = new Bench();
    other.timers.set('prepare', 2, 2);
    other.now_ms += 2;
    await other.until('the timers of somebody else', () => other.fired.length === 1);
    other.timers.stop();
    expect(bench.fired).to.eql(['heartbeat']);
  });
});
