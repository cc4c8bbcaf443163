import { once } from 'node:events';
import { appendFile, open, readdir } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { expect } from 'chai';
import { VERSION, type AgentStatus } from '../../src/index.js';
import { freePorts, LOOPBACK } from '../support/cluster-ports.js';
import { paxosd, Program, runToEnd } from '../support/process.js';
import { run, useWorkshop } from './support.js';

const QUICK = ['--heartbeat-ms', '50', '--leader-timeout-ms', '200', '--segment-bytes', '65536'];

/** Makes the process reject a promise that nobody handles, on SIGUSR2. */
const SABOTAGE = "process.on('SIGUSR2', () => void Promise.reject(new Error('sabotage')))";

describe('paxosd', function () {
  this.timeout(60_000);
  const { path, launch } = useWorkshop();
  let address = '';
  let port = '';
  let http = '';

  beforeEach(async () => {
    [port = '', http = ''] = (await freePorts(2)).map(String);
    address = `${LOOPBACK}:${port}`;
  });

  /** A cluster of one that leads. */
  async function leading(flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Program> {
    expect((await run('init', '--listen', address, '--data-dir', path('a'))).code).to.equal(0);
    const words = ['start', '--data-dir', path('a'), '--http', `${LOOPBACK}:${http}`, ...QUICK, ...flags];
    const node = launch(words, env);
    await node.logged('leading');
    return node;
  }

  it('explains itself and tells its version', async () => {
    const help = await run('--help');
    expect(help).to.include({ code: 0, stderr: '' });
    expect(help.stdout).to.include('Examples:');
    expect((await run('--version')).stdout).to.equal(`${VERSION}\n`);
  });

  it('init says what to type next, and that works', async () => {
    const words = ['init', '--listen', address, '--data-dir', path('a b')];
    const { code, stdout } = await run(...words);
    expect(code).to.equal(0);
    expect(stdout).to.include(`data directory of node ${address} in a cluster of its own`);
    const command = stdout.trimEnd().split('\n').at(-1)!.trim();
    const node = new Program(command, ['sh', '-c', `exec ${command}`]);
    try {
      expect((await node.logged('started')).msg).to.include(address);
    } finally {
      await node.end('SIGTERM');
    }
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`start ends properly on ${signal}, and goes on from there`, async () => {
      const node = await leading();
      node.signal(signal);
      expect(await node.ended).to.deep.equal({ code: 0, signal: null });
      expect(node.log('stopped')).to.have.length(1);
      const again = launch(['start', '--data-dir', path('a'), ...QUICK]);
      await again.logged('leading');
    });
  }

  it('start writes its log for people or for programs, as told', async () => {
    const node = await leading(['--log-format', 'json']);
    node.signal('SIGTERM');
    await node.ended;
    expect(node.stdout).to.equal('');
    const pretty = launch(['start', '--data-dir', path('a'), '--log-format', 'pretty', ...QUICK]);
    await pretty.until('a readable line', () => /INFO.*: listens on /.exec(pretty.stderr) ?? undefined);
    expect(pretty.log()).to.deep.equal([]);
  });

  it('start ends on an error that nobody caught, and says so', async () => {
    const node = await leading([], {
      NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(SABOTAGE)}`,
    });
    node.signal('SIGUSR2');
    expect(await node.ended).to.deep.equal({ code: 1, signal: null });
    const [line] = node.log('uncaught');
    expect(line).to.include({ level: 60 });
    expect(JSON.stringify(line)).to.include('sabotage');
  });

  it('status shows a node, also to programs', async () => {
    const node = await leading();
    const text = await run('status', http);
    expect(text).to.include({ code: 0, stderr: '' });
    expect(text.stdout)
      .to.match(/^NODE +ROLE/)
      .and.match(new RegExp(`${address} +leader +${address} +yes`));
    const json = await run('status', `${LOOPBACK}:${http}`, '--json');
    expect(json.code).to.equal(0);
    const [status] = JSON.parse(json.stdout) as AgentStatus[];
    expect(status).to.deep.include({ http: `${LOOPBACK}:${http}`, address, role: 'leader', pid: node.pid });
  });

  it('status shows those that answer, and says of the others why they do not', async () => {
    await leading();
    const [nobody = 0] = await freePorts(1);
    const outcome = await run('status', http, port, String(nobody));
    expect(outcome.code).to.equal(1);
    expect(outcome.stdout).to.include(`${address} `);
    expect(outcome.stderr).to.include(`paxosd: ${address}: that is a node's client port`);
    expect(outcome.stderr).to.include(`paxosd: ${LOOPBACK}:${nobody}: can't be reached`);
    const json = await run('status', String(nobody), http, '--json');
    expect(json.code).to.equal(1);
    const items = JSON.parse(json.stdout) as { http: string; error?: string }[];
    expect(items[0]!.error).to.include('ECONNREFUSED');
    expect(items[1])
      .to.include({ http: `${LOOPBACK}:${http}` })
      .and.not.have.property('error');
  });

  it('done stops a node, which ends with 0', async () => {
    const node = await leading();
    expect(await run('done', port)).to.include({ code: 0, stdout: `${address} stops\n`, stderr: '' });
    expect(await node.ended).to.deep.equal({ code: 0, signal: null });
    const again = await run('done', port);
    expect(again.code).to.equal(1);
    expect(again.stderr).to.include(`paxosd: ${address}: can't be reached`).and.include('ECONNREFUSED');
  });

  it('done says when it is refused, when nothing happens, and when nobody of ours is there', async () => {
    const refusing = createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.write('{"type":16,"error":"not-allowed: Done is obeyed from the loopback only"}\n');
    }).listen(0, LOOPBACK);
    const silent = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, LOOPBACK);
    const web = createHttpServer((_request, response) => response.end()).listen(0, LOOPBACK);
    const servers = [refusing, silent, web];
    await Promise.all(servers.map((server) => once(server, 'listening')));
    const ports = servers.map((server) => String((server.address() as AddressInfo).port));
    const { code, stdout, stderr } = await run('done', ...ports, '--timeout-ms', '300');
    for (const server of servers) server.close();
    expect(code).to.equal(1);
    expect(stdout).to.equal('');
    expect(stderr).to.include(`${ports[0]!}: refused: not-allowed: Done is obeyed from the loopback only\n`);
    expect(stderr).to.include(`${ports[1]!}: did not stop within 300 ms\n`);
    expect(stderr).to.include(`${ports[2]!}: what answers there is not a node's client port`);
  });

  it('journal prints and verifies, while the node runs and after it', async () => {
    const node = await leading();
    const running = await run('journal', path('a'));
    expect(running).to.include({ code: 0, stderr: '' });
    expect(running.stdout)
      .to.include(`journal of ${address}`)
      .and.match(/used .*round 0/);
    await node.end('SIGTERM');
    const verified = await run('journal', path('a'), '--verify');
    expect(verified).to.include({ code: 0, stderr: '' });
    expect(verified.stdout).to.match(/^whole: 1 segments, .*promised round 0 to .*\n$/);
  });

  it('journal ends well when nobody reads on', async () => {
    await leading();
    const command = paxosd('journal', path('a')).join(' ');
    const { code, stderr } = await runToEnd(['bash', '-c', `set -o pipefail; ${command} | true`]);
    expect(code, stderr).to.equal(0);
    expect(stderr).to.equal('');
  });

  it('journal finds damage and names the place', async () => {
    const node = await leading();
    await node.end('SIGTERM');
    const file = path('a', 'journal', (await readdir(path('a', 'journal'))).sort()[0]!);
    const handle = await open(file, 'r+');
    await handle.write(Buffer.from('!'), 0, 1, 3);
    await handle.close();
    for (const flags of [[], ['--verify']]) {
      const { code, stdout } = await run('journal', path('a'), ...flags);
      expect(code).to.equal(1);
      expect(stdout)
        .to.match(/^DAMAGED: .*/m)
        .and.include(`${file}, offset 0`);
    }
    const absent = await run('journal', path('absent'));
    expect(absent).to.include({ code: 1, stdout: '' });
    expect(absent.stderr).to.match(/^paxosd: .*absent.*\n$/);
    await appendFile(path('a', 'identity.json'), 'x');
    expect((await run('journal', path('a'))).stderr).to.include('identity.json is damaged');
  });
});
