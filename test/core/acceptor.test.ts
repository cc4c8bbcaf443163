import { expect } from 'chai';

import { NO_OP } from '../../src/core/decree.js';
import { entry } from '../../src/core/ids.js';
import {
  ACCEPT_WINDOW_ENTRIES,
  MAX_HELD_ENTRIES,
  MAX_HELD_LENGTH,
  MAX_PROMISE_BYTES,
  MAX_VALUE_COST,
  RETAINED_ENTRIES,
} from '../../src/core/limits.js';
import { MessageType, type Accepted, type AcceptRequest } from '../../src/core/message.js';
import {
  accepted_at,
  acceptRequest,
  addresses,
  decree,
  heartbeat,
  NOTHING,
  prepare,
} from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

const x = decree('x');
const y = decree('y', 65538);

function promises(one: OneAgent) {
  return one.sent(MessageType.Promise);
}

function nacks(one: OneAgent) {
  return one.sent(MessageType.Nack);
}

function accepts(one: OneAgent) {
  return one.sent(MessageType.Accepted);
}

/** Agent 1 of three, which has nothing to do with who leads: its leader is forgotten whenever it matters. */
function acceptor(): OneAgent {
  return new OneAgent(1);
}

/** One whose value takes time to be read; `onRead` is told when it is. */
function unreadRequest(message: AcceptRequest, length: number, onRead: () => void): AcceptRequest {
  const { value, ...rest } = message;
  const { request, entry: at, round } = message;
  const read = (): string => {
    onRead();
    return value;
  };
  const accepted: Accepted = { type: MessageType.Accepted, request, entry: at, round, value: 'not read' };
  const late = <T extends object>(fields: T): T & { value: string } =>
    Object.defineProperty(fields as T & { value: string }, 'value', { get: read });
  return late({ ...rest, unread: { decree: late({ ...request, length }), accepted } });
}

