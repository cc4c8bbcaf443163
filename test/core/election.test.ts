import { expect } from 'chai';

import type { TimerName } from '../../src/core/event.js';
import { MessageType } from '../../src/core/message.js';
import { DEFAULT_TIMES } from '../../src/core/state.js';
import {
  accepted,
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

/** The last setting of a timer in what just happened, as [least, most] milliseconds. */
function set(one: OneAgent, timer: TimerName): [number, number] | undefined {
  const last = one
    .of('set-timer')
    .filter((effect) => effect.timer === timer)
    .at(-1);
  return last && [last.min_ms, last.max_ms];
}

describe('core, election (spec.md, "Liveness")', () => {
  it('uses the base text’s times', () => {
    expect(DEFAULT_TIMES).to.include({ heartbeat_ms: 200, leader_timeout_ms: 400, election_wait_ms: 200 });
  });

  describe('an agent without a leader', () => {
    it('listens for one leader timeout at start, waits a random while, stands; no client is needed', () => {
      const one = new OneAgent(0).step({ type: 'start' });
      expect(set(one, 'leader')).to.deep.equal([400, 400]);
      one.timer('leader');
      expect(set(one, 'election')).to.deep.equal([1, 200]);
      one.timer('election');
      expect(one.sent(MessageType.Prepare)).to.have.length(2);
    });

    it('does not stand when a leader shows itself while it waits', () => {
      const one = new OneAgent(0).timer('leader').message(2, heartbeat(2, 2));
      expect(one.of('clear-timer').map(({ timer }) => timer)).to.include('election');
      one.timer('election');
      expect(one.state.proposer.candidate).to.equal(undefined);
    });

    it('waits longer after each failed try, up to 3.2 s, and from the start after a living leader', () => {
      const one = new OneAgent(0);
      const waits = [];
      for (let i = 0; i < 7; i++) {
        one.timer('election').timer('try');
        waits.push(set(one, 'election')?.[1]);
      }
      expect(waits).to.deep.equal([400, 800, 1600, 3200, 3200, 3200, 3200]);
      one.message(2, heartbeat(2, one.state.seen + 2)).timer('leader');
      expect(set(one, 'election')).to.deep.equal([1, 200]);
    });

    it('gives each try two leader timeouts, grown with the back-off', () => {
      const one = new OneAgent(0);
      const tries = [];
      for (let i = 0; i < 6; i++) {
        tries.push(set(one.timer('election'), 'try')?.[0]);
        one.timer('try');
      }
      expect(tries).to.deep.equal([800, 1600, 3200, 6400, 12_800, 12_800]);
    });

    it('stays passive with a very long leader timeout', () => {
      const one = new OneAgent(0, 3, { leader_timeout_ms: 10 ** 9 }).step({ type: 'start' });
      expect(set(one, 'leader')).to.deep.equal([10 ** 9, 10 ** 9]);
      expect(one.of('send')).to.be.empty;
    });
  });

  describe('a follower', () => {
    it('is kept by Heartbeats and AcceptRequests at or above its promise', () => {
      const one = new OneAgent(1);
      expect(set(one.message(0, heartbeat(0, 0)), 'leader')).to.deep.equal([400, 400]);
      expect(one.of('follow')).to.deep.equal([{ type: 'follow', leader: 0 }]);
      expect(set(one.message(0, acceptRequest(0, 0, x)), 'leader')).to.deep.equal([400, 400]);
      expect(one.of('follow')).to.be.empty;
    });

    it('is kept by nothing else', () => {
      const one = new OneAgent(1).message(0, prepare(0, 3)).message(0, heartbeat(0, 3));
      for (const message of [prepare(0, 3), promise(0, 3), nack(3, 3), accepted(0, 3, x), heartbeat(0, 0)]) {
        one.message(message.type === MessageType.Heartbeat ? 2 : 0, message);
        expect(set(one, 'leader'), String(message.type)).to.equal(undefined);
      }
    });

    it('forgets a leader that is silent, then stands', () => {
      const one = new OneAgent(1).message(0, heartbeat(0, 0)).timer('leader');
      expect(one.of('follow')).to.deep.equal([{ type: 'follow', leader: undefined }]);
      expect(set(one, 'election')).to.deep.equal([1, 200]);
    });

    it('tells a leader below its promise what it has promised (stale Heartbeat)', () => {
      const one = new OneAgent(1).message(2, prepare(0, 5)).timer('leader').message(0, heartbeat(0, 0));
      expect(one.sent(MessageType.Nack)[0]).to.include({ round: 0, promised: 5, leaderaddress: '' });
      expect(one.state.election.leader).to.equal(undefined);
    });

    it('takes a Heartbeat without a round from the owner of its promise for a sign of life', () => {
      const one = new OneAgent(1).message(0, prepare(0, 3)).message(0, heartbeat(0, 0));
      expect(one.of('follow')).to.deep.equal([{ type: 'follow', leader: 0 }]);
      expect(one.sent(MessageType.Nack)).to.be.empty;
    });

    it('ignores a Heartbeat that names another leader, and one at a round promised to another (faults 50)', () => {
      const one = new OneAgent(1).message(0, prepare(0, 3));
      one.message(2, { ...heartbeat(0, 3) });
      expect(one.notes).to.deep.equal(['foreign-heartbeat']);
      one.message(2, heartbeat(2, 3));
      expect(one.notes).to.deep.equal(['foreign-heartbeat']);
      expect(one.state.election.confirmed).to.equal(false);
    });

    it('follows the later of two leaders in turn, at the higher round only (faults 50)', () => {
      const one = new OneAgent(1).message(0, acceptRequest(0, 3, x)).message(2, heartbeat(2, 5));
      one.message(2, acceptRequest(0, 5, x)).message(0, heartbeat(0, 3));
      expect(one.state.election.leader).to.equal(2);
      expect(one.sent(MessageType.Nack)).to.have.length(1);
    });
  });

  describe('a promise', () => {
    it('shields its proposer for one leader timeout, once', () => {
      const one = new OneAgent(1).timer('leader').message(0, prepare(0, 3));
      expect(set(one, 'leader')).to.deep.equal([400, 400]);
      expect(one.of('clear-timer').map(({ timer }) => timer)).to.deep.equal(['election']);
      expect(set(one.message(0, prepare(0, 3)), 'leader')).to.equal(undefined);
      expect(one.message(2, prepare(0, 5)).sent(MessageType.Nack)).to.have.length(1);
      expect(one.timer('leader').message(2, prepare(0, 5)).sent(MessageType.Promise)).to.have.length(1);
    });

    it('does not send clients to a mere candidate', () => {
      const one = new OneAgent(1).message(0, prepare(0, 3)).client(1, hello());
      expect(one.told()).to.be.empty;
      expect(one.message(0, heartbeat(0, 3)).told()).to.deep.equal(['redirected to 7001']);
    });
  });

  describe('a leader', () => {
    it('beats every 200 ms, with its round and what is chosen', () => {
      const one = new OneAgent(0).lead().log('x', 1).timer('heartbeat');
      expect(one.sent(MessageType.Heartbeat)[0]).to.deep.equal(heartbeat(0, 0, 1));
      expect(set(one, 'heartbeat')).to.deep.equal([200, 200]);
    });

    it('with nothing to do is patient', () => {
      const one = new OneAgent(0).lead();
      for (let i = 0; i < 20; i++) expect(one.timer('progress').of('abdicate')).to.be.empty;
    });

    it('steps down when nothing is chosen for two timeouts though something should', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      one.timer('progress').timer('progress');
      expect(one.of('abdicate')).to.be.empty;
      one.timer('progress');
      expect(one.of('abdicate')[0]).to.include({ reason: 'nothing it proposed was chosen' });
      expect(one.told()).to.deep.equal(['1: leadership-lost']);
      expect(set(one, 'leader')).to.deep.equal([400, 400]);
      expect(one.timer('heartbeat').of('send')).to.be.empty;
    });

    it('stays while anything is chosen', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      for (let i = 0; i < 10; i++) {
        one.client(1, ask(i, `v${i}`));
        if (i > 0) one.accept(i - 1, `v${i - 1}`, 1, i - 1);
        expect(one.timer('progress').of('abdicate')).to.be.empty;
      }
    });

    it('steps down when its disk is silent for two timeouts, though others accept (faults 30)', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      one.fast_disk = false;
      const reasons = [];
      for (let i = 0; i < 4; i++) {
        if (one.state.proposer.reign !== undefined) {
          one
            .client(1, ask(i, `v${i}`))
            .accept(i, `v${i}`, 1, i)
            .accept(i, `v${i}`, 1, i, 2);
        }
        reasons.push(
          ...one
            .timer('progress')
            .of('abdicate')
            .map(({ reason }) => reason),
        );
      }
      expect(one.committed).to.be.above(2);
      expect(reasons).to.deep.equal(['its disk is silent']);
    });

    it('measures a new reign by itself, not by an earlier one', () => {
      const one = new OneAgent(0).lead();
      one.log('a', 1).log('b', 2).timer('progress');
      one.message(1, nack(0, 1));
      one.message(1, promise(2, 3, { committed: 2 }));
      expect(one.state.proposer.reign?.round).to.equal(3);
      one.client(1, hello()).log('c', 3).log('d', 4).client(1, ask(5, 'e')).timer('progress');
      expect(one.state.election.idle_ticks, 'two were chosen, as many as then').to.equal(0);
    });

    it('that lacks old entries only and gets none prepares again', () => {
      const one = new OneAgent(0).stand().message(1, promise(0, 0, { length: 5, committed: 5 }));
      expect(one.of('fetch')).to.deep.equal([{ type: 'fetch', peer: 1, first: 0 }]);
      one.timer('progress').timer('progress').timer('progress');
      expect(one.of('abdicate')).to.have.length(1);
      expect(one.sent(MessageType.Prepare)[0]).to.include({ entry: 0, round: 3 });
    });

    it('that lacks old entries prepares again, however much is chosen above them', () => {
      const one = new OneAgent(0).stand().message(1, promise(0, 0, { length: 5, committed: 5 }));
      one.client(1, hello());
      const tries = [];
      for (let i = 0; i < 3; i++) {
        one
          .client(1, ask(i, `v${i}`))
          .accept(5 + i, `v${i}`, 1, i)
          .timer('progress');
        tries.push(one.of('abdicate').length);
      }
      expect(tries).to.deep.equal([0, 0, 1]);
      expect(one.sent(MessageType.Prepare)[0]).to.include({ entry: 0, round: 3 });
    });

    it('stays while entries that it lacks arrive', () => {
      const one = new OneAgent(0).stand().message(1, promise(0, 0, { length: 9, committed: 9 }));
      for (let e = 0; e < 9; e++)
        expect(
          one
            .fetched(1, e, decree(`v${e}`, 1, e))
            .timer('progress')
            .of('abdicate'),
        ).to.be.empty;
      expect(one.committed).to.equal(9);
    });

    it('told of a higher promise by somebody who names another waits for that one', () => {
      const one = new OneAgent(0)
        .lead()
        .message(1, nack(0, 5, addresses(3)[2]))
        .timer('leader');
      expect(set(one, 'election')).to.deep.equal([1, 200]);
    });
  });
});
