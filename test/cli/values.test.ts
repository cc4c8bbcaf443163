import { expect } from 'chai';
import { Command, InvalidArgumentError } from 'commander';
import { describeFailure, Exit, exitCodeOf } from '../../src/cli/failure.js';
import { addNodeFlags, agentOptionsFrom, nodeArguments, type NodeFlags } from '../../src/cli/node-flags.js';
import { onStopSignals } from '../../src/cli/signals.js';
import { asReport } from '../../src/cli/supervised.js';
import { addressesOf, reachableMembers, targetOf, wholeNumber } from '../../src/cli/values.js';
import { formatAddress, JournalError, OptionError, parseAddress, type Address } from '../../src/index.js';

const at = (text: string): Address => parseAddress(text, 'test');

describe('values of the command line', () => {
  it('reads whole numbers within their bounds, bounds included', () => {
    const read = wholeNumber(1, 65_535);
    expect(read('1')).to.equal(1);
    expect(read('65535')).to.equal(65_535);
    for (const text of ['0', '65536', '', ' 1', '1.5', '1e3', '0x10', '-1', 'many', '9'.repeat(400)]) {
      expect(() => read(text), text).to.throw(InvalidArgumentError, 'a whole number from 1 to 65535');
    }
  });

  it('reads lists of addresses and names the flag and the part that is wrong', () => {
    const read = addressesOf('--peers');
    expect(read('10.0.0.1:7000, 10.0.0.2:7000').map(formatAddress)).to.deep.equal([
      '10.0.0.1:7000',
      '10.0.0.2:7000',
    ]);
    for (const bad of [
      '',
      'localhost:1',
      '[::1]:1',
      '10.0.0.1',
      '10.0.0.256:1',
      '10.0.0.1:0',
      '10.0.0.1:65536',
    ]) {
      expect(() => read(`10.0.0.3:1,${bad}`), bad).to.throw(
        OptionError,
        `--peers: "${bad}" is not HOST:PORT`,
      );
    }
  });

  it('takes a bare port for one of this machine, and gathers several', () => {
    const read = targetOf('status');
    expect(read('10.0.0.1:9', read('8001')).map(formatAddress)).to.deep.equal([
      '127.0.0.1:8001',
      '10.0.0.1:9',
    ]);
    expect(() => read('80001')).to.throw(OptionError, 'status: "127.0.0.1:80001"');
  });

  it('refuses members that could not reach each other', () => {
    expect(reachableMembers(at('10.0.0.2:1'), [at('10.0.0.1:1')]).map(formatAddress)).to.deep.equal([
      '10.0.0.1:1',
      '10.0.0.2:1',
    ]);
    expect(() => reachableMembers(at('0.0.0.0:1'), [])).to.throw(OptionError, '--listen: 0.0.0.0');
    expect(() => reachableMembers(at('10.0.0.1:1'), [at('0.0.0.0:1')])).to.throw(
      OptionError,
      '--peers: 0.0.0.0',
    );
    expect(() => reachableMembers(at('127.0.0.1:1'), [at('10.0.0.1:1')])).to.throw(OptionError, 'loopback');
  });
});

describe('flags of a node', () => {
  const ALL = [
    ...['--app', 'python3 "k v.py"', '--heartbeat-ms', '50', '--leader-timeout-ms', '250'],
    ...['--request-timeout-ms', '1000', '--max-connections', '10', '--idle-ms', '2000'],
    ...['--max-line-bytes', '4096', '--max-buffered-bytes', '8192', '--segment-bytes', '65536'],
    '--allow-remote-done',
  ];

  function parse(words: readonly string[]): NodeFlags {
    const command = addNodeFlags(new Command('start').exitOverride());
    return command.parse(words, { from: 'user' }).opts<NodeFlags>();
  }

  it('reach the agent, each under its own name', () => {
    expect(agentOptionsFrom(parse(ALL))).to.deep.equal({
      app: 'python3 "k v.py"',
      heartbeat_ms: 50,
      leader_timeout_ms: 250,
      request_timeout_ms: 1000,
      allow_remote_done: true,
      limits: { max_connections: 10, idle_ms: 2000, max_line_bytes: 4096, max_buffered_bytes: 8192 },
      segment_bytes: 65_536,
    });
  });

  it('are handed on to the nodes of a cluster as they were given, and no others', () => {
    expect(parse(nodeArguments(parse(ALL)))).to.deep.equal(parse(ALL));
    expect(nodeArguments(parse([]))).to.deep.equal([]);
    expect(agentOptionsFrom(parse([]))).to.deep.equal({ limits: {} });
  });
});

describe('failures', () => {
  it('are told in one line, with the place in the program only for those who ask', () => {
    const error = new JournalError('missing', 'data is gone');
    expect(describeFailure(error, {})).to.equal('paxosd: data is gone');
    expect(describeFailure(error, { LOG_LEVEL: 'debug' })).to.match(/^paxosd: .*data is gone\n +at /);
  });

  it('have exit code 2 if they are about what was typed, else 1', () => {
    expect(exitCodeOf(new OptionError('x'))).to.equal(Exit.Usage);
    expect(exitCodeOf(new RangeError('x'))).to.equal(Exit.Usage);
    expect(exitCodeOf(new JournalError('missing', 'x'))).to.equal(Exit.Failed);
    expect(exitCodeOf('x')).to.equal(Exit.Failed);
  });
});

describe('signals to stop', () => {
  it('stop properly at first, and at once when the wish is repeated, which is not the same Ctrl-C twice', () => {
    const handlers = new Map<string, (signal: string) => void>();
    const happened: string[] = [];
    let now_ms = 1000;
    onStopSignals(
      (signal) => happened.push(signal),
      () => happened.push('force'),
      { on: (signal, handle) => handlers.set(signal, handle) },
      () => now_ms,
    );
    const send = (signal: string): void => handlers.get(signal)?.(signal);
    send('SIGINT');
    now_ms += 20;
    send('SIGTERM');
    expect(happened).to.deep.equal(['SIGINT']);
    now_ms += 1000;
    send('SIGINT');
    expect(happened).to.deep.equal(['SIGINT', 'force']);
  });
});

describe('reports of a node to its cluster', () => {
  it('are taken if they make sense', () => {
    expect(asReport({ report: 'started' })).to.deep.equal({ report: 'started' });
    expect(asReport({ report: 'leader', leader: null })).to.deep.equal({ report: 'leader', leader: null });
    expect(asReport({ report: 'leader', leader: 'a:1' })).to.deep.equal({ report: 'leader', leader: 'a:1' });
    for (const other of [
      null,
      'started',
      {},
      { report: 'leader' },
      { report: 'leader', leader: 1 },
      { report: 'x' },
    ]) {
      expect(asReport(other), JSON.stringify(other)).to.equal(undefined);
    }
  });
});
