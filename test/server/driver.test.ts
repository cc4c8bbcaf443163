import { expect } from 'chai';
import { newAgent } from '../../src/core/agent.js';
import { position } from '../../src/core/ids.js';
import type { PeerMessage } from '../../src/core/message.js';
import type { Journal } from '../../src/journal/journal.js';
import type { AgentSocket } from '../../src/net/agent-socket.js';
import { MAX_EVENTS_AT_ONCE } from '../../src/server/bounds.js';
import { Clock } from '../../src/server/clock.js';
import { Driver } from '../../src/server/driver.js';
import { acceptRequest, agent, config, decree, heartbeat, prepare } from '../support/make.js';

/** A driver on a disk that hangs: what is appended waits, and is as many bytes as the test says. */
function stalled(): {
  driver: Driver;
  state: ReturnType<typeof newAgent>;
  journal: { waiting_bytes: number; readonly appended: number };
  sent: PeerMessage[];
  notes: string[];
  readonly durable: () => void;
} {
  const state = newAgent(config(0));
  const journal = {
    appended: position(0),
    durable: position(0),
    waiting_bytes: 0,
    append: () => (journal.appended = position(journal.appended + 1)),
  };
  const sent: PeerMessage[] = [];
  const notes: string[] = [];
  const nothing = (): void => undefined;
  const driver = new Driver({
    state,
    journal: journal as unknown as Journal,
    socket: {
      send: (_to: unknown, message: PeerMessage) => sent.push(message),
      flush: nothing,
    } as unknown as AgentSocket,
    callbacks: {
      onReign: nothing,
      onAbdicate: nothing,
      onFollow: nothing,
      onCommitted: nothing,
      onHandled: nothing,
      onFatal: (error) => {
        throw error;
      },
      onNote: (code) => notes.push(code),
    },
    clock: new Clock(),
    log: nothing,
    log_debug: false,
  });
  const durable = (): void => {
    journal.durable = journal.appended;
    journal.waiting_bytes = 0;
    driver.durable(journal.durable);
  };
  return { driver, state, journal, sent, notes, durable };
}

describe('server, the driver (spec.md, "Durability")', () => {
  it('takes nothing more that has to be written while a disk that hangs is far behind', () => {
    const { driver, state, journal, sent, notes, durable } = stalled();
    driver.receive(agent(1), acceptRequest(0, 1, decree('a')));
    journal.waiting_bytes = 33 * 1024 * 1024;
    expect(driver.disk_is_behind).to.equal(true);
    driver.receive(agent(1), acceptRequest(1, 1, decree('b')));
    driver.receive(agent(2), prepare(0, 2));
    expect([...state.acceptor.accepted.keys()]).to.eql([0]);
    expect(state.acceptor.promised.round).to.equal(1);
    expect(notes).to.eql(['disk-behind', 'disk-behind']);

    driver.receive(agent(1), heartbeat(1, 1, 1));
    expect(state.learner.committed, 'what need not be written is handled').to.equal(1);
    expect(sent).to.eql([]);

    durable();
    expect(driver.disk_is_behind).to.equal(false);
    driver.receive(agent(1), acceptRequest(1, 1, decree('b')));
    durable();
    expect([...state.acceptor.accepted.keys()]).to.eql([0, 1]);
    expect(sent).to.have.length(2);
    driver.stop();
  });

  it('makes one step of the messages of a datagram, and keeps their order with what comes between', () => {
    const { driver, state, journal, sent, durable } = stalled();
    driver.together(() => {
      driver.receive(agent(1), acceptRequest(0, 1, decree('a')));
      driver.receive(agent(1), acceptRequest(1, 1, decree('b')));
      expect(journal.appended, 'they wait for what else the datagram holds').to.equal(0);
      driver.dispatch({ type: 'timer', timer: 'leader' });
      expect(journal.appended, 'but nothing overtakes them').to.equal(2);
      driver.receive(agent(1), acceptRequest(2, 1, decree('c'), 2));
    });
    expect([...state.acceptor.accepted.keys()]).to.eql([0, 1, 2]);
    expect(state.learner.committed).to.equal(2);
    durable();
    expect(sent.map((message) => ('entry' in message ? message.entry : message))).to.eql([0, 1, 2]);
    driver.stop();
  });

  it('makes several steps of more messages than a usual datagram holds, in order', () => {
    const { driver, journal, sent, durable } = stalled();
    const count = 2 * MAX_EVENTS_AT_ONCE + 2;
    const appended: number[] = [];
    driver.together(() => {
      for (let e = 0; e < count; e++) {
        driver.receive(agent(1), acceptRequest(e, 1, decree(`v${e}`)));
        if (appended.at(-1) !== journal.appended) appended.push(journal.appended);
      }
    });
    expect([...appended, journal.appended]).to.eql([0, MAX_EVENTS_AT_ONCE, 2 * MAX_EVENTS_AT_ONCE, count]);
    durable();
    expect(sent.map((message) => ('entry' in message ? message.entry : message))).to.eql(
      Array.from({ length: count }, (_, e) => e),
    );
    driver.stop();
  });
});
