import { expect } from 'chai';

import { NO_OP } from '../../src/core/decree.js';
import { agentIndex } from '../../src/core/ids.js';
import { InvariantError } from '../../src/core/invariants.js';
import { accepted_at, acceptRequest, decree, heartbeat, promise } from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

const x = decree('x');
const y = decree('y', 65538);

/** Follower 1, told by the leader that three entries are chosen, of which it has none, and about to fetch. */
function behind(): OneAgent {
  return new OneAgent(1).message(0, heartbeat(0, 0, 3)).timer('catch-up');
}

describe('core, catch-up (spec.md, "Catch-up")', () => {
  it('gives what is missing 50 ms to arrive by itself, then opens a stream', () => {
    const one = new OneAgent(1).message(0, heartbeat(0, 0, 1));
    expect(one.of('set-timer')).to.deep.include({
      type: 'set-timer',
      timer: 'catch-up',
      min_ms: 50,
      max_ms: 50,
    });
    expect(one.of('fetch')).to.be.empty;
    expect(one.timer('catch-up').of('fetch')).to.deep.equal([{ type: 'fetch', peer: 0, first: 0 }]);
  });

  it('opens none for what arrived meanwhile', () => {
    const one = new OneAgent(1)
      .message(0, heartbeat(0, 0, 1))
      .message(0, acceptRequest(0, 0, x))
      .timer('catch-up');
    expect(one.of('fetch')).to.be.empty;
  });

  it('waits afresh for what was chosen during the wait', () => {
    const one = new OneAgent(1)
      .message(0, heartbeat(0, 0, 1))
      .message(0, acceptRequest(0, 0, x))
      .message(0, heartbeat(0, 0, 2));
    one.timer('catch-up');
    expect(one.of('fetch')).to.be.empty;
    expect(one.of('set-timer').map(({ timer }) => timer)).to.include('catch-up');
  });

  it('writes down what it learns, unless its acceptor holds the same', () => {
    const one = new OneAgent(1)
      .message(0, acceptRequest(1, 0, y))
      .message(2, heartbeat(2, 2, 3))
      .timer('catch-up');
    const before = one.records.length;
    one.fetched(2, 0, x).fetched(2, 1, y).fetched(2, 2, NO_OP);
    expect(one.records.slice(before).filter(({ verdict }) => verdict === 'learnt')).to.deep.equal([
      { verdict: 'learnt', entry: 0, peer: 2, decree: x },
      { verdict: 'learnt', entry: 2, peer: 2, decree: NO_OP },
    ]);
    expect(one.committed).to.equal(3);
  });

  it('touches neither promise nor acceptance nor leader', () => {
    const one = behind();
    const { promised } = one.state.acceptor;
    one.fetched(0, 0, x);
    expect(one.state.acceptor.promised).to.equal(promised);
    expect(one.state.acceptor.accepted.size).to.equal(0);
    expect(one.of('set-timer')).to.be.empty;
  });

  it('closes the stream when it has all that anybody claimed to know', () => {
    const one = behind().fetched(0, 0, x).fetched(0, 1, y).fetched(0, 2, NO_OP);
    expect(one.of('cancel-fetch')).to.have.length(1);
    expect(one.state.catchup.source).to.equal(undefined);
  });

  it('takes what came together as one by one, but writes the commit index down once', () => {
    const together = behind().fetched(0, 0, x, y, NO_OP);
    const single = behind().fetched(0, 0, x).fetched(0, 1, y).fetched(0, 2, NO_OP);
    const learnt = ({ records }: OneAgent): unknown => records.filter(({ verdict }) => verdict === 'learnt');
    expect(learnt(together)).to.deep.equal(learnt(single));
    expect(together.committed).to.equal(3);
    expect(together.of('cancel-fetch')).to.have.length(1);
    const indices = ({ records }: OneAgent): number =>
      records.filter(({ verdict }) => verdict === 'committed').length;
    expect([indices(together), indices(single)]).to.deep.equal([0, 2]);
  });

  it('looks at nothing behind an entry at which it proposed something else as leader', () => {
    const one = new OneAgent(0).stand();
    one.message(1, promise(0, 0, { length: 1, roundvalue: accepted_at(0, x) })).durable();
    one.state.catchup.source = agentIndex(1);
    one.fetched(1, 0, y, y);
    expect(one.state.proposer.reign).to.equal(undefined);
    expect(one.committed).to.equal(1);
    expect(one.records.filter(({ verdict }) => verdict === 'learnt')).to.have.length(1);
  });

  it('ignores entries of a stream that is not wanted', () => {
    const one = behind().fetched(2, 0, x);
    expect(one.notes).to.deep.equal(['stray-entry']);
    expect(one.committed).to.equal(0);
  });

  it('stops the agent when a chosen entry is told otherwise', () => {
    const one = behind().fetched(0, 0, x);
    expect(() => one.fetched(0, 0, y)).to.throw(InvariantError, 'one decree is chosen per entry');
  });

  it('goes by what is told, also of entries it has already', () => {
    const one = behind().fetched(0, 0, x).fetched(0, 0, x);
    expect(one.committed).to.equal(1);
    expect(one.records.filter(({ verdict }) => verdict === 'learnt')).to.have.length(1);
  });

  describe('the source', () => {
    it('is whoever claimed to know most', () => {
      const one = new OneAgent(0, 5)
        .message(1, promise(0, 9, { committed: 3 }))
        .message(2, promise(0, 9, { committed: 8 }));
      one.message(3, promise(0, 9, { committed: 5 })).timer('catch-up');
      expect(one.of('fetch')).to.deep.equal([{ type: 'fetch', peer: 2, first: 0 }]);
    });

    it('that brought nothing is tried last', () => {
      const one = new OneAgent(0, 5)
        .message(1, promise(0, 9, { committed: 3 }))
        .message(2, promise(0, 9, { committed: 8 }));
      const peers = [];
      for (let i = 0; i < 5; i++) {
        one.timer('catch-up');
        const { peer } = one.of('fetch')[0]!;
        peers.push(peer);
        one.step({ type: 'fetch-ended', peer, reason: 'refused' });
      }
      expect(peers).to.deep.equal([2, 1, 2, 1, 2]);
    });

    it('that broke off after bringing something is asked again, from where it stopped', () => {
      const one = behind()
        .fetched(0, 0, x)
        .step({ type: 'fetch-ended', peer: agentIndex(0), reason: 'lost' });
      one.timer('catch-up');
      expect(one.of('fetch')).to.deep.equal([{ type: 'fetch', peer: 0, first: 1 }]);
    });

    it('is not confused by the end of another stream', () => {
      const one = behind().step({ type: 'fetch-ended', peer: agentIndex(2), reason: 'old' });
      expect(one.state.catchup.source).to.equal(0);
    });

    it('of a leader’s gap is whoever reported it, and nothing is proposed there (faults 52)', () => {
      const one = new OneAgent(0).stand();
      one.message(1, promise(0, 0, { roundvalue: accepted_at(0, x), length: 2, committed: 2 }));
      expect(one.of('fetch')).to.deep.equal([{ type: 'fetch', peer: 1, first: 0 }]);
      expect(one.state.proposer.reign).to.include({ gap: 2, next: 2 });
      one.fetched(1, 0, x).fetched(1, 1, y);
      expect(one.committed).to.equal(2);
      expect(one.state.proposer.reign).to.not.equal(undefined);
    });
  });
});
