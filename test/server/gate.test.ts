import { expect } from 'chai';
import fc from 'fast-check';
import type { Effect } from '../../src/core/effect.js';
import { NO_REQUEST } from '../../src/core/decree.js';
import {
  clientId,
  position,
  requestNumber,
  type AgentIndex,
  type Entry,
  type Round,
} from '../../src/core/ids.js';
import { newAgent } from '../../src/core/agent.js';
import { MessageType } from '../../src/core/message.js';
import { MAX_RIDE_MS } from '../../src/server/bounds.js';
import { Gate } from '../../src/server/gate.js';
import { MAX_GATHER_MS } from '../../src/server/gathering.js';
import { config } from '../support/make.js';

type Send = Effect & { readonly type: 'send' };

/** A clock that stands still. */
const still = (): number => 0;

/** A message that may leave once `after` is durable; `entry` tells it from others. */
function send(after: number, entry: number): Send {
  return {
    type: 'send',
    to: 1 as AgentIndex,
    after: position(after),
    alone: false,
    message: {
      type: MessageType.Prepare,
      request: NO_REQUEST,
      entry: entry as Entry,
      round: 1 as Round,
    },
  };
}

describe('server, the gate (spec.md, "Durability")', () => {
  it('lets pass at once what depends on nothing, or on what is durable', () => {
    const left: Send[] = [];
    const gate = new Gate((effect) => left.push(effect), still);
    gate.pass(send(0, 0));
    gate.open(position(3));
    gate.pass(send(3, 1));
    expect(left.map(({ after }) => after)).to.eql([0, 3]);
    expect(gate.waiting).to.equal(0);
  });

  it('keeps back the rest, and lets it go in its order, each as soon as its own position is durable', () => {
    const left: number[] = [];
    const gate = new Gate(({ after }) => left.push(after), still);
    for (const after of [1, 2, 2, 5]) gate.pass(send(after, after));
    expect(left).to.eql([]);
    gate.open(position(1));
    expect(left).to.eql([1]);
    gate.open(position(4));
    expect(left).to.eql([1, 2, 2]);
    expect(gate.waiting).to.equal(1);
    gate.open(position(5));
    expect(left).to.eql([1, 2, 2, 5]);
    expect(gate.waiting).to.equal(0);
  });

  it('holds no more than so many for a disk that hangs, and works again when the disk does', () => {
    const left: number[] = [];
    const gate = new Gate(({ after }) => left.push(after), still);
    for (let i = 0; i < 100_000; i++) gate.pass(send(1, i));
    expect(gate.waiting).to.equal(65_536);
    gate.open(position(1));
    expect(left).to.have.length(65_536);
    gate.pass(send(2, 0));
    expect(gate.waiting).to.equal(1);
    gate.open(position(2));
    expect(left).to.have.length(65_537);
  });

  it('neither loses, doubles, swaps nor lets out early, however many wait', () => {
    // Steps: how much the journal grows before the next message, and whether the disk catches up then, and how far.
    const step = fc.record({ grows: fc.nat(2), flushes: fc.option(fc.nat(3000), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 100 }), (steps, burst) => {
        const left: number[] = [];
        let appended = 0;
        let durable = 0;
        let handed_in = 0;
        const positions: number[] = [];
        const gate = new Gate(({ after, message }) => {
          expect(after).to.be.at.most(durable);
          left.push('entry' in message ? message.entry : -1);
        }, still);
        for (const { grows, flushes } of steps) {
          appended += grows;
          for (let i = 0; i < burst; i++) {
            positions.push(appended);
            gate.pass(send(appended, handed_in++));
          }
          if (flushes === undefined) continue;
          durable = Math.min(appended, durable + flushes);
          gate.open(position(durable));
          const free = positions.filter((after) => after <= durable).length;
          expect(left).to.have.length(free);
          expect(gate.waiting).to.equal(handed_in - free);
        }
        durable = appended;
        gate.open(position(durable));
        expect(left).to.eql(Array.from({ length: handed_in }, (_, i) => i));
      }),
      { numRuns: 60 },
    );
  });

  it('has proposals ride along with the group that is written next, and nothing else', () => {
    const left: number[] = [];
    const gate = new Gate(({ message }) => left.push((message as { entry: number }).entry), still);
    const proposal = (entry: number, alone = false): Send => ({
      ...send(0, entry),
      alone,
      message: {
        type: MessageType.AcceptRequest,
        request: NO_REQUEST,
        entry: entry as Entry,
        round: 1 as Round,
        value: '',
        committed: 0 as Entry,
      },
    });
    gate.pass(proposal(1));
    gate.pass(proposal(2));
    gate.pass(send(0, 3));
    gate.pass(proposal(4, true));
    gate.open(position(9));
    expect(left, 'sent again, a proposal leaves at once').to.eql([3, 4]);
    expect(gate.riding).to.equal(2);
    gate.depart();
    expect(left).to.eql([3, 4, 1, 2]);
    gate.depart();
    expect([left.length, gate.riding]).to.eql([4, 0]);

    const state = newAgent(config(0));
    expect(gate.wait_ms(state), 'without a reign').to.equal(0);
    Object.assign(state.proposer, { reign: {} });
    gate.pass(proposal(3));
    gate.depart();
    for (const [committed, expected] of [
      [3, MAX_RIDE_MS],
      [4, 0],
    ] as const) {
      state.learner.committed = committed as Entry;
      expect(gate.wait_ms(state), `${committed} chosen`).to.equal(expected);
    }
  });

  it('has what an agent learns from others wait a moment for its votes, and for nothing else', () => {
    const gate = new Gate(() => undefined, still);
    const state = newAgent(config(0));
    state.catchup.source = 1 as AgentIndex;
    expect(gate.wait_ms(state)).to.equal(MAX_RIDE_MS);
    gate.pass(send(7, 1));
    expect(gate.wait_ms(state), 'somebody waits for what it wrote').to.equal(0);
    gate.open(position(7));
    expect(gate.wait_ms(state)).to.equal(MAX_RIDE_MS);
    Object.assign(state.proposer, { candidate: {} });
    expect(gate.wait_ms(state), 'it wants to lead').to.equal(0);
    Object.assign(state.proposer, { candidate: undefined });
    state.catchup.source = undefined;
    expect(gate.wait_ms(state), 'it has caught up').to.equal(0);
  });

  it('has the next group wait for clients that come back, and not once nobody reigns', () => {
    let now_ms = 0;
    const gate = new Gate(
      () => undefined,
      () => now_ms,
    );
    const state = newAgent(config(0));
    Object.assign(state.proposer, { reign: {} });
    let entry = 0;
    const ask = (client: number): void => {
      const message = {
        type: MessageType.AcceptRequest,
        request: { id: clientId(client), no: requestNumber(1), noset: false },
        entry: entry++ as Entry,
        round: 1 as Round,
        value: '',
        committed: 0 as Entry,
      };
      for (const to of [1, 2]) gate.pass({ ...send(0, 0), to: to as AgentIndex, message });
    };
    const choose = (): void => {
      now_ms += 10;
      gate.depart();
      state.learner.committed = entry as Entry;
      gate.observe(state);
    };
    for (let i = 0; i < 10; i++) {
      for (const client of [1, 2, 3]) ask(client);
      choose();
    }
    ask(1);
    ask(2);
    expect(gate.wait_ms(state), 'two of three are back').to.be.within(1, MAX_GATHER_MS);
    ask(3);
    expect(gate.wait_ms(state)).to.equal(0);
    choose();
    ask(1);
    expect(gate.wait_ms(state)).to.be.above(0);
    Object.assign(state.proposer, { reign: undefined });
    expect(gate.wait_ms(state), 'nobody reigns').to.equal(0);
  });
});
