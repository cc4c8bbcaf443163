import { expect } from 'chai';
import { newAgent, step } from '../../src/core/agent.js';
import type { Effect } from '../../src/core/effect.js';
import { agentIndex, clientId, entry, requestNumber, round } from '../../src/core/ids.js';
import { MAX_PROMISE_BYTES } from '../../src/core/limits.js';
import { MessageType, type Prepare, type Promise } from '../../src/core/message.js';
import { DEFAULT_TIMES, type AgentState } from '../../src/core/state.js';

const AGENTS = [1, 2].map((i) => ({ address: `10.0.0.${i}`, port: '7000' }));
const OTHER = agentIndex(1);
const LENGTH = 1_000;
const VALUE = 'v'.repeat(300);

/** Agent 0 of two, that has just asked for promises at round 0. */
function candidate(): AgentState {
  const agent = newAgent({ self: agentIndex(0), agents: AGENTS, has_app: false, ...DEFAULT_TIMES });
  step(agent, { type: 'start' });
  step(agent, { type: 'timer', timer: 'leader' });
  step(agent, { type: 'timer', timer: 'election' });
  expect(agent.proposer.candidate?.round).to.equal(0);
  return agent;
}

function promise(e: number): Promise {
  const request = { id: clientId(1), no: requestNumber(e), noset: false };
  return {
    type: MessageType.Promise,
    request,
    entry: entry(e),
    round: round(0),
    roundvalue: { round: round(0), value: VALUE, request },
    length: LENGTH,
    committed: entry(0),
  };
}

function prepares(effects: readonly Effect[]): Prepare[] {
  return effects.flatMap((effect) =>
    effect.type === 'send' && effect.message.type === MessageType.Prepare ? [effect.message] : [],
  );
}

describe('a candidate before a long tail (spec.md, "Candidates and reigns")', () => {
  it('asks for more as soon as it has read what one Prepare draws, without waiting for a timer', () => {
    const agent = candidate();
    const asked: Prepare[] = [];
    let read = 0;
    while (asked.length === 0 && read < LENGTH) {
      const event = { type: 'message', from: OTHER, message: promise(read++) } as const;
      asked.push(...prepares(step(agent, event)));
    }
    expect(asked.map((m) => m.entry)).to.deep.equal([read]);
    expect(read * VALUE.length).to.be.within(MAX_PROMISE_BYTES / 3, MAX_PROMISE_BYTES);
  });

  it('does not ask again for what comes twice', () => {
    const agent = candidate();
    for (let i = 0; i < 2 * LENGTH; i++) {
      const event = { type: 'message', from: OTHER, message: promise(i % 10) } as const;
      expect(prepares(step(agent, event))).to.deep.equal([]);
    }
  });

  it('has failed when it has to promise to another, and waits longer next time', () => {
    const agent = candidate();
    const message = prepareAt(1);
    step(agent, { type: 'message', from: OTHER, message });
    expect(agent.proposer.candidate).to.equal(undefined);
    const effects = step(agent, { type: 'timer', timer: 'leader' });
    const wait = effects.find((effect) => effect.type === 'set-timer' && effect.timer === 'election');
    expect(wait).to.include({ max_ms: 2 * DEFAULT_TIMES.election_wait_ms });
  });
});

function prepareAt(r: number): Prepare {
  return { type: MessageType.Prepare, request: promise(0).request, entry: entry(0), round: round(r) };
}
