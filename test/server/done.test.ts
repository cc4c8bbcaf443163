import { expect } from 'chai';
import { obeysDone } from '../../src/server/options.js';

describe('server: who may say Done', () => {
  const near = { loopback: true };
  const far = { loopback: false };

  it('is obeyed from this machine, whatever the flag says', () => {
    expect(obeysDone(near, {})).to.equal(true);
    expect(obeysDone(near, { allow_remote_done: false })).to.equal(true);
    expect(obeysDone(near, { allow_remote_done: true })).to.equal(true);
  });

  it('is obeyed from elsewhere only if that is allowed', () => {
    expect(obeysDone(far, {})).to.equal(false);
    expect(obeysDone(far, { allow_remote_done: false })).to.equal(false);
    expect(obeysDone(far, { allow_remote_done: true })).to.equal(true);
  });
});
