import { expect } from 'chai';
import { Intake, type InputSource } from '../../src/net/intake.js';

/** A connection with texts of `bytes` bytes each, which writes down what it hands out. */
class Source implements InputSource {
  waiting = 0;

  constructor(
    readonly name: string,
    readonly bytes: number,
    readonly handled: string[],
  ) {}

  handOut(): number {
    this.waiting--;
    this.handled.push(this.name);
    return this.bytes;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Enough turns for everything that may be handled to be handled. */
async function turns(count = 200): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

function setUp(isExempt: (source: Source) => boolean = () => false) {
  const handled: string[] = [];
  const state = { open: 0, held_up: false };
  const intake = new Intake<Source>({
    openRequests: () => state.open,
    isHeldUp: () => state.held_up,
    isExempt,
  });
  const offer = (source: Source, texts: number): void => {
    source.waiting += texts;
    intake.offer(source);
  };
  const source = (name: string, bytes = 100): Source => new Source(name, bytes, handled);
  return { intake, handled, state, offer, source };
}

describe('net, the intake (spec.md, "Limits")', () => {
  it('handles at once what comes while there is little to do', () => {
    const { handled, offer, source, intake } = setUp();
    offer(source('a'), 3);
    offer(source('b'), 1);
    expect(handled).to.deep.equal(['a', 'a', 'a', 'b']);
    expect(intake.waiting).to.equal(0);
  });

  it('handles a bounded share in a turn, and the rest in the turns that follow, source by source', async () => {
    const { handled, offer, source, intake } = setUp();
    const [a, b] = [source('a'), source('b')];
    offer(a, 5_000);
    const at_once = handled.length;
    expect(at_once).to.be.within(100, 2_000);
    offer(b, 5_000);
    expect(handled).to.have.length(at_once);
    await turn();
    expect(handled.length - at_once).to.be.within(100, 2_000);
    const [of_a, of_b] = [a, b].map(({ waiting }) => waiting);
    expect(5_000 - at_once - of_a! - (5_000 - of_b!)).to.be.within(-16, 16);
    await turns();
    expect([a.waiting, b.waiting, intake.waiting]).to.deep.equal([0, 0, 0]);
    expect(handled).to.have.length(10_000);
  });

  it('takes few large texts in a turn', () => {
    const { handled, offer, source } = setUp();
    offer(source('large', 65_000), 100);
    expect(handled.length).to.be.within(1, 8);
  });

  it('takes nothing in while too many requests are open, until enough of them are answered', async () => {
    const { handled, offer, source, state, intake } = setUp();
    state.open = 2_048;
    const a = source('a');
    offer(a, 2);
    await turns();
    expect(handled).to.deep.equal([]);
    state.open = 2_000;
    intake.wake();
    await turns();
    expect(handled, 'it waits for room for many').to.deep.equal([]);
    state.open = 1_500;
    intake.wake();
    await turns();
    expect(handled).to.deep.equal(['a', 'a']);
    state.open = 2_000;
    offer(a, 1);
    expect(handled, 'it is not full before it is quite full').to.have.length(3);
  });

  it('takes nothing in while the disk is too far behind, until it has caught up', async () => {
    const { handled, offer, source, state, intake } = setUp();
    state.held_up = true;
    offer(source('a'), 2);
    intake.wake();
    await turns();
    expect(handled).to.deep.equal([]);
    state.held_up = false;
    intake.wake();
    await turns();
    expect(handled).to.deep.equal(['a', 'a']);
  });

  it('stops in the middle of a source when what it handles opens too many requests', () => {
    const { handled, offer, source, state } = setUp();
    const eager = source('eager');
    eager.handOut = () => {
      eager.waiting--;
      handled.push('eager');
      state.open += 1_000;
      return 100;
    };
    offer(eager, 5);
    expect(handled).to.have.length(3);
  });

  it('takes in what lets others go on all the same', () => {
    const { handled, offer, source, state } = setUp(({ name }) => name === 'app');
    state.open = 1_000_000;
    offer(source('a'), 1);
    offer(source('app'), 2);
    expect(handled).to.deep.equal(['app', 'app']);
  });

  it('forgets a source that leaves', async () => {
    const { handled, offer, source, state, intake } = setUp();
    state.open = 1_000_000;
    const a = source('a');
    offer(a, 1);
    intake.leave(a);
    state.open = 0;
    intake.wake();
    await turns();
    expect(handled).to.deep.equal([]);
  });
});
