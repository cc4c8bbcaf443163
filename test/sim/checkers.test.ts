import { expect } from 'chai';
import type { Decree } from '../../src/core/decree.js';
import { agentIndex, clientId, entry, requestNumber, round } from '../../src/core/ids.js';
import { MAX_NUMBERS_PER_SESSION } from '../../src/core/limits.js';
import type { JournalRecord } from '../../src/core/record.js';
import { History } from '../../src/sim/history.js';
import { LogModel } from '../../src/sim/model.js';
import { Votes } from '../../src/sim/votes.js';

function decree(no: number, value = `value ${no}`, id = 65_537): Decree {
  return { id: clientId(id), no: requestNumber(no), noset: false, value };
}

function accepted(e: number, r: number, what: Decree): JournalRecord {
  return { verdict: 'accepted', entry: entry(e), round: round(r), owner: agentIndex(r % 3), decree: what };
}

describe('the checkers of the simulator', () => {
  describe('votes', () => {
    let chosen: number[];
    let votes: Votes;

    beforeEach(() => {
      chosen = [];
      votes = new Votes(3, (e) => chosen.push(e));
    });

    it('take an entry for chosen when a majority has accepted it at one round', () => {
      votes.fold(0, accepted(0, 0, decree(1)));
      votes.fold(1, accepted(0, 1, decree(1)));
      expect(chosen).to.deep.equal([]);
      votes.fold(0, accepted(0, 1, decree(1)));
      expect(chosen).to.deep.equal([0]);
    });

    it('object to two values of one entry, whatever their rounds', () => {
      votes.fold(0, accepted(0, 0, decree(1)));
      votes.fold(1, accepted(0, 0, decree(1)));
      votes.fold(1, accepted(0, 1, decree(2)));
      expect(() => votes.fold(2, accepted(0, 1, decree(2)))).to.throw('1 agreement');
    });

    it('object to two values of one entry and round', () => {
      votes.fold(0, accepted(0, 0, decree(1)));
      expect(() => votes.fold(1, accepted(0, 0, decree(1, 'other')))).to.throw('2 one value');
    });

    it('object to an acceptance below a promise, and to a round spent twice', () => {
      votes.fold(0, { verdict: 'promised', round: round(4), owner: agentIndex(1), entry: entry(0) });
      expect(() => votes.fold(0, accepted(0, 3, decree(1)))).to.throw('4 promised');
      votes.fold(1, { verdict: 'used', round: round(4), entry: entry(0) });
      expect(() => votes.fold(1, { verdict: 'used', round: round(4), entry: entry(0) })).to.throw('4 used');
    });

    it('object to a proposal that no quorum has promised, or where another value may be chosen', () => {
      votes.fold(0, accepted(0, 0, decree(1)));
      votes.fold(1, { verdict: 'promised', round: round(1), owner: agentIndex(1), entry: entry(0) });
      expect(() => votes.mustBeSafe(0, 1, decree(2))).to.throw('5 safe');
      votes.fold(0, { verdict: 'promised', round: round(1), owner: agentIndex(1), entry: entry(0) });
      // Node 2 may still accept at round 0, and would make a majority with node 0.
      expect(() => votes.mustBeSafe(0, 1, decree(2))).to.throw('5 safe');
      expect(() => votes.mustBeSafe(0, 1, decree(1))).not.to.throw();
      votes.fold(2, { verdict: 'promised', round: round(1), owner: agentIndex(1), entry: entry(0) });
      expect(() => votes.mustBeSafe(0, 1, decree(2))).not.to.throw();
    });

    it('object to what is learnt and not chosen', () => {
      const record = { verdict: 'learnt', entry: entry(0), peer: agentIndex(1), decree: decree(1) } as const;
      expect(() => votes.fold(0, record)).to.throw('6 chosen');
    });
  });

  describe('the model of the log', () => {
    it('executes a request once, and forgets numbers as the session table does', () => {
      const model = new LogModel(true);
      for (let no = 1; no <= MAX_NUMBERS_PER_SESSION + 2; no++) model.fold(decree(no));
      const last = model.length;
      model.fold(decree(3)); // still in the table
      model.fold(decree(1)); // dropped
      model.fold(decree(0)); // never executed, and below what was dropped
      expect([0, 1, 2].map((i) => model.outcome(last + i)?.executed)).to.deep.equal([false, false, false]);
      expect(model.entryOf(65_537, 3)).to.equal(2);
      model.fold({ ...decree(0), id: clientId(0), noset: true });
      expect(model.outcome(last + 3)?.executed).to.equal(false);
      model.fold(decree(1, 'new session', 65_538));
      expect(model.outcome(last + 4)?.executed).to.equal(true);
    });
  });

  describe('the history', () => {
    it('objects to an operation that stands before one that was answered earlier', () => {
      const model = new LogModel(false);
      const history = new History(() => model);
      model.fold(decree(1));
      model.fold(decree(2));
      const second = history.begin(0, 65_537, 2, '');
      history.onAnswer(second, 1, 'value 2');
      const first = history.begin(1, 65_537, 1, '');
      expect(() => history.onAnswer(first, 0, 'value 1')).to.throw('9 linearizable');
    });

    it('objects to two answers, to a wrong entry, to a session given twice', () => {
      const model = new LogModel(false);
      const history = new History(() => model);
      model.fold(decree(1));
      const one = history.begin(0, 65_537, 1, '');
      expect(() => history.onAnswer(one, 1, 'value 1')).to.throw('9 linearizable');
      history.onAnswer(one, 0, 'value 1');
      expect(() => history.onAnswer(one, 0, 'another')).to.throw('8 once');
      history.onGranted(65_537);
      expect(() => history.onGranted(65_537)).to.throw('8 once');
    });

    it('objects to a refusal called definite of what stands in the log', () => {
      const model = new LogModel(false);
      const history = new History(() => model);
      history.begin(0, 65_537, 1, '').state = 'failed';
      expect(() => history.finish()).not.to.throw();
      model.fold(decree(1));
      expect(() => history.finish()).to.throw('9 definite');
    });
  });
});
