import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { planNodes, prepareFolders } from '../../src/cli/cluster-layout.js';
import { describeEnd, startByHand, whatNext } from '../../src/cli/cluster-words.js';
import { commandLine } from '../../src/cli/shell.js';
import { formatAddress, initialise, JournalError, OptionError, readIdentity } from '../../src/index.js';
import { runToEnd } from '../support/process.js';
import { useWorkshop } from './support.js';

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof Error)) throw new Error('was expected to be refused');
  return outcome;
}

describe('ports of a cluster', () => {
  it('follow each other, those for status a thousand above', () => {
    const plans = planNodes({ nodes: 3, basePort: 7001, dataDir: 'data' });
    expect(plans.map(({ address }) => formatAddress(address))).to.deep.equal([
      '127.0.0.1:7001',
      '127.0.0.1:7002',
      '127.0.0.1:7003',
    ]);
    expect(plans.map(({ http }) => http.port)).to.deep.equal(['8001', '8002', '8003']);
    expect(plans.map(({ directory }) => directory)).to.deep.equal([
      'data/node-7001',
      'data/node-7002',
      'data/node-7003',
    ]);
  });

  it('are refused past the last port, and where the two rows meet', () => {
    const plan = (basePort: number, httpBasePort?: number) => () =>
      planNodes({ nodes: 3, basePort, dataDir: 'data', ...(httpBasePort !== undefined && { httpBasePort }) });
    expect(plan(65_534)).to.throw(OptionError, '--base-port: 3 ports from 65534 on go past 65535; use 65533');
    expect(plan(65_533)).to.throw(OptionError, '--http-base-port: 3 ports from 66533 on go past 65535');
    expect(plan(65_533, 8001)).not.to.throw();
    expect(plan(7001, 7003)).to.throw(OptionError, 'overlap');
    expect(plan(7003, 7001)).to.throw(OptionError, 'overlap');
    expect(plan(7001, 7004)).not.to.throw();
  });
});

describe('folders of a cluster', () => {
  const { path, folder } = useWorkshop();
  const plansOf = (nodes: number, basePort: number) => planNodes({ nodes, basePort, dataDir: folder() });

  it('are made once, and found again', async () => {
    const plans = plansOf(3, 7001);
    expect(await prepareFolders(folder(), plans)).to.equal('initialised');
    const before = await readIdentity(path('node-7002'));
    expect(before.self.port).to.equal('7002');
    expect(before.agents.map(({ port }) => port)).to.deep.equal(['7001', '7002', '7003']);
    expect(await prepareFolders(folder(), plans)).to.equal('found');
    expect(await readIdentity(path('node-7002'))).to.deep.equal(before);
  });

  it('are made below a folder that does not exist yet', async () => {
    const dataDir = path('deep', 'down');
    const plans = planNodes({ nodes: 1, basePort: 7001, dataDir });
    expect(await prepareFolders(dataDir, plans)).to.equal('initialised');
    expect(await readdir(dataDir)).to.deep.equal(['node-7001']);
  });

  it('are refused if one is lost, and nothing is made in its place', async () => {
    const plans = plansOf(3, 7001);
    await prepareFolders(folder(), plans);
    await rm(path('node-7002'), { recursive: true });
    const error = await failureOf(prepareFolders(folder(), plans));
    expect(error).to.be.instanceOf(OptionError);
    expect(error.message)
      .to.include(`but not ${path('node-7002')}`)
      .and.include('restore them');
    expect(await readdir(folder())).to.deep.equal(['node-7001', 'node-7003']);
  });

  it('are refused for another number of nodes, with the flags that fit', async () => {
    await prepareFolders(folder(), plansOf(3, 7001));
    const fewer = await failureOf(prepareFolders(folder(), plansOf(1, 7001)));
    expect(fewer).to.be.instanceOf(OptionError);
    expect(fewer.message).to.include('cluster of 3').and.include('--nodes 3 --base-port 7001');
    const more = await failureOf(prepareFolders(folder(), plansOf(5, 7001)));
    expect(more.message).to.include(`but not ${path('node-7004')}, ${path('node-7005')}`);
  });

  it('are refused for other ports', async () => {
    await prepareFolders(folder(), plansOf(3, 7001));
    const error = await failureOf(prepareFolders(folder(), plansOf(3, 7101)));
    expect(error).to.be.instanceOf(OptionError);
    expect(error.message).to.include('node-7001, node-7002, node-7003').and.include('another --data-dir');
  });

  it('are refused if they were swapped', async () => {
    const plans = plansOf(2, 7001);
    await prepareFolders(folder(), plans);
    await rename(path('node-7001'), path('aside'));
    await rename(path('node-7002'), path('node-7001'));
    await rename(path('aside'), path('node-7002'));
    const error = await failureOf(prepareFolders(folder(), plans));
    expect(error).to.be.instanceOf(OptionError);
    expect(error.message).to.include(`${path('node-7001')} is the data directory of node 127.0.0.1:7002`);
  });

  it('are refused for the first that does not fit, though another takes less time to refuse', async () => {
    const plans = plansOf(2, 7001);
    await prepareFolders(folder(), plans);
    await writeFile(path('node-7001', 'identity.json'), 'x'.repeat(1 << 20));
    await rm(path('node-7002', 'identity.json'));
    const error = await failureOf(prepareFolders(folder(), plans));
    expect(error.message).to.include(path('node-7001')).and.not.include(path('node-7002'));
  });

  it('are refused if their nodes belong to a cluster that only "start" can run', async () => {
    const self = { address: '127.0.0.1', port: '7001' };
    const agents = [self, { address: '127.0.0.2', port: '7001' }];
    await initialise(path('node-7001'), { self, agents });
    const error = await failureOf(prepareFolders(folder(), plansOf(1, 7001)));
    expect(error.message).to.include('cluster of 2').and.include('one by one with "paxosd start"');
  });

  it('are refused without an identity', async () => {
    await mkdir(path('node-7001'));
    const error = await failureOf(prepareFolders(folder(), plansOf(1, 7001)));
    expect(error).to.be.instanceOf(JournalError);
    expect(error.message).to.include('identity.json is missing');
  });
});

