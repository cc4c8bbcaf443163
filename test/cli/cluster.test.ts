import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { expect } from 'chai';
import { freePorts, LOOPBACK } from '../support/cluster-ports.js';
import { gone, isAlive, PROJECT, runToEnd, type Program } from '../support/process.js';
import { run, useWorkshop } from './support.js';

const QUICK = ['--heartbeat-ms', '50', '--leader-timeout-ms', '300', '--segment-bytes', '65536'];

interface NodeLine {
  readonly port: number;
  readonly pid: number;
}

/** The nodes whose processes were made, in the order in which that was said. */
function nodesOf(cluster: Program): NodeLine[] {
  const lines = cluster.stdout.matchAll(/^node 127\.0\.0\.1:(\d+) {2}pid (\d+) {2}status http/gm);
  return [...lines].map(([, port, pid]) => ({ port: Number(port), pid: Number(pid) }));
}

/** The pids of those that were said to lead, in order. */
function leadersOf(cluster: Program): number[] {
  return [...cluster.stdout.matchAll(/^127\.0\.0\.1:\d+ leads \(pid (\d+)\)\.$/gm)].map(([, pid]) =>
    Number(pid),
  );
}

function said(cluster: Program, pattern: RegExp): Promise<RegExpExecArray> {
  return cluster.until(String(pattern), () => pattern.exec(cluster.stdout) ?? undefined);
}

