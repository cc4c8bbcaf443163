import { expect } from 'chai';

import { NO_REQUEST } from '../../src/core/decree.js';
import { ERROR_CODES, errorText, type ErrorCode } from '../../src/core/errors.js';
import { clientId, entry } from '../../src/core/ids.js';
import {
  MAX_ENTRIES_IN_FLIGHT,
  MAX_REQUESTS_PER_CLIENT,
  MAX_REQUESTS_QUEUED,
  MAX_SESSIONS,
  MAX_VALUE_COST,
  RETAINED_ENTRIES,
} from '../../src/core/limits.js';
import { CLIENT_IDS_PER_ROUND } from '../../src/core/message.js';
import { TICKS_PER_TIMEOUT } from '../../src/core/connections.js';
import { ask, connection, decree, heartbeat, hello, nack, query } from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

/** Whether nothing about clients is kept any more. */
function expectNoTrace(one: OneAgent): void {
  const { connections, bound, proposed, queue, patient, answers } = one.state.clients;
  expect(connections.size, 'connections').to.equal(0);
  expect(bound.size, 'bound').to.equal(0);
  expect(patient.size, 'patient').to.equal(0);
  expect(proposed.size, 'proposed').to.equal(0);
  expect(queue.length, 'queue').to.equal(0);
  expect(answers.waiters.size, 'waiters').to.equal(0);
}

function closed(one: OneAgent, n: number): OneAgent {
  return one.step({ type: 'client-closed', connection: connection(n) });
}

function ended(one: OneAgent, n: number): OneAgent {
  return one.step({ type: 'client-ended', connection: connection(n) });
}

/** A leader that holds one request more than it keeps in memory, so that entry 0 has to be read back. */
function leaderWithHistory(): OneAgent {
  const one = new OneAgent().lead();
  for (let no = 1; no <= RETAINED_ENTRIES + 1; no++) one.log(`v${no}`, no, 1 + (no >> 7));
  return one;
}

