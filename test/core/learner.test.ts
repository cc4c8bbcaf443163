import { expect } from 'chai';

import { newAgent } from '../../src/core/agent.js';
import { NO_OP } from '../../src/core/decree.js';
import { entry } from '../../src/core/ids.js';
import { InvariantError } from '../../src/core/invariants.js';
import {
  advance,
  evict,
  isKnownChosen,
  learnChosen,
  mustBeLoaded,
  wasExecuted,
} from '../../src/core/learner.js';
import { RETAINED_ENTRIES, RETAINED_VALUE_LENGTH } from '../../src/core/limits.js';
import { acceptRequest, config, decree, heartbeat, prepare } from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

const x = decree('x');
const y = decree('y', 65538);

describe('core, learner (spec.md, "Notices")', () => {
  it('takes nothing that is merely accepted for chosen (trace 7)', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 0, x));
    expect(isKnownChosen(one.state, entry(0))).to.equal(false);
    expect(one.committed).to.equal(0);
  });

  it('takes what it accepted at the notice’s round, below its index, for chosen', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 0, x)).message(0, acceptRequest(1, 0, y));
    one.message(0, heartbeat(0, 0, 1));
    expect(one.committed).to.equal(1);
    expect(one.of('committed')).to.deep.equal([{ type: 'committed', committed: 1 }]);
  });

  it('does so too when the acceptance comes after the notice', () => {
    const one = new OneAgent(1).message(0, heartbeat(0, 0, 2));
    one.message(0, acceptRequest(1, 0, y));
    expect(one.committed).to.equal(0);
    one.message(0, acceptRequest(0, 0, x));
    expect(one.committed).to.equal(2);
  });

  it('reads the notice in an AcceptRequest as well', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 0, x)).message(0, acceptRequest(1, 0, y, 1));
    expect(one.committed).to.equal(1);
  });

  it('proves nothing by a notice of another round, lower or higher', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 3, x)).message(2, heartbeat(2, 5, 1));
    expect(one.committed, 'higher').to.equal(0);
    const two = new OneAgent(1).message(0, acceptRequest(0, 3, x)).message(0, heartbeat(0, 0, 1));
    expect(two.committed, 'lower').to.equal(0);
  });

  it('heeds no notice below its promise (trace 12)', () => {
    const one = new OneAgent(1)
      .message(0, acceptRequest(0, 0, x))
      .timer('leader')
      .message(2, prepare(0, 2));
    one.message(0, heartbeat(0, 0, 1));
    expect(one.committed).to.equal(0);
  });

  it('heeds a notice of the owner of its round only (faults 50)', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 0, x)).message(2, heartbeat(2, 0, 1));
    expect(one.notes).to.include('foreign-heartbeat');
    expect(one.committed).to.equal(0);
    const two = new OneAgent(1).message(2, heartbeat(2, 0, 1)).message(0, acceptRequest(0, 0, x));
    expect(two.committed, 'the notice came before the round had an owner here').to.equal(0);
  });

  it('keeps the notice of the highest round, whatever its index, and per round the highest index', () => {
    const one = new OneAgent(1).message(0, heartbeat(0, 0, 9)).message(0, heartbeat(0, 0, 4));
    expect(one.state.learner.notice).to.include({ round: 0, committed: 9 });
    one.message(2, heartbeat(2, 2, 3)).message(0, heartbeat(0, 0, 99));
    expect(one.state.learner.notice).to.include({ round: 2, committed: 3 });
  });

  it('is not led into a long walk by an index far beyond its log (faults 49)', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 0, x)).message(0, heartbeat(0, 0, 10 ** 15));
    expect(one.committed).to.equal(1);
    one.message(0, acceptRequest(10 ** 15 - 1, 0, y, 10 ** 15)).message(0, heartbeat(0, 0, 2 * 10 ** 15));
    expect(one.state.learner.chosen.size).to.equal(2);
  });

  it('stops the agent when two decrees are chosen for one entry', () => {
    const { learner } = newAgent(config(0));
    learnChosen(learner, entry(0), x);
    learnChosen(learner, entry(0), { ...x });
    expect(() => learnChosen(learner, entry(0), y)).to.throw(
      InvariantError,
      'one decree is chosen per entry',
    );
  });

  describe('folding (spec.md, "Folding")', () => {
    it('moves over what is chosen without a hole, and tells what became of each entry', () => {
      const { learner } = newAgent(config(0));
      for (const [e, what] of [x, NO_OP, x, y].entries()) learnChosen(learner, entry(e), what);
      learnChosen(learner, entry(5), x);
      const verdicts = advance(learner).map(({ verdict }) => verdict);
      expect(verdicts).to.deep.equal([
        { kind: 'new' },
        { kind: 'no-op' },
        { kind: 'executed', entry: 0 },
        { kind: 'new' },
      ]);
      expect(learner.committed).to.equal(4);
      expect([0, 1, 2, 3, 5].map((e) => wasExecuted(learner, entry(e)))).to.deep.equal([
        true,
        false,
        false,
        true,
        false,
      ]);
    });

    it('tells a no-op from a client’s value with noset set', () => {
      const { learner } = newAgent(config(0));
      learnChosen(learner, entry(0), { ...x, noset: true });
      expect(advance(learner)[0]!.verdict).to.deep.equal({ kind: 'new' });
    });

    it('remembers of any number of entries whether they were executed', () => {
      const { learner } = newAgent(config(0));
      for (let e = 0; e < 20_000; e++)
        learnChosen(learner, entry(e), e % 3 === 0 ? NO_OP : decree('v', 1 + e));
      advance(learner);
      for (let e = 0; e < 20_000; e += 7) expect(wasExecuted(learner, entry(e))).to.equal(e % 3 !== 0);
      expect(wasExecuted(learner, entry(20_000))).to.equal(false);
    });
  });

  describe('memory', () => {
    it('lets go of old entries by number', () => {
      const agent = newAgent(config(0));
      for (let e = 0; e < RETAINED_ENTRIES + 5; e++) learnChosen(agent.learner, entry(e), decree('v', 1, e));
      advance(agent.learner);
      evict(agent);
      expect(agent.learner.retained).to.equal(5);
      expect(agent.learner.chosen.size).to.equal(RETAINED_ENTRIES);
      expect(mustBeLoaded(agent, entry(4))).to.equal(true);
      expect(mustBeLoaded(agent, entry(5))).to.equal(false);
      expect(isKnownChosen(agent, entry(0)), 'known, though not in memory').to.equal(true);
    });

    it('lets go of old entries by length', () => {
      const agent = newAgent(config(0));
      const large = 'v'.repeat(RETAINED_VALUE_LENGTH / 4);
      for (let e = 0; e < 6; e++) learnChosen(agent.learner, entry(e), decree(large, 1, e));
      advance(agent.learner);
      evict(agent);
      expect(agent.learner.retained).to.equal(2);
      expect(agent.learner.retained_length).to.equal(RETAINED_VALUE_LENGTH);
    });

    it('never lets go of what is not committed', () => {
      const agent = newAgent(config(0));
      for (let e = 1; e < RETAINED_ENTRIES + 50; e++) learnChosen(agent.learner, entry(e), x);
      advance(agent.learner);
      evict(agent);
      expect(agent.learner.retained).to.equal(0);
      expect(agent.learner.chosen.size).to.equal(RETAINED_ENTRIES + 49);
    });
  });
});
