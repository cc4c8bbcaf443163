import { expect } from 'chai';
import { Clock } from '../../src/server/clock.js';

/** Passes some time without leaving the turn. */
function pass(): void {
  const since = performance.now();
  while (performance.now() - since < 0.5);
}

describe('server, the clock', () => {
  it('goes on, but for while what came at once is handled', () => {
    const clock = new Clock();
    const before = clock.now_ms();
    pass();
    clock.stop();
    const stopped = clock.now_ms();
    expect(stopped).to.be.greaterThan(before);
    pass();
    expect(clock.now_ms()).to.equal(stopped);
    clock.run();
    expect(clock.now_ms()).to.be.greaterThan(stopped);
  });
});