describe('core, clients (spec.md, "Clients")', () => {
  describe('connecting', () => {
    it('gives a leader’s client an id of the round and the first number 1', () => {
      const one = new OneAgent(1).lead();
      expect(one.client(1, hello()).told()).to.deep.equal([`connected ${1 * CLIENT_IDS_PER_ROUND + 1}`]);
      expect(one.client(2, hello()).told(2)).to.deep.equal([`connected ${1 * CLIENT_IDS_PER_ROUND + 2}`]);
      expect(one.client(2, hello()).replies(2)[0]).to.have.nested.property('request.no', 1);
    });

    it('sends the clients of a follower to the leader, and whatever they ask afterwards too', () => {
      const one = new OneAgent(0).message(2, heartbeat(2, 2));
      expect(one.client(1, hello()).told()).to.deep.equal(['redirected to 7003']);
      expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['redirected to 7003']);
    });

    it('goes on redirecting a redirected connection when this node itself has come to lead', () => {
      const one = new OneAgent(0).message(2, heartbeat(2, 2));
      one.client(1, hello());
      one.lead();
      expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['redirected to 7001']);
      expect(one.client(1, hello()).told()[0]).to.match(/^connected/);
    });

    it('lets client and request wait for an election, in their order', () => {
      const one = new OneAgent(0);
      expect(one.client(1, hello()).told()).to.be.empty;
      expect(one.client(1, ask(1, 'x')).told()).to.be.empty;
      one.lead();
      expect(one.told()[0]).to.equal('connected 1');
      expect(one.accept(0, 'x', 1, 1).told()).to.deep.equal(['1: x at 0']);
    });

    it('sends those who wait to the leader that shows itself', () => {
      const one = new OneAgent(0).client(1, hello()).client(1, ask(1, 'x'));
      one.message(2, heartbeat(2, 2));
      expect(one.told()).to.deep.equal(['redirected to 7003', 'redirected to 7003']);
    });

    it('tells those who wait in vain that there is no leader', () => {
      const one = new OneAgent(0).client(1, hello()).client(1, ask(7, 'x'));
      for (let tick = 0; tick < TICKS_PER_TIMEOUT; tick++) expect(one.timer('requests').told()).to.be.empty;
      expect(one.timer('requests').told()).to.deep.equal(['0: no-leader', '7: no-leader']);
      expect(one.timer('requests').of('set-timer')).to.be.empty;
      expect(one.state.clients.ticking).to.equal(false);
      closed(one, 1);
      expectNoTrace(one);
    });

    it('does not let one connection fill the memory while there is no leader', () => {
      const one = new OneAgent(0).client(1, hello());
      for (let no = 1; no < MAX_REQUESTS_PER_CLIENT; no++) one.client(1, ask(no, 'x'));
      expect(one.client(1, ask(200, 'x')).told()).to.deep.equal(['200: too-many-requests']);
      expect(one.client(1, hello()).told()).to.deep.equal(['0: too-many-requests']);
    });

    it('refuses a request before the hello', () => {
      const one = new OneAgent(0).lead();
      expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: not-connected']);
    });

    it('stands again when the ids of its round are spent, and gives none twice', () => {
      const one = new OneAgent(0).lead();
      one.state.proposer.reign!.issued = CLIENT_IDS_PER_ROUND - 2;
      expect(one.client(1, hello()).told()).to.deep.equal([`connected ${CLIENT_IDS_PER_ROUND - 1}`]);
      expect(one.of('abdicate')).to.have.length(1);
      expect(one.state.proposer.candidate?.round).to.equal(3);
    });

    it('gives no id beyond its round’s, however many wait for the election', () => {
      const one = new OneAgent(0);
      for (let n = 1; n <= 600; n++) {
        for (let i = 0; i < MAX_REQUESTS_PER_CLIENT; i++) one.client(n, hello());
      }
      one.lead();
      const ids = one.of('reply').map(({ message }) => ('request' in message ? message.request.id : 0));
      expect(new Set(ids).size).to.equal(ids.length);
      expect(Math.max(...ids)).to.be.below(CLIENT_IDS_PER_ROUND);
      expect(ids.length).to.equal(CLIENT_IDS_PER_ROUND - 1);
    });
  });

  describe('resuming a session', () => {
    it('goes on with an id of an earlier round, and of its own', () => {
      const one = new OneAgent(2).lead();
      expect(one.client(1, hello(1)).told()).to.deep.equal(['connected 1']);
      const [own] = one.client(2, hello()).told(2);
      const id = Number(own!.split(' ')[1]);
      closed(one, 2);
      expect(one.client(3, hello(id)).told(3)).to.deep.equal([own]);
    });

    it('refuses ids that nobody has issued', () => {
      const one = new OneAgent(1).lead();
      for (const id of [
        CLIENT_IDS_PER_ROUND,
        CLIENT_IDS_PER_ROUND + 1,
        2 * CLIENT_IDS_PER_ROUND + 1,
        2 ** 52,
      ]) {
        expect(one.client(1, hello(id)).told(), String(id)).to.deep.equal(['0: no-such-session']);
      }
    });

    it('tells the owner of a forgotten session to begin anew', () => {
      const one = new OneAgent(1).lead();
      one.state.learner.sessions.floor = 7;
      expect(one.client(1, hello(7)).told()).to.deep.equal(['0: session-expired']);
      expect(one.client(1, hello(8)).told()).to.deep.equal(['connected 8']);
    });

    it('takes a session over: the older connection is told so and closed', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      one.client(2, hello(1));
      expect(one.told(2)).to.deep.equal(['connected 1']);
      expect(one.told(1)).to.deep.equal(['0: session-taken-over']);
      expect(one.of('close')).to.deep.equal([{ type: 'close', connection: connection(1) }]);
      closed(one, 1);
      expect(one.state.clients.bound.get(clientId(1))).to.equal(connection(2));
      closed(one, 2);
      expectNoTrace(one);
    });

    it('answers the new connection for what the old one had asked', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      one.client(2, hello(1)).client(2, ask(1, 'x'));
      expect(one.of('persist')).to.be.empty;
      expect(one.accept(0, 'x', 1, 1).told(2)).to.deep.equal(['1: x at 0']);
      expect(one.told(1)).to.be.empty;
    });
  });

  describe('requests', () => {
    it('are answered with their value and entry when there is no application', () => {
      const one = new OneAgent(0).lead().log('x', 1);
      expect(one.told()).to.deep.equal(['1: x at 0']);
      expect(one.log('', 2).told()).to.deep.equal(['2:  at 1']);
    });

    it('of a foreign id are refused; of the own id or none they are taken', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      expect(one.client(1, ask(1, 'x', 2)).told()).to.deep.equal(['1: foreign-id']);
      expect(one.client(1, ask(1, 'x', 1)).told()).to.be.empty;
      expect(one.client(1, ask(2, 'y')).told()).to.be.empty;
      expect(
        [...one.state.proposer.reign!.in_flight.values()].map(({ decree: { id, no } }) => [id, no]),
      ).to.deep.equal([
        [1, 1],
        [1, 2],
      ]);
    });

    it('of which an agent could not report the value are refused', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      expect(one.client(1, ask(1, 'x'.repeat(MAX_VALUE_COST + 1))).told()).to.deep.equal([
        '1: value-too-large',
      ]);
      expect(one.client(1, ask(2, 'x'.repeat(MAX_VALUE_COST))).told()).to.be.empty;
      expect(one.client(1, ask(3, '\n'.repeat(MAX_VALUE_COST / 6 + 1))).told()).to.deep.equal([
        '3: value-too-large',
      ]);
    });

    it('asked twice while in flight are proposed once and answered twice (faults 56)', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      expect(one.client(1, ask(1, 'x')).of('persist')).to.be.empty;
      expect(one.accept(0, 'x', 1, 1).told()).to.deep.equal(['1: x at 0', '1: x at 0']);
      expect(one.committed).to.equal(1);
    });

    it('asked again after they were executed get the first answer, whatever the value says now (faults 58)', () => {
      const one = new OneAgent(0).lead().log('x', 1).log('y', 2);
      expect(one.client(1, ask(1, 'other')).told()).to.deep.equal(['1: x at 0']);
      expect(one.of('persist')).to.be.empty;
    });

    it('may have gaps and descend', () => {
      const one = new OneAgent(0).lead().log('x', 1000).log('y', 3).log('z', 500);
      expect(one.told()).to.deep.equal(['500: z at 2']);
    });

    it('that lie too far back are not executed again', () => {
      const one = new OneAgent(0).lead();
      for (let no = 1; no <= 300; no++) one.log('x', no);
      expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: session-expired']);
      expect(one.client(1, ask(299, 'x')).told()).to.deep.equal(['299: x at 298']);
    });

    it('are bounded per connection', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      for (let no = 1; no <= MAX_REQUESTS_PER_CLIENT; no++)
        expect(one.client(1, ask(no, 'x')).told()).to.be.empty;
      expect(one.client(1, ask(129, 'x')).told()).to.deep.equal(['129: too-many-requests']);
    });

    it('asked again without end while in flight are bounded too, and nothing untrue is said of them', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      for (let i = 0; i < MAX_REQUESTS_PER_CLIENT; i++) expect(one.client(1, ask(1, 'x')).told()).to.be.empty;
      for (let i = 0; i < 10; i++) expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: timeout']);
      expect(one.state.clients.answers.waiters.get(entry(0))).to.have.length(MAX_REQUESTS_PER_CLIENT);
      expect(ERROR_CODES.timeout).to.equal('unknown');
    });

    it('wait for a place in flight, and are refused where too many wait', () => {
      const one = new OneAgent(0).lead();
      let n = 0;
      const fill = (count: number): void => {
        for (let i = 0; i < count; i++) {
          if (i % MAX_REQUESTS_PER_CLIENT === 0) one.client(++n, hello());
          one.client(n, ask(i, `v${i}`));
        }
      };
      fill(MAX_ENTRIES_IN_FLIGHT);
      expect(one.state.clients.queue).to.be.empty;
      fill(MAX_REQUESTS_QUEUED);
      expect(one.state.clients.queue).to.have.length(MAX_REQUESTS_QUEUED);
      one.client(999, hello());
      expect(one.client(999, ask(1, 'x')).told(999)).to.deep.equal(['1: overloaded']);

      one.accept(0, 'v0', 1, 0);
      expect(one.state.clients.queue).to.have.length(MAX_REQUESTS_QUEUED - 1);
      expect(one.state.proposer.reign!.in_flight.size).to.equal(MAX_ENTRIES_IN_FLIGHT);
    });

    it('without an answer get a time-out, which leaves their end open', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      for (let tick = 0; tick < TICKS_PER_TIMEOUT; tick++) one.timer('requests');
      expect(one.timer('requests').told()).to.deep.equal(['1: timeout']);
      one.client(1, ask(1, 'x'));
      expect(one.accept(0, 'x', 1, 1).told(), 'asked again (faults 60)').to.deep.equal(['1: x at 0']);
    });

    it('in flight at the end of a reign get an open end, those never proposed a definite one', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      one.message(1, nack(0, 4));
      expect(one.told()).to.deep.equal(['1: leadership-lost']);
      expect(one.state.clients.proposed.size + one.state.clients.bound.size).to.equal(0);
    });
  });

  describe('a request whose twin is under way', () => {
    /** A leader with no place in flight, and a client with `twins` copies of one request in the queue. */
    function crowded(twins: number): OneAgent {
      const one = new OneAgent(0).lead();
      for (let i = 0; i < MAX_ENTRIES_IN_FLIGHT; i++) {
        const n = 100 + Math.floor(i / MAX_REQUESTS_PER_CLIENT);
        if (i % MAX_REQUESTS_PER_CLIENT === 0) one.client(n, hello());
        one.client(n, ask(i, `v${i}`));
      }
      one.client(1, hello());
      for (let i = 0; i < twins; i++) one.client(1, ask(1, 'x'));
      return one;
    }

    it('is not said to be refused for good when there are too many of it', () => {
      const one = crowded(MAX_REQUESTS_PER_CLIENT);
      expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: timeout']);
      expect(one.client(1, ask(2, 'y')).told()).to.deep.equal(['2: too-many-requests']);
    });

    it('is not said to be lost for good when the reign ends between the two', () => {
      const one = crowded(2);
      one.accept(0, 'v0', 1, 0);
      expect(one.state.clients.queue, 'the second still waits').to.have.length(1);
      one.message(1, nack(0, 4));
      expect(one.told()).to.deep.equal(['1: leadership-lost', '1: leadership-lost']);
    });

    it('is not said to have found no place when the other found one', () => {
      const one = crowded(2);
      one.accept(0, 'v0', 1, 0);
      for (let tick = 0; tick <= TICKS_PER_TIMEOUT; tick++) one.timer('requests');
      expect(one.told()).to.deep.equal(['1: timeout', '1: timeout']);
    });
  });

  describe('queries', () => {
    it('are answered by any node, of what is chosen only', () => {
      const one = new OneAgent(0);
      expect(one.client(1, query(0)).told()).to.deep.equal(['0: not-known-chosen']);
      one.lead().log('x', 1, 2);
      expect(one.client(1, query(0)).told()).to.deep.equal(['0: x at 0']);
      one.client(2, ask(2, 'accepted only'));
      expect(one.client(1, query(1)).told()).to.deep.equal(['0: not-known-chosen']);
    });

    it('of old entries are answered from the journal', () => {
      const one = leaderWithHistory();
      one.client(1, query(0));
      const [load] = one.of('load');
      expect(load?.entry).to.equal(0);
      const stored = { entry: entry(0), round: 0 as never, decree: decree('v1', 1, 1) };
      one.step({ type: 'loaded', stored, retry: load!.retry });
      expect(one.told()).to.deep.equal(['0: v1 at 0']);
      expect(one.state.clients.connections.get(connection(1))!.outstanding).to.equal(0);
    });

    it('of old entries are answered before a half-closed connection ends', () => {
      const one = leaderWithHistory();
      one.client(1, query(0));
      const { retry } = one.of('load')[0]!;
      expect(ended(one, 1).of('close')).to.be.empty;
      one.step({
        type: 'loaded',
        stored: { entry: entry(0), round: 0 as never, decree: decree('v1', 1, 1) },
        retry,
      });
      expect(one.effects.map(({ type }) => type)).to.deep.equal(['reply', 'close']);
    });

    it('of a connection that has closed meanwhile leave nothing behind', () => {
      const one = leaderWithHistory();
      one.client(900, query(0));
      const { retry } = one.of('load')[0]!;
      closed(one, 900);
      one.step({
        type: 'loaded',
        stored: { entry: entry(0), round: 0 as never, decree: decree('v1', 1, 1) },
        retry,
      });
      expect(one.of('reply')).to.be.empty;
      expect(one.state.clients.connections.has(connection(900))).to.equal(false);
    });

    it('that wait for the journal are bounded per connection', () => {
      const one = leaderWithHistory();
      for (let i = 0; i < MAX_REQUESTS_PER_CLIENT; i++) {
        expect(one.client(900, query(0)).of('load')).to.have.length(1);
      }
      expect(one.client(900, query(0)).told(900)).to.deep.equal(['0: too-many-requests']);
    });
  });

  describe('half-closed connections', () => {
    it('are answered to the end, then closed', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x')).client(1, ask(2, 'y'));
      expect(ended(one, 1).of('close')).to.be.empty;
      expect(one.accept(0, 'x', 1, 1).of('close')).to.be.empty;
      one.accept(1, 'y', 1, 2);
      expect(one.told()).to.deep.equal(['2: y at 1']);
      expect(one.of('close')).to.have.length(1);
    });

    it('are closed at once when nothing is open', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      expect(ended(one, 1).of('close')).to.have.length(1);
    });

    it('wait for an election with everything they sent', () => {
      const one = new OneAgent(0).client(1, hello()).client(1, hello()).client(1, ask(1, 'x'));
      expect(ended(one, 1).of('close')).to.be.empty;
      one.lead();
      const types = one.effects
        .filter(({ type }) => type === 'reply' || type === 'close')
        .map(({ type }) => type);
      expect(types).to.deep.equal(['reply', 'reply']);
      one.accept(0, 'x', 2, 1);
      expect(one.told()).to.deep.equal(['1: x at 0']);
      expect(one.of('close')).to.have.length(1);
    });

    it('that only said hello before the election get all their answers before the close', () => {
      const one = new OneAgent(0).client(1, hello()).client(1, hello());
      ended(one, 1);
      one.lead();
      const types = one.effects
        .filter(({ type }) => type === 'reply' || type === 'close')
        .map(({ type }) => type);
      expect(types).to.deep.equal(['reply', 'reply', 'close']);
    });
  });

  describe('what is kept', () => {
    it('is nothing, once all connections are closed and everything is answered', () => {
      const one = new OneAgent(0).lead();
      for (let n = 1; n <= 20; n++) one.log(`v${n}`, 1, n);
      for (let n = 1; n <= 20; n++) closed(one, n);
      expectNoTrace(one);
    });

    it('is nothing of a client that left in the middle, once its request is chosen', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x'));
      closed(one, 1);
      one.accept(0, 'x', 1, 1);
      expectNoTrace(one);
    });

    it('is nothing after the reign, once connections close', () => {
      const one = new OneAgent(0).lead().client(1, hello()).client(1, ask(1, 'x')).client(2, hello());
      one.message(2, heartbeat(2, 2));
      closed(closed(one, 1), 2);
      expectNoTrace(one);
    });

    it('is the table of sessions within its bound', () => {
      const { sessions } = leaderWithHistory().state.learner;
      expect(sessions.sessions.size).to.be.at.most(MAX_SESSIONS);
    });
  });

  describe('errors (spec.md, "Errors")', () => {
    it('are code, colon, text', () => {
      expect(errorText('timeout', 'why')).to.equal('timeout: why');
    });

    it('name a certainty each', () => {
      for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
        expect(['definite', 'unknown', 'executed']).to.include(ERROR_CODES[code]);
      }
    });

    it('carry the request they are about', () => {
      const one = new OneAgent(0).lead().client(1, hello());
      const [error] = one.client(1, ask(9, 'x', 77)).replies();
      expect(error)
        .to.have.property('request')
        .that.deep.equals({ ...NO_REQUEST, id: 77, no: 9 });
    });
  });

  it('knows a connection by its first word only', () => {
    const one = new OneAgent(0);
    closed(one, 5);
    expectNoTrace(one);
  });
});