describe('paxosd cluster', function () {
  this.timeout(90_000);
  const { path, launch } = useWorkshop();
  let base = 0;
  let words: string[] = [];

  beforeEach(async () => {
    [base = 0] = await freePorts(6);
    words = clusterWords(3);
  });

  function clusterWords(nodes: number): string[] {
    const ports = ['--base-port', String(base), '--http-base-port', String(base + 3)];
    return ['cluster', '--nodes', String(nodes), ...ports, '--data-dir', path('data'), ...QUICK];
  }

  /** The cluster, when it has said everything that it says at the start. */
  async function running(...flags: readonly string[]): Promise<Program> {
    const cluster = launch([...words, ...flags]);
    await said(cluster, /Ctrl-C ends all nodes\./);
    return cluster;
  }

  const kvclient = (...parts: readonly string[]) =>
    runToEnd([process.execPath, `${PROJECT}dist/clients/typescript/kvclient.js`, ...parts]);

  it('makes three nodes, says who leads and what to type, and that works; Ctrl-C ends all', async () => {
    const cluster = await running('--app', 'kvapp');
    const nodes = nodesOf(cluster);
    expect(nodes.map(({ port }) => port)).to.deep.equal([base, base + 1, base + 2]);
    expect(await readdir(path('data'))).to.deep.equal(nodes.map(({ port }) => `node-${port}`));
    const [leader] = leadersOf(cluster);
    expect(nodes.map(({ pid }) => pid)).to.include(leader);
    expect(cluster.stdout).to.include(`kill -9 ${leader!} `);

    const [, put = ''] = await said(cluster, /npx kvclient (.* put .*)$/m);
    const [, get = ''] = await said(cluster, /npx kvclient (.* get .*)$/m);
    expect((await kvclient(...put.split(' '))).stdout).to.equal('hello world\n');
    expect((await kvclient(...get.split(' '))).stdout).to.equal('hello world\n');
    const [, status = ''] = await said(cluster, / (status \d.*)$/m);
    expect((await run(...status.split(' '))).stdout).to.match(/ leader .*connected/);

    cluster.signal('SIGINT');
    expect(await cluster.ended).to.deep.equal({ code: 0, signal: null });
    expect(nodes.filter(({ pid }) => isAlive(pid))).to.deep.equal([]);
    expect(cluster.stderr).to.match(new RegExp(`^${base} \\| .*"code":"stopped"`, 'm'));

    const again = await running('--app', 'kvapp');
    expect(again.stdout).to.include('Found the data directories of 3 nodes');
    expect((await kvclient(...get.split(' '))).stdout).to.equal('hello world\n');
  });

  it('runs one node alone, and ends when it is told Done', async () => {
    words = clusterWords(1);
    const cluster = await running();
    expect((await run('done', String(base))).code).to.equal(0);
    expect(await cluster.ended).to.deep.equal({ code: 0, signal: null });
    expect(cluster.stdout).to.include('has stopped.').and.include('No node is left.');
  });

  it('reports a death, the new leader, and the command that brings the dead back', async () => {
    const cluster = await running('--app', 'kvapp');
    const [leader = 0] = leadersOf(cluster);
    const { port = 0 } = nodesOf(cluster).find(({ pid }) => pid === leader) ?? {};
    process.kill(leader, 'SIGKILL');
    await said(
      cluster,
      new RegExp(`^node 127\\.0\\.0\\.1:${port} \\(pid ${leader}\\) was killed by SIGKILL`, 'm'),
    );
    const second = await cluster.until('a second leader', () => leadersOf(cluster)[1]);
    expect(second).not.to.equal(leader);

    const [, command = ''] = await said(cluster, /type in another terminal:\n {2}(.* start .*)$/m);
    expect(command)
      .to.include(`--http 127.0.0.1:`)
      .and.include('--app kvapp')
      .and.include('--heartbeat-ms 50');
    const [, ...flags] = command.split(' start ').at(1)!.split(' ');
    const back = launch(['start', '--data-dir', ...flags]);
    await back.logged('started', ({ msg }) => msg.includes(`127.0.0.1:${port}`));
    await back.logged('follow', ({ msg }) => msg.includes('follows 127.0.0.1:'));
  });

  it('with --restart starts the dead again, and not those that stopped on Done', async () => {
    const cluster = await running('--restart');
    const [first, second] = nodesOf(cluster);
    process.kill(first!.pid, 'SIGKILL');
    await said(cluster, /^Starts 127\.0\.0\.1:\d+ again in \d+ ms\.$/m);
    const reborn = await cluster.until('a fourth process', () => nodesOf(cluster)[3]);
    expect(reborn.port).to.equal(first!.port);
    expect(reborn.pid).not.to.equal(first!.pid);
    await cluster.until('its start', () =>
      cluster.stderr.split(`listens on 127.0.0.1:${first!.port},`).length > 2 ? true : undefined,
    );

    expect((await run('done', String(second!.port))).code).to.equal(0);
    await said(
      cluster,
      new RegExp(`^node 127\\.0\\.0\\.1:${second!.port} .* has stopped\\.\nTo start it again`, 'm'),
    );
    cluster.signal('SIGTERM');
    expect(await cluster.ended).to.deep.equal({ code: 0, signal: null });
    expect(nodesOf(cluster)).to.have.length(4);
  });

  it('leaves nobody behind when it is killed itself', async () => {
    const cluster = await running('--app', 'kvapp');
    const nodes = nodesOf(cluster);
    const closed = nodes.map(async ({ port }) => {
      const socket = connect(port, LOOPBACK).resume();
      await once(socket, 'connect');
      return { gone: once(socket, 'close') };
    });
    const connections = await Promise.all(closed);
    cluster.signal('SIGKILL');
    await Promise.all(connections.map((connection) => connection.gone));
    for (const { pid } of nodes) await gone(pid);
  });

  it('ends with the reason when a port is taken, instead of trying for ever', async () => {
    const server = createServer().listen(base + 1, LOOPBACK);
    await once(server, 'listening');
    const { code, stdout, stderr } = await run(...words, '--restart');
    server.close();
    expect(code).to.equal(1);
    expect(stderr).to.include(`${base + 1} | paxosd: cannot listen on TCP 127.0.0.1:${base + 1}`);
    expect(stdout)
      .to.include(`node 127.0.0.1:${base + 1} `)
      .and.include('could not start (exit code 1)');
    expect(stdout).to.include('ends the other nodes. Put right what stands above');
  });

  it('ends with the reason when the application is not there', async () => {
    const { code, stderr } = await run(...words, '--app', 'no-such-app');
    expect(code).to.equal(1);
    expect(stderr).to.include('| paxosd: --app: no such program "no-such-app"');
  });

  it('refuses folders of another cluster, and says which flags fit', async () => {
    words = clusterWords(1);
    const cluster = await running();
    await cluster.end('SIGTERM');
    words = clusterWords(3);
    const { code, stdout, stderr } = await run(...words);
    expect(code).to.equal(2);
    expect(stdout).to.equal('');
    expect(stderr)
      .to.match(/^paxosd: --data-dir: .*but not .*\n$/)
      .and.include(`node-${base + 2}`);
  });
});
