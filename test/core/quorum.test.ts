import { expect } from 'chai';
import fc from 'fast-check';

import { agentIndex } from '../../src/core/ids.js';
import { MAX_AGENTS } from '../../src/core/limits.js';
import {
  countVoters,
  hasVoter,
  NOBODY,
  othersSuffice,
  outcome,
  quorumSize,
  withVoter,
  type Outcome,
  type Voters,
} from '../../src/core/quorum.js';

const voters = (...agents: number[]): Voters =>
  agents.reduce<Voters>((sum, agent) => withVoter(sum, agentIndex(agent)), NOBODY);

describe('core, quorums (spec.md, "Roles")', () => {
  it('are half of the agents, plus one', () => {
    const sizes = [1, 2, 3, 4, 5, 6, 7, 30, 31].map((n) => [n, quorumSize(n)]);
    expect(sizes).to.deep.equal([
      [1, 1],
      [2, 2],
      [3, 2],
      [4, 3],
      [5, 3],
      [6, 4],
      [7, 4],
      [30, 16],
      [31, 16],
    ]);
  });

  //    agents, in favour, against, outcome, whether the own vote would do beside those in favour
  const table: [number, number[], number[], Outcome, boolean][] = [
    [1, [], [], 'open', true],
    [1, [0], [], 'won', true],
    [2, [], [], 'open', false],
    [2, [0], [], 'open', true],
    [2, [0, 1], [], 'won', true],
    [2, [], [1], 'lost', false],
    [3, [0], [], 'open', true],
    [3, [0, 0, 0], [], 'open', true],
    [3, [0, 2], [], 'won', true],
    [3, [0], [1], 'open', true],
    [3, [0], [1, 2], 'lost', true],
    [4, [0, 1], [], 'open', true],
    [4, [0, 1], [2], 'open', true],
    [4, [0], [2, 3], 'lost', false],
    [4, [0, 1, 3], [2], 'won', true],
    [5, [1, 3], [], 'open', true],
    [5, [1, 3], [0, 2], 'open', true],
    [5, [1], [0, 2, 4], 'lost', false],
    [5, [1, 3, 4], [0, 2], 'won', true],
    [7, [1, 2, 3], [4, 5, 6], 'open', true],
    [31, [...Array(15).keys()], [], 'open', true],
    [31, [...Array(15).keys(), 30], [], 'won', true],
  ];
  for (const [agents, inFavour, against, expected, others] of table) {
    it(`of ${agents}: for {${inFavour.join()}}, against {${against.join()}} is ${expected}`, () => {
      expect(outcome(agents, voters(...inFavour), voters(...against))).to.equal(expected);
      expect(othersSuffice(agents, voters(...inFavour))).to.equal(others);
    });
  }

  it('count each voter once, up to the greatest number of agents', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: MAX_AGENTS - 1 })), (agents) => {
        const all = voters(...agents);
        expect(countVoters(all)).to.equal(new Set(agents).size);
        for (let i = 0; i < MAX_AGENTS; i++)
          expect(hasVoter(all, agentIndex(i))).to.equal(agents.includes(i));
      }),
    );
  });

  it('of the same agents always meet', () => {
    for (let n = 1; n <= MAX_AGENTS; n++) expect(2 * quorumSize(n)).to.be.above(n);
  });
});
