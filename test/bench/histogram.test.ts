import { expect } from 'chai';
import fc from 'fast-check';
import { Histogram } from '../../src/cli/load/histogram.js';

const durations = fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 200 });

describe('histogram', () => {
  it('tells quantiles to one percent', () => {
    fc.assert(
      fc.property(durations, fc.double({ min: 0, max: 1, noNaN: true }), (values_us, share) => {
        const histogram = new Histogram();
        for (const us of values_us) histogram.record(us / 1000);
        const sorted = [...values_us].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
        expect(histogram.quantile_us(share)).to.be.closeTo(exact, exact / 100 + 0.5);
      }),
    );
  });

  it('sums up', () => {
    const histogram = new Histogram();
    for (const ms of [1, 2, 3, 10]) histogram.record(ms);
    const { count, mean_us, max_us } = histogram.summary();
    expect({ count, mean_us, max_us }).to.deep.equal({ count: 4, mean_us: 4000, max_us: 10_000 });
  });

  it('is all zero when it is empty', () => {
    expect(Object.values(new Histogram().summary())).to.deep.equal([0, 0, 0, 0, 0, 0, 0]);
  });

  it('takes what is too long or negative for its ends', () => {
    const histogram = new Histogram();
    histogram.record(-1);
    histogram.record(1e12);
    expect(histogram.quantile_us(0)).to.equal(0);
    expect(histogram.summary().max_us).to.equal(2 ** 31 - 1);
  });
});
