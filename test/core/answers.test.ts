import { expect } from 'chai';

import type { Event } from '../../src/core/event.js';
import { entry } from '../../src/core/ids.js';
import { MAX_SESSIONS, RETAINED_ANSWER_LENGTH } from '../../src/core/limits.js';
import { accepted, accepted_at, ask, decree, hello, nack, promise } from '../support/make.js';
import { OneAgent } from '../support/one-agent.js';

function attached(first = 0): Event {
  return { type: 'app-attached', first: entry(first) };
}

function withApp(): OneAgent {
  return new OneAgent(0, 3, { has_app: true }).lead().step(attached());
}

function answers(one: OneAgent, e: number, value: string | undefined): OneAgent {
  return one.step({ type: 'app-response', entry: entry(e), value });
}

describe('core, answers (spec.md, "Answers")', () => {
  it('are the application’s, once the entry is chosen', () => {
    const one = withApp().log('put a 1', 1);
    expect(one.told()).to.be.empty;
    expect(answers(one, 0, 'done').told()).to.deep.equal(['1: done at 0']);
  });

  it('wait for an application that is still starting', () => {
    const one = new OneAgent(0, 3, { has_app: true }).lead().log('x', 1);
    expect(one.told()).to.be.empty;
    one.step(attached());
    expect(answers(one, 0, 'X').told()).to.deep.equal(['1: X at 0']);
  });

  it('to a request asked again are the first ones', () => {
    const one = withApp().log('x', 1);
    answers(one, 0, 'first');
    expect(one.client(1, ask(1, 'y')).told()).to.deep.equal(['1: first at 0']);
  });

  it('stay the first, should an application answer twice', () => {
    const one = withApp().log('x', 1);
    answers(one, 0, 'first');
    answers(one, 0, 'the second is longer');
    expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: first at 0']);
    expect(one.state.clients.answers.given.size).to.equal(1);
  });

  it('that are too large are said to be, and that the request was executed', () => {
    const one = withApp().log('x', 1);
    expect(answers(one, 0, undefined).told()).to.deep.equal(['1: answer-too-large']);
    expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: answer-too-large']);
  });

  it('that were dropped are said to be forgotten', () => {
    const one = withApp().log('x', 1).log('y', 2);
    answers(one, 0, 'a'.repeat(RETAINED_ANSWER_LENGTH / 2));
    answers(one, 1, 'b'.repeat(RETAINED_ANSWER_LENGTH / 2));
    expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: answer-forgotten']);
    expect(one.replies()[0]).to.have.property('entry', 0);
  });

  it('to requests below the entry that the application began at are said to be forgotten', () => {
    const one = new OneAgent(0, 3, { has_app: true }).lead().log('x', 1).log('y', 2);
    one.step(attached(1));
    expect(one.told(), 'waited for an application that never gets to see it').to.deep.equal([
      '1: answer-forgotten',
    ]);
    expect(one.replies()[0]).to.have.property('entry', 0);
    expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: answer-forgotten']);
    expect(answers(one, 1, 'Y').told()).to.deep.equal(['2: Y at 1']);
    expect(one.log('z', 3).told()).to.be.empty;
    expect(answers(one, 2, 'Z').told()).to.deep.equal(['3: Z at 2']);
  });

  it('to requests that are chosen below that entry only later are said to be forgotten, too', () => {
    const one = new OneAgent(0, 3, { has_app: true }).lead().step(attached(2));
    expect(one.log('x', 1).told()).to.deep.equal(['1: answer-forgotten']);
    expect(one.log('y', 2).told()).to.deep.equal(['2: answer-forgotten']);
    expect(one.log('z', 3).told()).to.be.empty;
    expect(answers(one, 2, 'Z').told()).to.deep.equal(['3: Z at 2']);
  });

  it('to requests below that entry come from the next application that begins earlier', () => {
    const one = new OneAgent(0, 3, { has_app: true }).lead().log('x', 1).step(attached(1));
    one.step({ type: 'app-detached', expected: true }).step(attached());
    expect(one.client(1, ask(1, 'x')).told()).to.be.empty;
    expect(answers(one, 0, 'X').told()).to.deep.equal(['1: X at 0']);
  });

  it('are kept within a bound, be they ever so short', () => {
    const one = withApp();
    for (let e = 0; e < 700_000; e++) answers(one, e, e % 2 === 0 ? '' : undefined);
    expect(one.state.clients.answers.given.size).to.be.below(700_000);
    expect(one.state.clients.answers.given_length).to.be.at.most(RETAINED_ANSWER_LENGTH);
    for (let e = 700_000; e < 700_010; e++) answers(one, e, 'x'.repeat(RETAINED_ANSWER_LENGTH));
    expect(one.state.clients.answers.given.size).to.be.at.most(1);
    expect(one.state.clients.answers.given_length).to.be.at.least(0);
  });

  it('come again from an application that is started again', () => {
    const one = withApp().log('x', 1);
    answers(one, 0, 'X');
    one.step({ type: 'app-detached', expected: true });
    expect(one.client(1, ask(1, 'x')).told(), 'it is being restarted').to.be.empty;
    one.step(attached());
    expect(answers(one, 0, 'X').told()).to.deep.equal(['1: X at 0']);
  });

  it('of an application that left for good are unknown', () => {
    const one = new OneAgent().lead().step(attached()).log('x', 1);
    one.client(1, ask(2, 'y'));
    one.step({ type: 'app-detached', expected: false });
    expect(one.told()).to.deep.equal(['1: app-left']);
    one.accept(1, 'y', 1, 2);
    expect(one.told(), 'from then on values are their own answers').to.deep.equal(['2: y at 1']);
  });

  it('stay the first ones when the application that gave them has left for good', () => {
    const one = new OneAgent().lead().step(attached()).log('x', 1).log('y', 2);
    answers(one, 0, 'a'.repeat(RETAINED_ANSWER_LENGTH));
    answers(one, 1, 'Y');
    one.step({ type: 'app-detached', expected: false });
    expect(one.client(1, ask(2, 'y')).told()).to.deep.equal(['2: Y at 1']);
    expect(one.client(1, ask(1, 'x')).told(), 'dropped long since').to.deep.equal(['1: answer-forgotten']);
    expect(one.log('z', 3).told()).to.deep.equal(['3: z at 2']);
    one.step(attached());
    expect(one.client(1, ask(2, 'y')).told(), 'the next one answers from the beginning').to.be.empty;
    expect(answers(one, 1, 'Y').told()).to.deep.equal(['2: Y at 1']);
  });

  it('of nobody are disregarded', () => {
    const one = new OneAgent().lead().log('x', 1);
    answers(one, 0, 'forged');
    expect(one.effects).to.be.empty;
    expect(one.client(1, ask(1, 'x')).told()).to.deep.equal(['1: x at 0']);
  });

  it('of an application in mid-work are unknown when the reign ends (faults 64)', () => {
    const one = withApp().log('x', 1);
    one.message(1, nack(0, 4));
    expect(one.told()).to.deep.equal(['1: leadership-lost']);
    expect(answers(one, 0, 'late').told()).to.be.empty;
  });

  it('to a duplicate that a later entry holds come from the entry that was executed', () => {
    const one = new OneAgent(1);
    one.stand();
    // Two entries of one request: an earlier leader proposed it twice, in two reigns.
    const twice = decree('x', 1, 1);
    one.message(0, promiseWith(one, twice, 0)).message(0, promiseWith(one, twice, 1));
    expect(one.state.proposer.reign?.inherited).to.deep.equal([twice, twice]);
    one.client(5, hello(1)).client(5, ask(1, 'x'));
    one.message(0, accepted(0, 1, twice));
    expect(one.told(5)).to.deep.equal(['1: x at 0']);
    one.message(0, accepted(1, 1, twice));
    expect(one.committed).to.equal(2);
    expect(one.told(5)).to.be.empty;
    expect(one.client(5, ask(1, 'x')).told(5)).to.deep.equal(['1: x at 0']);
  });

  it('to a request whose session was forgotten on the way say that it was not executed', () => {
    const one = new OneAgent().lead().client(1, hello()).client(1, ask(1, 'x'));
    one.state.learner.sessions.floor = MAX_SESSIONS;
    one.accept(0, 'x', 1, 1);
    expect(one.told()).to.deep.equal(['1: session-expired']);
  });
});

function promiseWith(one: OneAgent, what: ReturnType<typeof decree>, e: number) {
  const { round } = one.state.proposer.candidate!;
  return promise(e, round, { roundvalue: accepted_at(0, what), length: 2 });
}