describe('words of the cluster command', () => {
  it('quote what a shell would take apart', async () => {
    const words = ['a b', "it's", '$HOME', '', '*', 'plain-1:2/3.4', 'ü', '"'];
    const { stdout } = await runToEnd(['sh', '-c', `printf '%s\\n' ${commandLine(words)}`]);
    expect(stdout.split('\n').slice(0, -1)).to.deep.equal(words);
  });

  it('say how a node ended', () => {
    const end = { code: null, signal: null, had_started: true, lived_ms: 1, pid: 1 };
    expect(describeEnd({ ...end, signal: 'SIGKILL' })).to.equal('was killed by SIGKILL');
    expect(describeEnd({ ...end, code: 0 })).to.equal('has stopped');
    expect(describeEnd({ ...end, code: 1 })).to.include('has failed (exit code 1)');
    expect(describeEnd({ ...end, code: 2, had_started: false })).to.include('could not start (exit code 2)');
    expect(describeEnd({ ...end, error: new Error('no memory') })).to.equal('could not be run: no memory');
  });

  it('give the command that starts a node by hand', () => {
    expect(startByHand(['--app', 'python3 kvapp.py'])).to.match(/ start --app 'python3 kvapp\.py'$/);
  });

  it('say what to type with real numbers: kvclient for a key-value application, nc for others', () => {
    const plans = planNodes({ nodes: 3, basePort: 7001, dataDir: 'data' });
    const leader = { address: '127.0.0.1:7002', pid: 42 };
    for (const app of ['kvapp', './kvapp', 'python3 clients/python/kvapp.py', '/opt/kvapp --x']) {
      const text = whatNext(plans, leader, app).join('\n');
      expect(text, app).to.include('kvclient 7001 put greeting hello world').and.include('kvclient 7003 get');
      expect(text).to.include('status 8001 8002 8003').and.include('kill -9 42');
    }
    for (const app of [undefined, 'cat', 'mykvapp']) {
      const text = whatNext(plans, leader, app).join('\n');
      expect(text, app).to.include('| nc 127.0.0.1 7002').and.not.include('kvclient');
    }
    expect(whatNext(plans.slice(0, 1), leader).join('\n')).not.to.include('kill');
  });
});
