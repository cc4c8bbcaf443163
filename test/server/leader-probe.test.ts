import { expect } from 'chai';
import type { AgentIndex } from '../../src/core/ids.js';
import type { PortAnswer } from '../../src/net/ask-port.js';
import { LeaderProbe } from '../../src/server/leader-probe.js';
import { agent } from '../support/make.js';

interface Question {
  readonly leader: AgentIndex;
  readonly asked_ms: number;
  readonly answer: (answer: PortAnswer) => void;
  ended: boolean;
}

/** A probe on a clock that the test moves. */
class Bench {
  now_ms = 0;
  #waits: { readonly due_ms: number; readonly done: () => void }[] = [];
  readonly questions: Question[] = [];
  readonly gone: AgentIndex[] = [];
  readonly probe = new LeaderProbe({
    heartbeat_ms: 200,
    leader_timeout_ms: 400,
    after: (ms, done) => {
      const wait = { due_ms: this.now_ms + ms, done };
      this.#waits.push(wait);
      return () => (this.#waits = this.#waits.filter((other) => other !== wait));
    },
    now_ms: () => this.now_ms,
    ask: (leader, onAnswer) => {
      const question: Question = { leader, asked_ms: this.now_ms, answer: onAnswer, ended: false };
      this.questions.push(question);
      return () => (question.ended = true);
    },
    onGone: (leader) => this.gone.push(leader),
  });

  /** Lets time pass, millisecond by millisecond; a leader may be heard in every so many. */
  pass(ms: number, heard_every_ms = Infinity): void {
    for (let i = 1; i <= ms; i++) {
      this.now_ms++;
      const due = this.#waits.filter(({ due_ms }) => due_ms <= this.now_ms);
      this.#waits = this.#waits.filter(({ due_ms }) => due_ms > this.now_ms);
      for (const { done } of due) done();
      if (i % heard_every_ms === 0) this.probe.heard();
    }
  }

  /** Follows a leader whose port answers so at first. */
  follow(leader: number, answer: PortAnswer = 'listens'): void {
    this.probe.follow(agent(leader));
    this.questions.at(-1)?.answer(answer);
    this.probe.heard();
  }

  get waiting(): number {
    return this.#waits.length;
  }
}

describe('server, the probe of the leader (spec.md, "Liveness")', () => {
  let bench: Bench;

  beforeEach(() => (bench = new Bench()));

  it('finds a leader gone whose port was open and is not any more, when it has been silent for a while', () => {
    bench.follow(1);
    bench.pass(500, 10);
    expect(bench.questions, 'it is heard').to.have.length(1);
    bench.pass(99);
    expect(bench.questions).to.have.length(1);
    bench.pass(1);
    expect(bench.questions).to.have.length(2);
    expect(bench.gone).to.eql([]);
    bench.questions[1]!.answer('refused');
    expect(bench.gone).to.eql([1]);
  });

  it('asks nothing between heartbeats, and after one that is missing', () => {
    bench.follow(1);
    bench.pass(20_000, 200);
    expect(bench.questions).to.have.length(1);
    bench.pass(299);
    expect(bench.questions).to.have.length(1);
    bench.pass(1);
    expect(bench.questions).to.have.length(2);
    bench.questions[1]!.answer('refused');
    expect(bench.gone).to.eql([1]);
  });

  it('asks no more where the first answer was a refusal: something on the way may refuse always', () => {
    bench.follow(1, 'refused');
    bench.pass(5_000, 200);
    bench.pass(5_000);
    expect(bench.questions).to.have.length(1);
    expect(bench.waiting).to.equal(0);
    expect(bench.gone).to.eql([]);
  });

  it('asks again later where the first question brought nothing', () => {
    bench.follow(1, 'unknown');
    bench.pass(999, 100);
    expect(bench.questions).to.have.length(1);
    bench.pass(101, 100);
    expect(bench.questions).to.have.length(2);
    bench.questions[1]!.answer('listens');
    bench.pass(400, 50);
    bench.pass(100);
    expect(bench.questions).to.have.length(3);
    bench.questions[2]!.answer('refused');
    expect(bench.gone).to.eql([1]);
  });

  for (const answer of ['listens', 'unknown'] as const)
    it(`leaves it to the time-out when the answer is ${answer}`, () => {
      bench.follow(1);
      bench.pass(300);
      bench.questions[1]!.answer(answer);
      bench.pass(5_000);
      expect(bench.questions).to.have.length(2);
      expect(bench.gone).to.eql([]);
    });

  it('asks once in a second at most, however often the leader falls silent', () => {
    bench.follow(1);
    for (let i = 0; i < 50; i++) {
      bench.pass(20, 10);
      bench.pass(180);
      for (const { ended, answer } of bench.questions.slice(-1)) if (!ended) answer('listens');
    }
    const times = bench.questions.slice(1).map(({ asked_ms }) => asked_ms);
    expect(times.length).to.be.within(8, 10);
    for (const [i, at_ms] of times.slice(1).entries()) expect(at_ms - times[i]!).to.be.at.least(1_000);
    expect(bench.gone).to.eql([]);
  });

  it('asks anew for a new leader, and heeds no answer about an old one', () => {
    bench.follow(1);
    bench.pass(300);
    bench.follow(2);
    expect(bench.questions.map(({ leader, ended }) => [leader, ended])).to.eql([
      [1, false],
      [1, true],
      [2, false],
    ]);
    bench.pass(300);
    bench.questions[3]!.answer('refused');
    expect(bench.gone).to.eql([2]);
  });

  it('asks nothing while nobody is followed, and nothing after its end', () => {
    bench.probe.heard();
    bench.pass(1_000);
    expect(bench.questions).to.eql([]);
    bench.follow(1);
    bench.pass(50);
    bench.probe.follow(undefined);
    bench.pass(5_000);
    expect(bench.questions).to.have.length(1);
    bench.follow(1);
    bench.pass(300);
    bench.probe.stop();
    expect(bench.questions.at(-1)!.ended).to.equal(true);
    bench.probe.heard();
    bench.pass(5_000);
    expect(bench.questions).to.have.length(3);
    expect(bench.waiting).to.equal(0);
  });
});
