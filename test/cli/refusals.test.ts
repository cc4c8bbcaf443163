import { once } from 'node:events';
import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { initialise } from '../../src/index.js';
import { freePorts, LOOPBACK } from '../support/cluster-ports.js';
import { run, runWith, useWorkshop, type Outcome } from './support.js';

/** One line on standard error with every part in it, nothing else there or on standard output. */
function expectRefusal(outcome: Outcome, code: number, ...parts: readonly string[]): void {
  const { stdout, stderr } = outcome;
  expect(outcome.code, stderr).to.equal(code);
  expect(outcome.signal).to.equal(null);
  expect(stdout).to.equal('');
  expect(stderr).to.match(/^paxosd: [^\n]+\n$/);
  for (const part of parts) expect(stderr).to.include(part);
}

describe('paxosd refuses what was typed', function () {
  this.timeout(60_000);
  const { path } = useWorkshop();

  it('commands and flags that it does not know, with a hint in further lines', async () => {
    const outcome = await run('strat');
    expect(outcome.code).to.equal(2);
    expect(outcome.stdout).to.equal('');
    expect(outcome.stderr).to.match(/^paxosd: unknown command 'strat'\n\(Did you mean start\?\)\n/);
    expect((await run('start', '--data-dir', path('x'), '--heartbeat-ms', 'x')).code).to.equal(2);
    expect((await run()).code).to.equal(2);
  });

  it('ports of a cluster past the last one', async () => {
    const words = ['cluster', '--nodes', '3', '--base-port', '65535', '--data-dir', path('c')];
    expectRefusal(await run(...words), 2, '--base-port: 3 ports from 65535 on go past 65535');
  });

  it('a level of logging that there is not', async () => {
    const outcome = await runWith({ LOG_LEVEL: 'loud' }, 'start', '--data-dir', path('x'));
    expectRefusal(outcome, 2, 'LOG_LEVEL: "loud" is no level', 'trace, debug, info');
    const words = ['cluster', '--nodes', '1', '--base-port', '7001', '--data-dir', path('x')];
    expectRefusal(await runWith({ LOG_LEVEL: 'loud' }, ...words), 2, 'LOG_LEVEL: "loud" is no level');
  });

  it('addresses that are not IPv4 HOST:PORT', async () => {
    const init = (listen: string, ...peers: string[]) =>
      run('init', '--listen', listen, ...peers, '--data-dir', path('x'));
    const good = '127.0.0.1:7001';
    expectRefusal(
      await init('localhost:7001'),
      2,
      '--listen: "localhost:7001"',
      'write 127.0.0.1 for localhost',
    );
    expectRefusal(
      await init(good, '--peers', 'example.org:7001'),
      2,
      '--peers: "example.org:7001"',
      'dotted IPv4',
    );
    const start = await run('start', '--data-dir', path('x'), '--http', '8001');
    expectRefusal(start, 2, '--http: "8001" is not HOST:PORT');
  });

  it('peers that hold the node itself, or one twice, or too many, or that it could not reach', async () => {
    const init = (peers: string) =>
      run('init', '--listen', '127.0.0.1:7001', '--peers', peers, '--data-dir', path('x'));
    const many = Array.from({ length: 31 }, (_, i) => `127.0.0.1:${8001 + i}`).join(',');
    expectRefusal(
      await init('127.0.0.1:7002,127.0.0.1:7001'),
      2,
      '--peers: 127.0.0.1:7001 is this node itself',
    );
    expectRefusal(
      await init('127.0.0.1:7002,127.0.0.1:7002'),
      2,
      '--peers: 127.0.0.1:7002 stands there twice',
    );
    expectRefusal(await init(many), 2, '--peers: a cluster has at most 31 members, not 32');
    expectRefusal(await init('10.0.0.1:7001'), 2, 'loopback');
  });

  it('timers with which no leader could last', async () => {
    const self = { address: LOOPBACK, port: '7001' };
    await initialise(path('a'), { self, agents: [self], segment_bytes: 64 * 1024 });
    const outcome = await run('start', '--data-dir', path('a'), '--heartbeat-ms', '400');
    expectRefusal(outcome, 2, '--leader-timeout-ms: 400 must be more than --heartbeat-ms (400)');
  });
});