describe('core, acceptor (spec.md, "Acceptors")', () => {
  describe('on Prepare', () => {
    it('promises a round above its promise, for the whole log, and writes it down before it says so', () => {
      const one = acceptor();
      one.fast_disk = false;
      one.message(2, prepare(7, 2));
      expect(one.records).to.deep.equal([{ verdict: 'promised', round: 2, owner: 2, entry: 7 }]);
      const [send] = one.of('send');
      expect(send).to.include({ to: 2, after: 1, alone: true });
      expect(send!.message).to.include({
        type: MessageType.Promise,
        entry: 7,
        round: 2,
        length: 0,
        committed: 0,
      });
      expect(promises(one)[0]!.roundvalue).to.deep.equal(NOTHING);
    });

    it('answers a duplicate again, and only once that promise is durable', () => {
      const one = acceptor();
      one.fast_disk = false;
      one.message(2, prepare(0, 2)).message(2, prepare(0, 2));
      expect(one.records).to.have.length(1);
      expect(one.of('send')[0]).to.include({ after: 1 });
    });

    it('promises a round to one proposer only, whoever asks first (faults 43)', () => {
      const one = acceptor().message(2, prepare(0, 2)).timer('leader');
      one.message(0, prepare(0, 2));
      expect(promises(one)).to.be.empty;
      expect(nacks(one)).to.have.length(1);
      expect(nacks(one)[0]).to.include({ round: 2, promised: 2 });
      expect(one.state.acceptor.promised).to.deep.equal({ round: 2, owner: 2 });
    });

    it('refuses a round below its promise, at every entry', () => {
      const one = acceptor().message(2, prepare(0, 5)).timer('leader');
      for (const e of [0, 1, 1000]) {
        one.message(0, prepare(e, 3));
        expect(nacks(one)[0]).to.include({ entry: e, round: 3, promised: 5 });
      }
    });

    it('refuses on account of a live leader and names it, without touching its promise', () => {
      const one = acceptor().message(0, heartbeat(0, 0));
      one.message(2, prepare(0, 5));
      const { address, port } = addresses(3)[0]!;
      expect(nacks(one)[0]).to.include({ round: 5, promised: 0, leaderaddress: address, leaderport: port });
      expect(one.records).to.be.empty;
      one.timer('leader').message(2, prepare(0, 5));
      expect(promises(one), 'the leader is forgotten').to.have.length(1);
    });

    it('never refuses its live leader itself', () => {
      const one = acceptor().message(0, heartbeat(0, 0)).message(0, prepare(0, 3));
      expect(promises(one)).to.have.length(1);
    });

    it('reports every entry up to its length, holes included, the asked one alone and first', () => {
      const one = acceptor();
      one
        .message(0, acceptRequest(1, 0, x))
        .message(0, acceptRequest(3, 0, y))
        .timer('leader');
      one.message(2, prepare(0, 2));
      const reported = one.of('send').map(({ message, alone }) => [(message as never)['entry'], alone]);
      expect(reported).to.deep.equal([
        [0, true],
        [1, false],
        [2, false],
        [3, false],
      ]);
      expect(promises(one).map(({ roundvalue }) => roundvalue)).to.deep.equal([
        NOTHING,
        accepted_at(0, x),
        NOTHING,
        accepted_at(0, y),
      ]);
      for (const { length } of promises(one)) expect(length).to.equal(4);
    });

    it('answers for an entry beyond its log, however far, without keeping anything for it (faults 49)', () => {
      const one = acceptor().message(2, prepare(10 ** 15, 2));
      expect(promises(one)).to.have.length(1);
      expect(promises(one)[0]).to.include({ entry: 10 ** 15, length: 0 });
      expect(one.state.acceptor.accepted.size).to.equal(0);
    });

    it('reports at most 64 KiB, and the rest when asked from there on', () => {
      const one = acceptor();
      const large = decree('v'.repeat(MAX_PROMISE_BYTES / 4));
      for (let e = 0; e < 12; e++) one.message(0, acceptRequest(e, 0, large));
      one.timer('leader').message(2, prepare(0, 2));
      const first = promises(one).length;
      expect(first).to.be.within(2, 6);
      one.message(2, prepare(first, 2));
      expect(promises(one)[0]).to.include({ entry: first });
    });

    it('reports what it knows chosen and did not accept just below the round that asks', () => {
      const one = acceptor();
      one
        .message(0, acceptRequest(0, 0, y))
        .message(2, heartbeat(2, 2, 2))
        .timer('catch-up');
      one.fetched(2, 0, x).fetched(2, 1, NO_OP).timer('leader');
      expect(one.committed).to.equal(2);
      one.message(0, prepare(0, 9));
      expect(promises(one)[0]!.roundvalue).to.deep.equal(accepted_at(8, x));
      expect(promises(one)[0]).to.include({ committed: 2 });
      one.message(0, prepare(1, 9));
      expect(promises(one)[0]!.roundvalue).to.deep.equal(accepted_at(8, NO_OP));
    });

    it('refuses what it could only report below round 0', () => {
      const one = acceptor()
        .message(2, heartbeat(2, 2, 1))
        .timer('catch-up')
        .fetched(2, 0, x)
        .timer('leader');
      one.message(0, prepare(0, 0));
      expect(promises(one)).to.be.empty;
      expect(nacks(one)[0]).to.include({ round: 0, promised: 0 });
      expect(one.state.acceptor.promised.round).to.equal(-1);
    });

    it('never says that a round below none was promised', () => {
      const one = acceptor().message(0, heartbeat(0, 0)).message(2, prepare(0, 5));
      expect(nacks(one)[0]!.promised).to.equal(0);
    });

    it('writes its commit index down before it reports it', () => {
      const one = acceptor();
      one.message(0, acceptRequest(0, 0, x)).message(0, heartbeat(0, 0, 1));
      expect(one.committed).to.equal(1);
      one.fast_disk = false;
      one.timer('leader').message(2, prepare(0, 2));
      expect(one.records.slice(-2)).to.deep.equal([
        { verdict: 'committed', committed: 1 },
        { verdict: 'promised', round: 2, owner: 2, entry: 0 },
      ]);
      expect(one.of('send')[0]).to.include({ after: one.state.journal.appended });
      one.message(0, acceptRequest(1, 2, x));
      expect(nacks(one)).to.have.length(1);
    });

    it('while it stands itself, does not promise below its own round (so that duels end)', () => {
      const one = acceptor().stand();
      const { round } = one.state.proposer.candidate!;
      one.message(0, prepare(0, 0));
      expect(one.of('send')).to.be.empty;
      one.message(2, prepare(0, 2));
      expect(round).to.equal(1);
      expect(promises(one)).to.have.length(1);
      expect(one.state.proposer.candidate).to.equal(undefined);
    });
  });

  describe('on AcceptRequest', () => {
    it('accepts, and raises its promise in the same record (trace 3)', () => {
      const one = acceptor();
      one.fast_disk = false;
      one.message(2, acceptRequest(0, 5, x));
      expect(one.records).to.deep.equal([{ verdict: 'accepted', entry: 0, round: 5, owner: 2, decree: x }]);
      expect(one.state.acceptor.promised).to.deep.equal({ round: 5, owner: 2 });
      expect(one.of('send')[0]).to.include({ to: 2, after: 1 });
      expect(accepts(one)[0]).to.include({ entry: 0, round: 5, value: 'x' });
    });

    it('accepts above its promise also from one who was not leader', () => {
      const one = acceptor()
        .message(0, heartbeat(0, 0))
        .message(2, acceptRequest(0, 5, x));
      expect(accepts(one)).to.have.length(1);
    });

    it('refuses below its promise, and at its promise from anybody but the owner (faults 44)', () => {
      const one = acceptor().message(2, prepare(0, 5));
      for (const r of [0, 4, 5]) {
        one.message(0, acceptRequest(0, r, x));
        expect(accepts(one)).to.be.empty;
        expect(nacks(one)[0]).to.include({ round: r, promised: 5 });
      }
      expect(one.state.acceptor.accepted.size).to.equal(0);
    });

    it('answers a duplicate again without writing, and only once the first is durable (trace 11)', () => {
      const one = acceptor();
      one.fast_disk = false;
      one.message(0, acceptRequest(0, 0, x)).message(0, acceptRequest(0, 0, x));
      expect(one.records).to.have.length(1);
      expect(one.of('send')[0]).to.include({ after: 1 });
    });

    it('answers a duplicate alone in its datagram, as what it went with may be why the first was lost', () => {
      const one = acceptor();
      for (const alone of [false, true]) {
        one.message(0, acceptRequest(0, 0, x));
        expect(one.of('send')).to.have.length(1);
        expect(one.of('send')[0]).to.include({ alone });
      }
    });

    it('raises the alarm at a second value in one round, and keeps the first (faults 43)', () => {
      const one = acceptor()
        .message(0, acceptRequest(0, 0, x))
        .message(0, acceptRequest(0, 0, y));
      expect(one.notes).to.include('two-values-at-one-round');
      expect(nacks(one)[0]!.roundvalue).to.deep.equal(accepted_at(0, x));
      expect(one.state.acceptor.accepted.get(entry(0))!.decree).to.deep.equal(x);
    });

    it('takes the same value of another request, or with another noset, for a second value', () => {
      for (const other of [
        { ...x, id: 9 as never },
        { ...x, no: 9 as never },
        { ...x, noset: true },
      ]) {
        const one = acceptor()
          .message(0, acceptRequest(0, 0, x))
          .message(0, acceptRequest(0, 0, other));
        expect(one.notes).to.include('two-values-at-one-round');
      }
    });

    it('overwrites what it accepted in a lower round', () => {
      const one = acceptor()
        .message(0, acceptRequest(0, 0, x))
        .message(2, acceptRequest(0, 2, y));
      expect(one.state.acceptor.accepted.get(entry(0))).to.deep.include({ round: 2, decree: y });
    });

    it('keeps a window above its own and the sender’s commit index, and nothing beyond (faults 49)', () => {
      const one = acceptor().message(0, acceptRequest(ACCEPT_WINDOW_ENTRIES, 0, x));
      expect(one.notes).to.include('beyond-window');
      expect(one.state.acceptor.promised.round, 'nothing changes').to.equal(-1);
      one.message(0, acceptRequest(ACCEPT_WINDOW_ENTRIES - 1, 0, x));
      expect(accepts(one)).to.have.length(1);
      one.message(0, acceptRequest(ACCEPT_WINDOW_ENTRIES, 0, x, 1));
      expect(accepts(one), 'a laggard does not refuse its leader').to.have.length(1);
      expect(one.state.acceptor.accepted.size).to.equal(2);
    });

    it('holds no more than so many entries, and so much, of what is proposed while it catches up', () => {
      const ahead = ACCEPT_WINDOW_ENTRIES + 10;
      const fills: ((one: OneAgent) => void)[] = [
        ({ state }) => (state.acceptor.held_length = MAX_HELD_LENGTH),
        ({ state: { acceptor } }) => {
          for (let i = acceptor.accepted.size; i < MAX_HELD_ENTRIES; i++)
            acceptor.accepted.set(entry(2 * ahead + i), acceptor.accepted.get(entry(ahead))!);
        },
      ];
      for (const fill of fills) {
        const one = acceptor().message(0, acceptRequest(ahead, 0, x, ahead));
        expect(accepts(one), 'while there is room').to.have.length(1);
        fill(one);
        const records = one.records.length;
        one.message(0, acceptRequest(ahead + 1, 0, y, ahead));
        expect(one.notes).to.include('too-far-behind');
        expect(accepts(one)).to.be.empty;
        expect(one.records).to.have.length(records);
        one.message(0, acceptRequest(ahead, 0, x, ahead));
        expect(accepts(one), 'sent again').to.have.length(1);
        one.message(0, acceptRequest(ahead, 3, y, ahead));
        expect(accepts(one), 'in the place of another').to.have.length(1);
        one.message(0, acceptRequest(ACCEPT_WINDOW_ENTRIES, 3, y, ahead));
        expect(accepts(one), 'just beyond its own window').to.be.empty;
        one.message(0, acceptRequest(ACCEPT_WINDOW_ENTRIES - 1, 3, y, ahead));
        expect(accepts(one), 'within its own window').to.have.length(1);
      }
    });

    it('votes for the living leader again as soon as it has caught up, however much it holds', () => {
      const ahead = ACCEPT_WINDOW_ENTRIES + 10;
      const one = acceptor();
      one.state.acceptor.held_length = MAX_HELD_LENGTH;
      one.message(0, acceptRequest(ahead, 0, y, ahead));
      expect(one.notes).to.include('too-far-behind');
      one.timer('catch-up');
      expect(one.of('fetch')).to.deep.equal([{ type: 'fetch', peer: 0, first: 0 }]);
      const decrees = Array.from({ length: ahead }, () => x);
      one.fetched(0, 0, ...decrees);
      expect(one.state.learner.committed).to.equal(ahead);
      one.message(0, acceptRequest(ahead, 0, y, ahead));
      expect(accepts(one)).to.have.length(1);
    });

    it('knows the length of what it holds', () => {
      const one = acceptor();
      const held = (): number =>
        one.state.acceptor.accepted.values().reduce((sum, { decree: { value } }) => sum + value.length, 0);
      one.message(0, acceptRequest(0, 0, decree('first'))).message(0, acceptRequest(1, 0, decree('second')));
      expect(one.state.acceptor.held_length).to.equal(held()).and.equal(11);
      one.message(2, acceptRequest(0, 2, decree('first'))).message(2, acceptRequest(1, 2, decree('another')));
      expect(one.state.acceptor.held_length).to.equal(held()).and.equal(12);
      for (let at = 2; at < RETAINED_ENTRIES + 100; at++)
        one.message(2, acceptRequest(at, 2, decree('x'), at));
      one.message(2, heartbeat(2, 2, RETAINED_ENTRIES + 100));
      expect(one.state.learner.committed).to.equal(RETAINED_ENTRIES + 100);
      expect(one.state.acceptor.held_length)
        .to.equal(held())
        .and.be.within(1, RETAINED_ENTRIES + 12);
    });

    it('votes without reading a value that was not read yet, and reads it for whoever compares it', () => {
      let reads = 0;
      const unread = (value: string, { e = 0, r = 0, length = value.length } = {}): AcceptRequest =>
        unreadRequest(acceptRequest(e, r, decree(value)), length, () => reads++);
      const one = acceptor()
        .message(0, unread('x'))
        .message(0, unread('y', { e: 1 }));
      one.message(0, heartbeat(0, 0, 2));
      expect(one.state.learner.committed).to.equal(2);
      expect(reads).to.equal(0);
      expect(accepts(one)).to.be.empty;
      one.message(0, unread('z', { e: 2 }));
      expect(accepts(one)).to.have.length(1);
      expect(accepts(one)[0]).to.include({ entry: 2, value: 'not read' });
      expect(reads).to.equal(0);

      one.message(0, unread('another', { e: 2 }));
      expect(nacks(one), 'another value at the round').to.have.length(1);
      one.timer('leader').message(2, prepare(2, 5));
      expect(promises(one)[0]!.roundvalue.value).to.equal('z');
      expect(reads).to.be.above(0);
      one.message(2, unread('x'.repeat(MAX_VALUE_COST + 1), { e: 3, r: 5 }));
      expect(one.notes).to.include('value-too-large');
      expect(accepts(one)).to.be.empty;
      one.message(2, unread('x', { e: 3, r: 5, length: MAX_VALUE_COST }));
      expect(accepts(one), 'long only as JSON').to.have.length(1);
    });

    it('takes no value that it could not report', () => {
      const one = acceptor().message(0, acceptRequest(0, 0, decree('x'.repeat(MAX_VALUE_COST + 1))));
      expect(one.notes).to.include('value-too-large');
      expect(one.records).to.be.empty;
    });

    it('accepts what it knows chosen once more, at a higher round; anything else there it does not', () => {
      const one = acceptor()
        .message(0, acceptRequest(0, 0, x))
        .message(0, heartbeat(0, 0, 1));
      one.message(2, acceptRequest(0, 2, x));
      expect(accepts(one)).to.have.length(1);
      one.message(0, acceptRequest(0, 3, y));
      expect(accepts(one)).to.be.empty;
      expect(one.notes).to.include('chosen-otherwise');
    });

    it('drops rounds that lie too far ahead, of any message (faults 48)', () => {
      const one = acceptor()
        .message(0, acceptRequest(0, 2 ** 30, x))
        .message(0, prepare(0, 2 ** 30));
      expect(one.notes).to.deep.equal(['implausible-round']);
      expect(one.state.seen).to.equal(-1);
    });
  });

  describe('with entries that have left memory', () => {
    function withHistory(): OneAgent {
      const one = acceptor();
      for (let e = 0; e <= RETAINED_ENTRIES; e++) {
        one.message(0, acceptRequest(e, 0, decree(`v${e}`, 1, e), e));
      }
      return one.message(0, heartbeat(0, 0, RETAINED_ENTRIES + 1)).timer('leader');
    }

    it('looks into the journal before it reports them', () => {
      const one = withHistory();
      expect(one.state.learner.retained).to.equal(1);
      one.message(2, prepare(0, 2));
      const [load] = one.of('load');
      expect(load).to.include({ entry: 0 });
      expect(one.records.at(-1)).to.include({ verdict: 'accepted' });
      const stored = { entry: entry(0), round: 0 as never, decree: decree('v0', 1, 0) };
      one.step({ type: 'loaded', stored, retry: load!.retry });
      expect(promises(one)[0]!.roundvalue).to.deep.equal(accepted_at(0, decree('v0', 1, 0)));
      expect(one.state.loaded).to.equal(undefined);
    });

    it('reports one that it learnt just below the round that asks', () => {
      const one = withHistory().message(2, prepare(0, 8));
      const stored = { entry: entry(0), round: -1 as never, decree: decree('v0', 1, 0) };
      one.step({ type: 'loaded', stored, retry: one.of('load')[0]!.retry });
      expect(promises(one)[0]!.roundvalue).to.deep.equal(accepted_at(7, decree('v0', 1, 0)));
    });

    it('accepts one again at a higher round, without keeping it in memory', () => {
      const one = withHistory().message(2, acceptRequest(0, 2, decree('v0', 1, 0)));
      const stored = { entry: entry(0), round: 0 as never, decree: decree('v0', 1, 0) };
      one.step({ type: 'loaded', stored, retry: one.of('load')[0]!.retry });
      expect(one.records.at(-1)).to.include({ verdict: 'accepted', entry: 0, round: 2 });
      expect(accepts(one)).to.have.length(1);
      expect(one.state.acceptor.accepted.has(entry(0))).to.equal(false);
    });
  });
});
