import { expect } from 'chai';

import { NO_OP } from '../../src/core/decree.js';
import { entry } from '../../src/core/ids.js';
import { MAX_ENTRIES_IN_FLIGHT, MAX_RETRANSMITTED_ENTRIES } from '../../src/core/limits.js';
import { MessageType } from '../../src/core/message.js';
import {
  accepted,
  accepted_at,
  acceptRequest,
  addresses,
  ask,
  decree,
  heartbeat,
  hello,
  nack,
  prepare,
  promise,
} from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

const x = decree('x');
const y = decree('y', 65538);
const z = decree('z', 65539);

function proposals(one: OneAgent, to = 1): [number, string][] {
  return one
    .of('send')
    .filter((effect) => effect.to === to)
    .map(({ message }) => message)
    .filter((message) => message.type === MessageType.AcceptRequest)
    .map((message) => [message.entry, message.request.noset ? 'no-op' : message.value]);
}

describe('core, proposer (spec.md, "Candidates and reigns")', () => {
  describe('a try', () => {
    it('spends its round durably before any Prepare leaves (trace 5)', () => {
      const one = new OneAgent(0);
      one.fast_disk = false;
      one.stand();
      expect(one.records).to.deep.equal([{ verdict: 'used', round: 0, entry: 0 }]);
      expect(one.of('send').map(({ to, after, alone }) => [to, after, alone])).to.deep.equal([
        [1, 1, true],
        [2, 1, true],
      ]);
      expect(one.sent(MessageType.Prepare)[0]).to.include({ entry: 0, round: 0 });
    });

    it('takes the lowest own round above all that was seen', () => {
      const one = new OneAgent(1)
        .message(0, nack(0, 0))
        .message(2, prepare(0, 8))
        .timer('leader')
        .timer('election');
      expect(one.state.proposer.candidate?.round).to.equal(10);
    });

    it('has its own acceptor promise last, and counts that once durable', () => {
      const one = new OneAgent(0, 5).stand();
      one.message(1, promise(0, 0));
      expect(one.state.acceptor.promised.round, 'not yet').to.equal(-1);
      one.fast_disk = false;
      one.message(2, promise(0, 0));
      expect(one.records.at(-1)).to.include({ verdict: 'promised', round: 0, owner: 0 });
      one.message(3, promise(0, 0)).message(4, promise(0, 0));
      expect(one.state.proposer.reign, 'all others promised, but the own is not durable').to.equal(undefined);
      one.durable();
      expect(one.of('reign')).to.deep.equal([{ type: 'reign', round: 0 }]);
    });

    it('counts distinct agents at its own round only (trace 5, faults 46)', () => {
      const one = new OneAgent(0, 5).stand();
      for (let i = 0; i < 4; i++) one.message(1, promise(0, 0));
      one.message(2, promise(0, 5)).message(3, promise(0, 10));
      expect(one.notes).to.deep.equal(['stale-promise']);
      expect(one.state.acceptor.promised.round).to.equal(-1);
    });

    it('waits for every entry of a report, holes too, and asks for the first one missing', () => {
      const one = new OneAgent(0).stand();
      one.message(1, promise(0, 0, { length: 3 })).message(1, promise(2, 0, { length: 3 }));
      expect(one.state.proposer.reign).to.equal(undefined);
      one.timer('prepare');
      const again = one.of('send').map(({ to, message }) => [to, (message as never)['entry']]);
      expect(again).to.deep.equal([
        [1, 1],
        [2, 0],
      ]);
      one.message(1, promise(1, 0, { length: 3 }));
      expect(one.state.proposer.reign?.round).to.equal(0);
    });

    it('does not trust a length below what is reported (trace: `length` absent)', () => {
      const one = new OneAgent(0).stand();
      one.message(1, promise(4, 0, { roundvalue: accepted_at(0, x), length: 0 }));
      expect(one.state.proposer.reign).to.equal(undefined);
    });

    it('asks nothing below the highest commit index reported', () => {
      const one = new OneAgent(0).stand();
      one.message(1, promise(0, 0, { roundvalue: accepted_at(0, x), length: 10, committed: 10 }));
      expect(one.state.proposer.reign).to.include({ gap: 10, next: 10 });
      expect(proposals(one)).to.be.empty;
    });

    it('fails on a Nack with a higher promise, waits longer each time, and next goes above it', () => {
      const one = new OneAgent(0).stand().message(1, nack(0, 7));
      expect(one.state.proposer.candidate).to.equal(undefined);
      expect(one.of('set-timer')).to.deep.equal([
        { type: 'set-timer', timer: 'election', min_ms: 1, max_ms: 400 },
      ]);
      expect(one.of('send'), 'no Prepare at once (trace 9)').to.be.empty;
      one.timer('election');
      expect(one.state.proposer.candidate?.round).to.equal(9);
      one.message(2, nack(9, 11));
      expect(one.of('set-timer')[0]).to.include({ max_ms: 800 });
    });

    it('heeds no Nack for another round, and none without a promise (faults 47)', () => {
      const one = new OneAgent(0).stand().message(1, nack(3, 7));
      expect(one.notes).to.deep.equal(['stale-nack']);
      one.message(1, nack(0, 0));
      expect(one.state.proposer.candidate?.round).to.equal(0);
    });

    it('ends undoubled when too many refuse on account of a live leader', () => {
      const one = new OneAgent(0).stand();
      const leader = addresses(3)[2];
      one.message(1, nack(0, 0, leader)).message(1, nack(0, 0, leader));
      expect(one.state.proposer.candidate, 'one agent, however often').to.not.equal(undefined);
      one.message(2, nack(0, 0, leader));
      expect(one.state.proposer.candidate).to.equal(undefined);
      expect(one.of('set-timer')[0]).to.include({ timer: 'election', max_ms: 200 });
    });

    it('goes on while reports arrive, and ends when none does', () => {
      const one = new OneAgent(0).stand().message(1, promise(0, 0, { length: 9 }));
      expect(one.timer('try').of('set-timer')).to.deep.include({
        type: 'set-timer',
        timer: 'try',
        min_ms: 800,
        max_ms: 800,
      });
      one.message(1, promise(0, 0, { length: 9 }));
      one.timer('try');
      expect(one.state.proposer.candidate, 'a duplicate is no news').to.equal(undefined);
    });

    it('ends at a sign of life of a leader', () => {
      for (const message of [heartbeat(2, 2), acceptRequest(0, 2, x)]) {
        const one = new OneAgent(0).stand().message(2, message);
        expect(one.state.proposer.candidate).to.equal(undefined);
        expect(one.state.election.leader).to.equal(2);
      }
    });

    it('needs nobody else in a cluster of one', () => {
      const one = new OneAgent(0, 1).step({ type: 'start' });
      expect(one.of('set-timer')).to.deep.equal([
        { type: 'set-timer', timer: 'election', min_ms: 0, max_ms: 0 },
      ]);
      one.timer('election');
      expect(one.state.proposer.reign?.round).to.equal(0);
      one.client(1, hello()).client(1, ask(1, 'x'));
      expect(one.told()).to.deep.equal(['1: x at 0']);
      expect(one.of('send')).to.be.empty;
      expect(one.timer('progress').effects).to.deep.include({
        type: 'set-timer',
        timer: 'progress',
        min_ms: 400,
        max_ms: 400,
      });
    });
  });

  describe('a reign begins', () => {
    it('by proposing, at its own round, what was reported at the highest round (trace 4)', () => {
      const one = new OneAgent(4, 5).stand();
      const r = one.state.proposer.candidate!.round;
      one.message(0, promise(0, r, { roundvalue: accepted_at(0, x), length: 1 }));
      one.message(1, promise(0, r, { roundvalue: accepted_at(0, x), length: 1 }));
      expect(proposals(one)).to.deep.equal([[0, 'x']]);
      const two = new OneAgent(4, 5).stand();
      two.message(0, promise(0, r, { roundvalue: accepted_at(0, x), length: 1 }));
      two.message(1, promise(0, r, { roundvalue: accepted_at(2, y), length: 1 }));
      expect(proposals(two)).to.deep.equal([[0, 'y']]);
      expect(two.sent(MessageType.AcceptRequest)[0]).to.include({ round: 4, value: 'y' });
    });

    it('by what its own acceptor holds, taken at the moment of its own promise', () => {
      const one = new OneAgent(0)
        .message(2, acceptRequest(0, 2, z))
        .timer('leader')
        .timer('election');
      one.message(1, promise(0, 3));
      expect(proposals(one)).to.deep.equal([[0, 'z']]);
    });

    it('by filling holes with no-ops (faults 51)', () => {
      const one = new OneAgent(0).stand();
      one.message(1, promise(0, 0, { length: 3 })).message(1, promise(1, 0, { length: 3 }));
      one.message(1, promise(2, 0, { roundvalue: accepted_at(0, x), length: 3 }));
      expect(proposals(one)).to.deep.equal([
        [0, 'no-op'],
        [1, 'no-op'],
        [2, 'x'],
      ]);
      expect(one.sent(MessageType.AcceptRequest)[0]!.request).to.deep.equal({ id: 0, no: 0, noset: true });
    });

    it('by using what incomplete reports brought as well', () => {
      const one = new OneAgent(0, 5).stand();
      one.message(1, promise(0, 0, { roundvalue: accepted_at(0, x), length: 2 })); // entry 1 is missing
      one.message(2, promise(0, 0)).message(3, promise(0, 0));
      expect(proposals(one)).to.deep.equal([
        [0, 'x'],
        [1, 'no-op'],
      ]);
    });

    it('with a heartbeat, and new values only after all that was inherited', () => {
      const one = new OneAgent(0).client(1, hello()).client(1, ask(1, 'new')).stand();
      one.message(1, promise(0, 0, { roundvalue: accepted_at(0, x), length: 1 }));
      expect(one.sent(MessageType.Heartbeat)).to.have.length(2);
      expect(proposals(one)).to.deep.equal([
        [0, 'x'],
        [1, 'new'],
      ]);
    });

    it('within the bound of entries in flight', () => {
      const one = new OneAgent(0).stand();
      const length = MAX_ENTRIES_IN_FLIGHT + 2;
      for (let e = 0; e < length; e++) one.message(1, promise(e, 0, { length }));
      expect(one.state.proposer.reign!.in_flight.size).to.equal(MAX_ENTRIES_IN_FLIGHT);
      one.client(1, hello()).client(1, ask(1, 'x'));
      expect(one.state.clients.queue).to.have.length(1);
      for (let e = 0; e < 3; e++) one.message(1, accepted(e, 0, NO_OP));
      expect(proposals(one)).to.deep.equal([[length, 'x']]);
      expect(one.state.clients.queue).to.be.empty;
    });
  });

  describe('counting', () => {
    it('needs a majority of distinct agents, the own vote once durable', () => {
      const one = new OneAgent(0, 5).stand().message(1, promise(0, 0)).message(2, promise(0, 0));
      one.client(1, hello());
      one.fast_disk = false;
      one.client(1, ask(1, 'x'));
      const own = decree('x', 1, 1);
      for (let i = 0; i < 3; i++) one.message(1, accepted(0, 0, own));
      one.message(2, accepted(0, 0, own));
      expect(one.committed, 'two others, and the own vote not durable (faults 45)').to.equal(0);
      one.durable();
      expect(one.committed).to.equal(1);
      expect(one.told()).to.deep.equal(['1: x at 0']);
    });

    it('can do without the own vote', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      one.fast_disk = false;
      one.client(1, ask(1, 'x')).message(1, accepted(0, 0, decree('x', 1, 1)));
      expect(one.committed).to.equal(0);
      one.message(2, accepted(0, 0, decree('x', 1, 1)));
      expect(one.committed).to.equal(1);
    });

    it('takes no Accepted for another round, value or entry (faults 45)', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      expect(one.message(1, accepted(0, 3, decree('x', 1, 1))).notes).to.deep.equal(['stale-accepted']);
      expect(one.message(1, accepted(0, 0, decree('other', 1, 1))).notes).to.deep.equal([
        'accepted-otherwise',
      ]);
      expect(one.message(1, accepted(0, 0, decree('x', 1, 2))).notes).to.deep.equal(['accepted-otherwise']);
      one.message(1, accepted(7, 0, decree('x', 1, 1)));
      expect(one.committed).to.equal(0);
    });

    it('commits in order: what is chosen beyond a hole waits', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'a')).client(1, ask(2, 'b'));
      one.message(1, accepted(1, 0, decree('b', 1, 2)));
      expect([one.committed, ...one.told()]).to.deep.equal([0]);
      one.message(1, accepted(0, 0, decree('a', 1, 1)));
      expect([one.committed, ...one.told()]).to.deep.equal([2, '1: a at 0', '2: b at 1']);
      expect(one.of('committed')).to.deep.equal([{ type: 'committed', committed: 2 }]);
    });

    it('sends AcceptRequests at once, before the own acceptance is durable', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      one.fast_disk = false;
      one.client(1, ask(1, 'x'));
      for (const { after } of one.of('send')) expect(after).to.equal(0);
    });
  });

  describe('retransmission', () => {
    it('sends what is not chosen again after a tick, alone, to those who have not voted', () => {
      const one = new OneAgent(0, 5).stand().message(1, promise(0, 0)).message(2, promise(0, 0));
      one
        .client(1, hello())
        .client(1, ask(1, 'x'))
        .message(1, accepted(0, 0, decree('x', 1, 1)));
      expect(one.timer('accept').of('send'), 'it may have been sent a moment ago').to.be.empty;
      one.timer('accept');
      expect(one.of('send').map(({ to, alone }) => [to, alone])).to.deep.equal([
        [2, true],
        [3, true],
        [4, true],
      ]);
    });

    it('is bounded, the oldest first', () => {
      const one = new OneAgent(0).lead();
      for (let n = 1; n <= 40; n++) one.client(n, hello()).client(n, ask(1, `v${n}`));
      one.timer('accept').timer('accept');
      const again = proposals(one);
      expect(again).to.have.length(MAX_RETRANSMITTED_ENTRIES);
      expect(again[0]).to.deep.equal([0, 'v1']);
    });
  });

  describe('a reign ends', () => {
    function leader(): OneAgent {
      return new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
    }
    function expectOver(one: OneAgent): void {
      expect(one.of('abdicate')).to.have.length(1);
      expect(one.state.proposer.reign).to.equal(undefined);
      expect(one.state.proposer.own_votes).to.be.empty;
      const cleared = one.of('clear-timer').map(({ timer }) => timer);
      expect(cleared).to.include.members(['heartbeat', 'accept', 'progress']);
    }

    it('by a Nack of its round with a higher promise, and prepares above it at once', () => {
      const one = leader().message(1, nack(0, 5));
      expectOver(one);
      expect(one.sent(MessageType.Prepare)[0]).to.include({ round: 6 });
    });

    it('by such a Nack that names another leader, and waits for that one', () => {
      const one = leader().message(1, nack(0, 5, addresses(3)[2]));
      expectOver(one);
      expect(one.sent(MessageType.Prepare)).to.be.empty;
      expect(one.of('set-timer')).to.deep.include({
        type: 'set-timer',
        timer: 'leader',
        min_ms: 400,
        max_ms: 400,
      });
    });

    it('by a Heartbeat above its round', () => {
      expectOver(leader().message(2, heartbeat(2, 2)));
    });

    it('by an AcceptRequest above its round', () => {
      expectOver(leader().message(2, acceptRequest(0, 2, y)));
    });

    it('by learning another decree where it proposed, before any further notice leaves (trace 12)', () => {
      const one = leader();
      one.message(2, promise(9, 9, { committed: 1 })).timer('catch-up');
      expect(one.of('fetch')).to.have.length(1);
      one.fetched(2, 0, y);
      expectOver(one);
      expect(one.of('send')).to.be.empty;
      expect(one.committed).to.equal(1);
      expect(one.timer('heartbeat').of('send')).to.be.empty;
    });

    it('not by a Nack without a higher promise, a Prepare above, or anything below its round', () => {
      const one = new OneAgent(1).lead();
      one
        .message(2, nack(1, 1, addresses(3)[0]))
        .message(2, nack(1, 0))
        .message(0, nack(0, 9));
      one.message(2, prepare(0, 5));
      expect(one.sent(MessageType.Nack)[0], 'a reigning leader is a live leader').to.include({
        leaderport: '7002',
      });
      one.message(0, heartbeat(0, 0)).message(0, acceptRequest(0, 0, x));
      expect(one.state.proposer.reign?.round).to.equal(1);
    });

    it('and its round is never used again', () => {
      const one = leader()
        .message(1, nack(0, 0))
        .message(2, heartbeat(2, 2))
        .timer('leader')
        .timer('election');
      expect(one.state.proposer.candidate?.round).to.equal(3);
      one.message(1, accepted(0, 0, decree('x', 1, 1)));
      expect(one.committed, 'late votes of a reign that is over').to.equal(0);
    });

    it('and entries it had in flight keep one value each while it lasts', () => {
      const one = leader().client(2, hello()).client(2, ask(1, 'second'));
      one.timer('accept').timer('accept');
      expect(proposals(one)).to.deep.equal([
        [0, 'x'],
        [1, 'second'],
      ]);
    });
  });

  it('passes over inherited and new entries that it knows chosen', () => {
    const one = new OneAgent(0).stand();
    one.message(1, promise(0, 0, { roundvalue: accepted_at(0, x), length: 2 }));
    one.state.learner.chosen.set(entry(1), y);
    one.message(1, promise(1, 0, { length: 2 }));
    expect(proposals(one)).to.deep.equal([[0, 'x']]);
    one.state.learner.chosen.set(entry(2), z);
    one.client(1, hello()).client(1, ask(1, 'new'));
    expect(proposals(one)).to.deep.equal([[3, 'new']]);
  });
});
