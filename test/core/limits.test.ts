import { expect } from 'chai';
import fc from 'fast-check';

import {
  ACCEPT_WINDOW_ENTRIES,
  fitsDatagram,
  MAX_ENTRIES_IN_FLIGHT,
  MAX_NUMBERS_PER_SESSION,
  MAX_REQUESTS_PER_CLIENT,
  MAX_ROUND,
  MAX_VALUE_COST,
  valueCost,
} from '../../src/core/limits.js';
import { CLIENT_IDS_PER_ROUND } from '../../src/core/message.js';

describe('core, limits (spec.md, "Limits")', () => {
  it('charge each character what the wordiest encoder makes of it', () => {
    const costs = [
      '',
      'a',
      '~',
      ' ',
      '"',
      '\\',
      '/',
      '<',
      '&',
      '>',
      '\n',
      '\0',
      '\x7f',
      'é',
      '\u2028',
      '😀',
    ].map(valueCost);
    expect(costs).to.deep.equal([0, 1, 1, 1, 2, 2, 2, 6, 6, 6, 6, 6, 6, 6, 6, 12]);
  });

  it('charge never less than JSON.stringify makes of a value, and what is added is additive', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (a, b) => {
        expect(valueCost(a)).to.be.at.least(new TextEncoder().encode(JSON.stringify(a)).length - 2);
        expect(valueCost(a + b)).to.equal(valueCost(a) + valueCost(b));
      }),
    );
  });

  it('count costly characters alike, be they few or many', () => {
    for (const [costly, cost] of [
      ['"', 2],
      ['é', 6],
      ['<', 6],
    ] as const) {
      for (const count of [0, 1, 63, 64, 65, 200]) {
        const value = `${'x'.repeat(50)}${costly}`.repeat(count) + 'y';
        expect(valueCost(value), `${costly} ${count} times`).to.equal(count * (50 + cost) + 1);
      }
    }
  });

  it('admit a value exactly up to its largest cost', () => {
    expect(fitsDatagram('x'.repeat(MAX_VALUE_COST))).to.equal(true);
    expect(fitsDatagram('x'.repeat(MAX_VALUE_COST + 1))).to.equal(false);
    const sixes = Math.floor(MAX_VALUE_COST / 6);
    expect(fitsDatagram('é'.repeat(sixes))).to.equal(true);
    expect(fitsDatagram('é'.repeat(sixes + 1))).to.equal(false);
    expect(fitsDatagram('é'.repeat(sixes) + 'x'.repeat(MAX_VALUE_COST - 6 * sixes))).to.equal(true);
    expect(fitsDatagram('é'.repeat(sixes) + 'x'.repeat(MAX_VALUE_COST - 6 * sixes + 1))).to.equal(false);
  });

  it('fit each other', () => {
    expect(MAX_ROUND * CLIENT_IDS_PER_ROUND, 'session ids are safe integers').to.be.at.most(2 ** 53);
    expect(ACCEPT_WINDOW_ENTRIES, 'a follower takes what a leader has in flight').to.be.above(
      MAX_ENTRIES_IN_FLIGHT,
    );
    expect(MAX_NUMBERS_PER_SESSION, 'what is in flight is remembered').to.be.above(MAX_REQUESTS_PER_CLIENT);
  });
});
