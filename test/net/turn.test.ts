import { expect } from 'chai';
import { Turn } from '../../src/net/turn.js';

const turnEnd = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('net, a turn of the loop shared by connections', () => {
  it('reads the clock once in a turn', async () => {
    let ms = 1;
    const turn = new Turn(() => ms++);
    expect([turn.now_ms(), turn.now_ms()]).to.eql([1, 1]);
    await turnEnd();
    expect([turn.now_ms(), turn.now_ms()]).to.eql([2, 2]);
    await turnEnd();
  });

  it('tells at its end whoever asked, in order, and once', async () => {
    const told: string[] = [];
    const turn = new Turn(() => 0);
    const listener = (name: string): { turnEnded(): void } => ({ turnEnded: () => told.push(name) });
    turn.atEnd(listener('a'));
    turn.atEnd(listener('b'));
    expect(told).to.eql([]);
    await turnEnd();
    await turnEnd();
    expect(told).to.eql(['a', 'b']);
  });

  it('leaves to the next turn what is asked for at the end of one', async () => {
    let told = 0;
    const turn = new Turn(() => 0);
    const again = {
      turnEnded(): void {
        if (++told < 3) turn.atEnd(this);
      },
    };
    turn.atEnd(again);
    for (const times of [1, 2, 3, 3]) {
      await turnEnd();
      expect(told).to.equal(times);
    }
  });
});