describe('paxosd start refuses', function () {
  this.timeout(60_000);
  const { path, launch } = useWorkshop();
  let port = 0;
  const start = (...flags: string[]) => run('start', '--data-dir', path('a'), ...flags);

  beforeEach(async () => {
    [port = 0] = await freePorts(1);
    const self = { address: LOOPBACK, port: String(port) };
    await initialise(path('a'), { self, agents: [self], segment_bytes: 64 * 1024 });
  });

  it('a data directory that is not there, or was never initialised', async () => {
    const absent = await run('start', '--data-dir', path('b'));
    expectRefusal(absent, 1, `${path('b')} doesn't exist`, 'paxosd init');
    await mkdir(path('b'));
    expectRefusal(await run('start', '--data-dir', path('b')), 1, 'identity.json is missing', 'paxosd init');
  });

  it('a data directory that cannot be read, or is a file', async () => {
    await rm(path('a', 'identity.json'));
    await symlink('identity.json', path('a', 'identity.json'));
    expectRefusal(await start(), 1, path('a', 'identity.json'));
    await writeFile(path('file'), '');
    expectRefusal(await run('start', '--data-dir', path('file')), 1, path('file'));
  });

  it('a data directory with the journal of another node', async () => {
    const other = { address: LOOPBACK, port: '1' };
    await initialise(path('other'), { self: other, agents: [other] });
    await rename(path('other', 'journal'), path('journal'));
    await rm(path('a', 'journal'), { recursive: true });
    await rename(path('journal'), path('a', 'journal'));
    expectRefusal(
      await start(),
      1,
      path('a', 'journal'),
      "doesn't belong here",
      "Put this node's own file back",
    );
  });

  it('an identity that was damaged, or edited into another cluster', async () => {
    const file = path('a', 'identity.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replaceAll(String(port), '1'));
    expectRefusal(await start(), 1, `${file} is damaged: its checksum is wrong`, 'backup');
    await writeFile(file, '');
    expectRefusal(await start(), 1, `${file} is damaged`);
  });

  it('a journal that is gone, emptied or damaged, with file and offset', async () => {
    const [segment = ''] = await segmentsOf(path('a'));
    const file = path('a', 'journal', segment);
    const whole = await readFile(file);
    const handle = await open(file, 'r+');
    await handle.write(Buffer.from('!'), 0, 1, 3);
    await handle.close();
    expectRefusal(await start(), 1, file, 'offset 0');
    await writeFile(file, whole);
    await truncate(file);
    expectRefusal(await start(), 1, file);
    await rm(path('a', 'journal'), { recursive: true });
    expectRefusal(await start(), 1, path('a', 'journal'), 'backup');
  });

  it('a data directory that another process has, by its number', async () => {
    const first = launch(['start', '--data-dir', path('a')]);
    await first.logged('started');
    expectRefusal(await start(), 1, `${path('a')} is in use by process ${first.pid}`, 'stop the other one');
  });

  it('a port that is taken, over TCP and over UDP', async () => {
    const server = createServer().listen(port, LOOPBACK);
    await once(server, 'listening');
    const tcp = await start();
    server.close();
    expectRefusal(tcp, 1, `127.0.0.1:${port}`, 'EADDRINUSE', 'free the port');
    const socket = createSocket('udp4').bind(port, LOOPBACK);
    await once(socket, 'listening');
    const udp = await start();
    socket.close();
    expectRefusal(udp, 1, `UDP 127.0.0.1:${port}`, 'EADDRINUSE', 'free the port');
  });

  it('a port for status that is taken', async () => {
    const server = createServer().listen(0, LOOPBACK);
    await once(server, 'listening');
    const address = server.address();
    const http = typeof address === 'object' ? `127.0.0.1:${address?.port ?? 0}` : '';
    const outcome = await start('--http', http);
    server.close();
    expect(outcome.code).to.equal(2);
    expect(outcome.stderr).to.include(`paxosd: --http: can't listen on ${http}`).and.include('EADDRINUSE');
  });

  it('an application that is not there or cannot be run', async () => {
    expectRefusal(
      await start('--app', 'no-such-app'),
      2,
      '--app: no such program "no-such-app" on PATH',
      './',
    );
    expectRefusal(await start('--app', './no/such'), 2, '--app: no such program', '/no/such');
    expectRefusal(await start('--app', ''), 2, '--app: the command is empty', '--app kvapp');
    expectRefusal(await start('--app', "kvapp 'x"), 2, '--app: a quote');
    await writeFile(path('plain'), '#!/bin/sh\n', { mode: 0o644 });
    expectRefusal(await start('--app', path('plain')), 2, '--app:', 'chmod +x');
  });

  it('to make a member of a directory that holds anything', async () => {
    const init = (directory: string) => run('init', '--listen', '127.0.0.1:7001', '--data-dir', directory);
    expectRefusal(await init(path('a')), 1, `${path('a')} is not empty`, 'paxosd start');
    await mkdir(path('b'));
    await appendFile(path('b', 'notes.txt'), 'x');
    expectRefusal(await init(path('b')), 1, 'it holds notes.txt', 'empty directory');
    expectRefusal(await init(path('b', 'notes.txt')), 1, 'is not a directory');
  });

  it('says where in the program only with LOG_LEVEL=debug', async () => {
    const { stderr } = await runWith({ LOG_LEVEL: 'debug' }, 'start', '--data-dir', path('absent'));
    expect(stderr)
      .to.match(/^paxosd: JournalError: .*doesn't exist/m)
      .and.match(/\n +at /);
  });
});

async function segmentsOf(directory: string): Promise<string[]> {
  return (await readdir(join(directory, 'journal'))).sort();
}
