import { expect } from 'chai';
import { DEFAULT_LISTENER_LIMITS } from '../../src/net/client-listener.js';
import {
  listenerLimits,
  membersFrom,
  OptionError,
  parseAddress,
  timesFrom,
} from '../../src/server/options.js';

const at = (port: string) => ({ address: '127.0.0.1', port });

describe('server, options', () => {
  it('take no more connections than there are descriptors for', () => {
    const options = { data_dir: 'd' };
    expect(listenerLimits(options, Infinity)).to.deep.equal(DEFAULT_LISTENER_LIMITS);
    expect(listenerLimits(options, 1024).max_connections).to.equal(768);
    expect(listenerLimits({ ...options, limits: { max_connections: 10 } }, 1024).max_connections).to.equal(
      10,
    );
    expect(listenerLimits(options, 20).max_connections).to.equal(1);
    expect(listenerLimits(options).max_connections).to.be.within(1, DEFAULT_LISTENER_LIMITS.max_connections);
  });

  it('read HOST:PORT, and say what is wrong with anything else', () => {
    expect(parseAddress('127.0.0.1:7001', '--listen')).to.deep.equal(at('7001'));
    for (const text of [
      '',
      '7001',
      'localhost:7001',
      '127.0.0.1',
      '127.0.0.1:0',
      '127.0.0.1:65536',
      '::1:7001',
      '127.0.0.1:07',
    ]) {
      expect(() => parseAddress(text, '--listen'), text).to.throw(
        OptionError,
        /^--listen: ".*" is not HOST:PORT/,
      );
    }
    expect(() => parseAddress('localhost:1', '--http')).to.throw(OptionError, /127\.0\.0\.1 for localhost/);
  });

  it('sort the members, and refuse the node itself, a repetition, or too many', () => {
    expect(membersFrom(at('7002'), [at('10001'), at('7001')])).to.deep.equal([
      at('7001'),
      at('7002'),
      at('10001'),
    ]);
    expect(() => membersFrom(at('1'), [at('1')])).to.throw(OptionError, /this node itself/);
    expect(() => membersFrom(at('1'), [at('2'), at('2')])).to.throw(OptionError, /twice/);
    const crowd = Array.from({ length: 31 }, (_, i) => at(String(i + 2)));
    expect(() => membersFrom(at('1'), crowd)).to.throw(OptionError, /at most 31/);
  });

  it('refuse times that no leader could keep', () => {
    expect(timesFrom({ data_dir: 'd' })).to.deep.equal({
      heartbeat_ms: 200,
      leader_timeout_ms: 400,
      request_timeout_ms: 5000,
    });
    expect(() => timesFrom({ data_dir: 'd', heartbeat_ms: 400 })).to.throw(
      OptionError,
      /--leader-timeout-ms/,
    );
    expect(() => timesFrom({ data_dir: 'd', heartbeat_ms: 0 })).to.throw(OptionError, /--heartbeat-ms: 0/);
    expect(() => timesFrom({ data_dir: 'd', request_timeout_ms: 1.5 })).to.throw(
      OptionError,
      /--request-timeout-ms/,
    );
  });
});
