import { expect } from 'chai';
import fc from 'fast-check';

import { newAgent, recover } from '../../src/core/agent.js';
import { agentIndex, entry, round } from '../../src/core/ids.js';
import { InvariantError } from '../../src/core/invariants.js';
import type { JournalRecord } from '../../src/core/record.js';
import { Bag, USUAL } from '../support/bag.js';
import { config, decree, NO_OP } from '../support/make.js';
import { SeededRandom } from '../support/random.js';

const x = decree('x');
const y = decree('y', 65538);

const used = (r: number): JournalRecord => ({ verdict: 'used', round: round(r), entry: entry(0) });
const promised = (r: number, owner: number): JournalRecord => ({
  verdict: 'promised',
  round: round(r),
  owner: agentIndex(owner),
  entry: entry(0),
});
const accepted = (e: number, r: number, owner: number, what = x): JournalRecord => ({
  verdict: 'accepted',
  entry: entry(e),
  round: round(r),
  owner: agentIndex(owner),
  decree: what,
});
const learnt = (e: number, what = x): JournalRecord => ({
  verdict: 'learnt',
  entry: entry(e),
  peer: agentIndex(2),
  decree: what,
});
const committed = (e: number): JournalRecord => ({ verdict: 'committed', committed: entry(e) });

function recovered(...records: JournalRecord[]) {
  const agent = newAgent(config(0));
  for (const record of records) recover(agent, record);
  return agent;
}

describe('core, recovery (spec.md, "Recovery")', () => {
  it('folds rounds, promises and acceptances', () => {
    const agent = recovered(used(0), promised(4, 1), accepted(2, 5, 2), used(6));
    expect(agent.proposer.used).to.equal(6);
    expect(agent.acceptor.promised).to.deep.equal({ round: 5, owner: 2 });
    expect(agent.acceptor.length).to.equal(3);
    expect(agent.acceptor.accepted.get(entry(2))).to.deep.include({ round: 5, decree: x });
    expect(agent.seen).to.equal(6);
    expect(agent.proposer.reign ?? agent.proposer.candidate, 'no reign is resumed').to.equal(undefined);
  });

  it('keeps the last acceptance of an entry', () => {
    const agent = recovered(accepted(0, 1, 1, x), accepted(0, 5, 2, y));
    expect(agent.acceptor.accepted.get(entry(0))).to.deep.include({ round: 5, decree: y });
  });

  it('takes committed entries from what was learnt, else from what was accepted', () => {
    const agent = recovered(accepted(0, 1, 1, x), accepted(1, 1, 1, x), learnt(1, y), committed(2));
    expect(agent.learner.chosen.get(entry(0))).to.deep.equal(x);
    expect(agent.learner.chosen.get(entry(1))).to.deep.equal(y);
    expect(agent.learner.committed).to.equal(2);
    expect(agent.learner.recorded).to.equal(2);
    expect(agent.learner.sessions.sessions.size).to.equal(2);
  });

  it('takes nothing for chosen that is only accepted', () => {
    const agent = recovered(accepted(0, 1, 1), accepted(1, 1, 1));
    expect(agent.learner.committed).to.equal(0);
    expect(agent.learner.chosen.size).to.equal(0);
  });

  it('refuses records that contradict each other', () => {
    const wrong: [string, JournalRecord[]][] = [
      ['a round is spent once', [used(3), used(3)]],
      ['a promise only rises', [promised(3, 0), promised(3, 1)]],
      ['a promise only rises', [accepted(0, 5, 1), promised(4, 0)]],
      ['nothing is accepted below a promise', [promised(3, 0), accepted(0, 2, 2)]],
      ['nothing is accepted below a promise', [promised(3, 0), accepted(0, 3, 1)]],
      ['a committed entry is in the journal', [accepted(0, 1, 1), committed(2)]],
      ['the commit index never goes back', [learnt(0), learnt(1, NO_OP), committed(2), committed(1)]],
      ['one decree is chosen per entry', [learnt(0, x), learnt(0, y)]],
    ];
    for (const [invariant, records] of wrong) {
      expect(() => recovered(...records), invariant).to.throw(InvariantError, invariant);
    }
  });

  it('comes to what the agent was, as far as that was durable, and twice to the same', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const bag = new Bag(new SeededRandom(seed), 3, USUAL);
        bag.run(600);
        for (const node of bag.nodes) {
          if (node.pending > 0) node.flush();
          if (node.pending > 0) node.flush();
          const { acceptor, learner, proposer } = node.state;
          const once = newAgent(node.config);
          const twice = newAgent(node.config);
          for (const record of node.disk) recover(once, record);
          for (const record of node.disk) recover(twice, record);
          expect(once).to.deep.equal(twice);
          expect(once.acceptor.promised).to.deep.equal(acceptor.promised);
          expect(once.acceptor.length).to.equal(acceptor.length);
          expect(once.acceptor.held_length).to.equal(acceptor.held_length);
          expect(once.acceptor.accepted).to.deep.equal(acceptor.accepted);
          expect(once.proposer.used).to.equal(proposer.used);
          expect(once.learner.committed).to.equal(learner.recorded);
          for (const [e, chosen] of once.learner.chosen) expect(learner.chosen.get(e)).to.deep.equal(chosen);
          if (learner.recorded === learner.committed) {
            expect([...once.learner.sessions.sessions]).to.deep.equal([...learner.sessions.sessions]);
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});
