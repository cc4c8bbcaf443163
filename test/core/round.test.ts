import { expect } from 'chai';
import fc from 'fast-check';

import { agentIndex, round } from '../../src/core/ids.js';
import { MAX_ROUND, MAX_ROUND_JUMP } from '../../src/core/limits.js';
import {
  higher,
  isPlausible,
  justBelow,
  nextOwnRound,
  NOTHING_PROMISED,
  outranks,
  standing,
  type Promised,
} from '../../src/core/round.js';

const promised = (r: number, owner: number): Promised => ({ round: round(r), owner: agentIndex(owner) });

describe('core, rounds (spec.md, "Rounds")', () => {
  it('stand to a promise in one of four ways', () => {
    const to_one = promised(5, 1);
    expect(standing(to_one, round(6), agentIndex(2))).to.equal('above');
    expect(standing(to_one, round(6), agentIndex(1))).to.equal('above');
    expect(standing(to_one, round(5), agentIndex(1))).to.equal('held');
    expect(standing(to_one, round(5), agentIndex(2))).to.equal('taken');
    expect(standing(to_one, round(4), agentIndex(1))).to.equal('below');
    expect(standing(to_one, round(4), agentIndex(2))).to.equal('below');
  });

  it('are all above nothing', () => {
    expect(standing(NOTHING_PROMISED, round(0), agentIndex(2))).to.equal('above');
  });

  it('outrank only lower ones', () => {
    expect(outranks(round(2), round(1))).to.equal(true);
    expect(outranks(round(1), round(1))).to.equal(false);
    expect(outranks(round(0), round(1))).to.equal(false);
    expect(higher(round(1), round(2))).to.equal(2);
    expect(higher(round(2), round(1))).to.equal(2);
    expect(justBelow(round(7))).to.equal(6);
  });

  it('of one agent are those with its index as remainder, always above what was seen', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 31 }),
        fc.nat(),
        fc.integer({ min: -1, max: 2 ** 36 }),
        (n, i, seen) => {
          const self = agentIndex(i % n);
          const next = nextOwnRound(self, n, round(seen));
          expect(next % n).to.equal(self);
          expect(next).to.be.above(seen);
          expect(next - seen, 'the lowest of them').to.be.at.most(n);
        },
      ),
    );
  });

  it('begin with an agent’s own index', () => {
    expect([0, 1, 2].map((i) => nextOwnRound(agentIndex(i), 3, round(-1)))).to.deep.equal([0, 1, 2]);
  });

  it('are plausible in bounds only (faults 48)', () => {
    expect(isPlausible(round(MAX_ROUND_JUMP - 1), NOTHING_PROMISED)).to.equal(true);
    expect(isPlausible(round(MAX_ROUND_JUMP), NOTHING_PROMISED)).to.equal(false);
    expect(isPlausible(round(MAX_ROUND - 1), promised(MAX_ROUND - 2, 0))).to.equal(true);
    expect(isPlausible(round(MAX_ROUND), promised(MAX_ROUND - 1, 0))).to.equal(false);
    expect(isPlausible(round(0), promised(MAX_ROUND - 1, 0))).to.equal(true);
  });
});
