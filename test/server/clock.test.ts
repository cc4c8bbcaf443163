import { expect } from 'chai';
import { Clock } from '../../src/server/clock.js';

describe('server, the clock', () => {
  it('goes on, except while what came at once is handled', () => {
    let ms = 0;
    const clock = new Clock(() => ++ms);
    expect([clock.now_ms(), clock.now_ms()]).to.eql([1, 2]);
    clock.stop();
    expect([clock.now_ms(), clock.now_ms()]).to.eql([3, 3]);
    clock.run();
    expect([clock.now_ms(), clock.now_ms()]).to.eql([4, 5]);
    clock.stop();
    expect(clock.now_ms(), 'a later one').to.equal(6);
  });
});
