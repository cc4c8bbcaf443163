import { expect } from 'chai';
import { newAgent, step } from '../../../src/core/agent.js';
import type { Event } from '../../../src/core/event.js';
import { position } from '../../../src/core/ids.js';
import type { AgentState } from '../../../src/core/state.js';
import { cloneAgent } from '../../../src/sim/explorer/clone.js';
import { Explorer } from '../../../src/sim/explorer/explorer.js';
import { stateText } from '../../../src/sim/hostile.js';
import * as make from '../../support/make.js';

const BOUNDS = { agents: 3, entries: 2, rounds: 2, restarts: 0, learners: true };

/** Every agent's state that a small exploration comes across. */
function statesMet(): AgentState[] {
  const explorer = new Explorer(BOUNDS);
  explorer.run({ max_states: 20_000 });
  return Array.from({ length: explorer.cores.size }, (_unused, id) => explorer.cores.get(id).live);
}

/** All of a state, as text. */
function textOf(state: AgentState): string {
  return stateText(state, true);
}

/** What hits most of a state at once; some of it is refused, and that is a change or none like any other. */
const EVENTS: readonly Event[] = [
  { type: 'message', from: make.agent(1), message: make.prepare(0, 4) },
  { type: 'message', from: make.agent(1), message: make.acceptRequest(1, 4, make.decree('x'), 1) },
  { type: 'message', from: make.agent(2), message: make.promise(0, 1) },
  { type: 'durable', position: position(1) },
  { type: 'client', connection: make.connection(9), message: make.hello() },
  { type: 'client', connection: make.connection(9), message: make.ask(1, 'y') },
  { type: 'timer', timer: 'leader' },
  { type: 'timer', timer: 'progress' },
];

describe('explorer: cloning an agent', () => {
  const states = statesMet();

  it('copies everything', () => {
    expect(states).to.have.length.above(500);
    for (const state of states) expect(textOf(cloneAgent(state))).to.equal(textOf(state));
  });

  it('leaves the original as it was, whatever is done to the clone', () => {
    for (const state of states.filter((_unused, i) => i % 17 === 0)) {
      const before = textOf(state);
      const copy = cloneAgent(state);
      for (const event of EVENTS) {
        if (event.type === 'durable' && copy.journal.appended === 0) continue;
        step(copy, event);
      }
      expect(textOf(state)).to.equal(before);
    }
  });

  it('copies clients that are there, too', () => {
    const agent = newAgent(make.config(0));
    step(agent, { type: 'client', connection: make.connection(1), message: make.hello() });
    const copy = cloneAgent(agent);
    expect(textOf(copy)).to.equal(textOf(agent));
    step(copy, { type: 'client-closed', connection: make.connection(1) });
    expect(agent.clients.connections.size).to.equal(1);
  });
});
