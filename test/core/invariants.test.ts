import { expect } from 'chai';

import { step } from '../../src/core/agent.js';
import { mustBeDurable } from '../../src/core/durability.js';
import type { Effect } from '../../src/core/effect.js';
import { entry, position, round } from '../../src/core/ids.js';
import {
  assertInvariant,
  checkEffects,
  checkProgress,
  checkState,
  InvariantError,
  watermarks,
} from '../../src/core/invariants.js';
import {
  isPeerMessage,
  MESSAGE_NAMES,
  MessageType,
  roundOfClientId,
  type PeerMessage,
} from '../../src/core/message.js';
import type { AgentState } from '../../src/core/state.js';
import {
  accepted,
  acceptRequest,
  agent,
  decree,
  heartbeat,
  hello,
  nack,
  prepare,
  promise,
} from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

const x = decree('x');

const EACH: PeerMessage[] = [
  prepare(0, 0),
  promise(0, 0),
  nack(0, 0),
  acceptRequest(0, 0, x),
  accepted(0, 0, x),
  heartbeat(0, 0),
];

describe('core, durability (spec.md, "What must be durable before what")', () => {
  it('is decided for each message between agents', () => {
    const decided = EACH.map((message) => [MESSAGE_NAMES[message.type], mustBeDurable(message)]);
    expect(decided).to.deep.equal([
      ['Prepare', 'everything'],
      ['Promise', 'everything'],
      ['Nack', 'everything'],
      ['AcceptRequest', 'nothing'],
      ['Accepted', 'everything'],
      ['Heartbeat', 'nothing'],
    ]);
  });

  it('ties each message to the last record that it may depend on', () => {
    const one = new OneAgent(1);
    one.fast_disk = false;
    one.message(0, acceptRequest(0, 0, x)).message(0, acceptRequest(1, 0, x));
    one.message(2, acceptRequest(0, 2, x));
    expect(one.of('send')[0]!.after).to.equal(3);
    one.message(0, acceptRequest(0, 0, x));
    expect(one.sent(MessageType.Nack), 'a Nack reports what may not be durable yet').to.have.length(1);
    expect(one.of('send')[0]!.after).to.equal(3);
  });

  it('puts the commit index before any record that follows it', () => {
    const one = new OneAgent(1).message(0, acceptRequest(0, 0, x)).message(0, acceptRequest(1, 0, x, 1));
    one.message(0, acceptRequest(2, 0, x, 2));
    const last = one.records.slice(-3).map(({ verdict }) => verdict);
    expect(last).to.deep.equal(['accepted', 'committed', 'accepted']);
  });
});

describe('core, message types (spec.md, "Messages")', () => {
  it('are seventeen, numbered from 0, of which six are between agents', () => {
    expect(MESSAGE_NAMES).to.have.length(17);
    expect(Object.values(MessageType)).to.deep.equal([...Array(17).keys()]);
    expect(EACH.every(isPeerMessage)).to.equal(true);
    expect(isPeerMessage(hello())).to.equal(false);
    expect(isPeerMessage({ type: MessageType.Empty })).to.equal(false);
  });

  it('carry ids that tell their round', () => {
    expect(roundOfClientId((7 * 2 ** 16 + 5) as never)).to.equal(7);
    expect(roundOfClientId((2 ** 53 - 1) as never)).to.equal(2 ** 37 - 1);
  });
});

describe('core, invariants (spec.md, "Proof")', () => {
  function expectBroken(invariant: string, act: () => void): void {
    expect(act, invariant).to.throw(InvariantError, invariant);
  }

  it('say what is broken, and where', () => {
    try {
      assertInvariant(false, 'two and two', { sum: 5 });
      expect.fail('it holds');
    } catch (error) {
      expect(error).to.be.instanceOf(InvariantError);
      expect(error).to.include({ name: 'InvariantError', invariant: 'two and two' });
      expect((error as InvariantError).message).to.contain('two and two {"sum":5}');
    }
    assertInvariant(true, 'holds');
  });

  it('of a state are each checked', () => {
    const broken: [string, (state: AgentState) => void][] = [
      [
        'nothing is durable before it is appended',
        (s) => (s.journal.durable = position(s.journal.appended + 1)),
      ],
      ['the journal never knows more chosen than the learner', (s) => (s.learner.recorded = entry(1))],
      ['only committed entries leave memory', (s) => (s.learner.retained = entry(1))],
      ['a reign is at the round spent last', (s) => (s.proposer.used = round(7))],
      ['a leader reigns only while', (s) => (s.acceptor.promised = { round: round(9), owner: agent(0) })],
      ['a leader reigns only while', (s) => (s.acceptor.promised = { round: round(0), owner: agent(2) })],
    ];
    for (const [invariant, spoil] of broken) {
      const { state } = new OneAgent(0).lead();
      checkState(state);
      spoil(state);
      expectBroken(invariant, () => checkState(state));
    }
  });

  it('of a candidate are each checked', () => {
    const { state } = new OneAgent(0).stand();
    checkState(state);
    state.proposer.used = round(3);
    expectBroken('a candidate stands at the round it spent last', () => checkState(state));
    state.proposer.reign = new OneAgent(0).lead().state.proposer.reign;
    expectBroken('a candidate does not reign', () => checkState(state));
  });

  it('of two states forbid that anything goes back', () => {
    const before = watermarks(new OneAgent(0).lead().log('x', 1).state);
    checkProgress(before, before);
    for (const name of Object.keys(before) as (keyof typeof before)[]) {
      const after = { ...before, [name]: before[name] - 1 };
      expectBroken(`${name} never goes back`, () => checkProgress(before, after));
    }
  });

  it('of effects forbid that a message outruns its record', () => {
    const record = { verdict: 'promised', round: round(1), owner: agent(1), entry: entry(0) } as const;
    const persist = (n: number): Effect => ({ type: 'persist', position: position(n), record });
    const send = (message: PeerMessage, after: number): Effect => ({
      type: 'send',
      to: agent(1),
      message,
      after: position(after),
      alone: false,
    });
    for (const message of EACH) {
      const outruns = (): void => checkEffects([persist(1), persist(2), send(message, 1)]);
      checkEffects([persist(1), send(message, 1), persist(2)]);
      if (mustBeDurable(message) === 'nothing') outruns();
      else expectBroken('no message outruns the record', outruns);
    }
    expectBroken('positions rise', () => checkEffects([persist(2), persist(2)]));
  });

  it('are asserted in every step', () => {
    const one = new OneAgent(0).lead();
    one.state.proposer.used = round(9);
    expectBroken('a reign is at the round spent last', () =>
      step(one.state, { type: 'timer', timer: 'requests' }),
    );
  });
});
