import { expect } from 'chai';
import { newAgent, step } from '../../src/core/agent.js';
import type { Effect } from '../../src/core/effect.js';
import type { Event } from '../../src/core/event.js';
import { entry } from '../../src/core/ids.js';
import { accepted, acceptRequest, agent, ask, config, connection, decree, hello } from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

const from = (who: number, message: (Event & { type: 'message' })['message']): Event => ({
  type: 'message',
  from: agent(who),
  message,
});

const sent = (effects: readonly Effect[]): unknown[] =>
  effects.flatMap((effect) => (effect.type === 'send' ? [{ to: effect.to, message: effect.message }] : []));

describe('core, what came at once (docs/architecture.md)', () => {
  it('is accepted, answered and learnt as if it had come one after the other', () => {
    const requests = [0, 1, 2, 3, 4].map((e) =>
      from(1, acceptRequest(e, 1, decree(`v${e}`, 65537, e + 1), e)),
    );
    const [single, several] = [newAgent(config(0)), newAgent(config(0))];
    const one_by_one = requests.flatMap((event) => step(single, event));
    const at_once = step(several, { type: 'several', events: requests });

    expect(sent(at_once)).to.eql(sent(one_by_one));
    expect(JSON.stringify(several.acceptor)).to.equal(JSON.stringify(single.acceptor));
    expect(several.learner.committed).to.equal(4);
    expect(several.learner.sessions).to.eql(single.learner.sessions);
    expect([...several.learner.chosen]).to.eql([...single.learner.chosen]);
  });

  it('starts the leader’s time anew once', () => {
    const state = newAgent(config(0));
    const votes = [0, 1, 2].map((e) => from(1, acceptRequest(e, 1, decree(`v${e}`, 65537, e + 1))));
    const effects = step(state, { type: 'several', events: votes });
    expect(effects.filter((effect) => effect.type === 'set-timer')).to.eql([
      { type: 'set-timer', timer: 'leader', min_ms: 400, max_ms: 400 },
    ]);
  });

  it('writes the commit index down before what it accepts, and lets nothing leave before its record', () => {
    const state = newAgent(config(0));
    const e = (at: number, committed: number): Event =>
      from(1, acceptRequest(at, 1, decree(`v${at}`, 65537, at + 1), committed));
    step(state, e(0, 0));
    step(state, e(1, 1)); // it learns that entry 0 is chosen behind its record
    const order = step(state, { type: 'several', events: [e(2, 2), e(3, 2)] }).flatMap((effect) => {
      if (effect.type === 'persist') return [`${effect.record.verdict} at ${effect.position}`];
      return effect.type === 'send' ? [`send after ${effect.after}`] : [];
    });
    expect(order).to.eql([
      'committed at 3',
      'accepted at 4',
      'send after 4',
      'accepted at 5',
      'send after 5',
    ]);
    expect(state.learner.committed).to.equal(2);
  });

  it('moves the commit index once over all that a datagram of votes chooses', () => {
    const one = new OneAgent().lead().client(1, hello());
    for (const no of [1, 2, 3]) one.client(1, ask(no, `v${no}`));
    const { in_flight, round } = one.state.proposer.reign!;
    const votes = [...in_flight.keys()].map((e) =>
      from(1, accepted(e, round, one.state.acceptor.accepted.get(e)!.decree)),
    );
    expect(votes).to.have.length(3);
    const { effects } = one.step({ type: 'several', events: votes });
    expect(effects.filter(({ type }) => type === 'committed')).to.eql([{ type: 'committed', committed: 3 }]);
    const answers = effects.flatMap((effect) => (effect.type === 'reply' ? [effect.message] : []));
    expect(answers.map((answer) => ('value' in answer ? answer.value : answer))).to.eql(['v1', 'v2', 'v3']);
  });

  it('answers each request of a client that says no more once, and then closes its connection', () => {
    const one = new OneAgent(0, 3, { has_app: true }).lead();
    one.step({ type: 'app-attached', first: entry(0) });
    for (const no of [1, 2, 3]) one.log(`v${no}`, no);
    one.step({ type: 'client-ended', connection: connection(1) });
    expect(one.of('close')).to.eql([]);
    const events = [0, 1, 2].map((e): Event => ({
      type: 'app-response',
      entry: entry(e),
      value: `answer ${e}`,
    }));
    const { effects } = one.step({ type: 'several', events });
    const order = effects.map((effect) =>
      effect.type === 'reply' && 'value' in effect.message ? effect.message.value : effect.type,
    );
    expect(order).to.eql(['answer 0', 'answer 1', 'answer 2', 'close']);
  });
});
