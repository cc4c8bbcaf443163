import { execFile, fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { BenchCluster } from '../../bench/cluster.js';
import { Generator } from '../../bench/generator.js';
import { benchProgram, PAXOSD } from '../../bench/paths.js';
import { BARE, CHECKED, PathPeer, UNCHECKED, type Path } from '../../bench/peer/paths.js';
import { startEtcd } from '../../bench/peer/etcd.js';
import { SILENT } from '../../bench/progress.js';
import { runBench, type BenchOptions } from '../../bench/run.js';
import { TINY } from '../../bench/scale.js';
import { until } from '../../bench/wait.js';
import { formatAddress } from '../../src/core/address.js';
import { MessageType } from '../../src/core/message.js';
import type { Address } from '../../src/index.js';
import { textOfLine } from '../../src/journal/format.js';
import { decodeMessage } from '../../src/wire/codec.js';

/** The bench in its smallest form: does it count right, and does it report? Whether it is fast is not asked. */

const run = promisify(execFile);

/** Clusters of several processes start and stop in each of these tests, on machines that do other things too. */
const TIMEOUT_MS = 150_000;

/** How long a load may take until it is under way. */
const UNDER_WAY_MS = 20_000;

interface LogLine {
  readonly request?: { readonly id?: number; readonly no?: number };
}

/** The first entries of a node's raw log, as `ID:NO`; no-ops have no id. */
async function requestsInLog(node: Address, entries: number): Promise<string[]> {
  const socket = connect({ host: node.address, port: Number(node.port) });
  try {
    await once(socket, 'connect');
    socket.write('{"type":13,"request":{"noset":true}}\n');
    const found: string[] = [];
    let seen = 0;
    for await (const text of createInterface({ input: socket })) {
      const { request = {} } = JSON.parse(text) as LogLine;
      if (request.id !== undefined) found.push(`${request.id}:${request.no ?? 0}`);
      if (++seen === entries) return found;
    }
    throw new Error(`the log ended after ${seen} of ${entries} entries`);
  } finally {
    socket.destroy();
  }
}

/** Fails unless a text is XML whose elements are all closed, with no number that isn't one. */
function expectWellFormed(svg: string): void {
  expect(svg).to.match(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
  expect(svg).to.not.match(/NaN|Infinity|undefined/);
  const open: string[] = [];
  const rest = svg.replaceAll(
    /<(\/?)(\w+)((?: [\w-]+="[^"<]*")*)(\/?)>/g,
    (_, end: string, name: string, __, empty) => {
      if (end !== '') expect(open.pop(), `</${name}> ends`).to.equal(name);
      else if (empty === '') open.push(name);
      return '';
    },
  );
  expect(open).to.deep.equal([]);
  expect(rest).to.not.match(/[<>]|&(?!amp;|lt;|gt;|quot;)/);
}

describe('bench', function () {
  this.timeout(TIMEOUT_MS);
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'paxosd-bench-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  function options(more: Partial<BenchOptions>): BenchOptions {
    return {
      scale: TINY,
      only: [],
      peers: [],
      data_folder: join(folder, 'data'),
      out_folder: join(folder, 'out'),
      profile: false,
      command: 'bench',
      startProgress: () => SILENT,
      ...more,
    };
  }

  async function report(more: Partial<BenchOptions>): Promise<{ text: string; plots: string[] }> {
    const path = await runBench(options(more));
    expect(path).to.equal(join(folder, 'out', 'results.md'));
    expect(await readdir(join(folder, 'data')), 'what is left of the clusters').to.deep.equal([]);
    const plots = (await readdir(join(folder, 'out'))).filter((name) => name.endsWith('.svg')).sort();
    for (const plot of plots) expectWellFormed(await readFile(join(folder, 'out', plot), 'utf8'));
    const text = await readFile(path, 'utf8');
    expect([...text.matchAll(/\]\((\w+\.svg)\)/g)].map((link) => link[1]).sort()).to.deep.equal(plots);
    expect(text).to.not.match(/NaN|Infinity|undefined/);
    return { text, plots };
  }

  describe('with a cluster', () => {
    let cluster: BenchCluster;
    let generator: Generator;

    beforeEach(async () => {
      cluster = await BenchCluster.start({ nodes: 3, folder });
      generator = new Generator();
    });

    afterEach(async () => {
      await generator.end();
      await cluster.remove();
    });

    const LOAD = { clients: 4, in_flight: 8, value_bytes: 64, warm_up_ms: 0, measure_ms: Infinity };

    it('has every request answered, and logged, exactly once', async () => {
      const requests = 500;
      const result = await generator.run({ ...LOAD, servers: cluster.servers, requests });
      expect(result.totals).to.deep.equal({ sent: requests, answered: requests, refused: 0, unanswered: 0 });
      expect(result.answered).to.be.within(1, requests);
      expect(result.latency.count).to.equal(result.answered);
      expect(result.timeline.reduce((sum, count) => sum + count, 0)).to.equal(requests);
      const logged = await requestsInLog(cluster.servers[0] as Address, await cluster.settled());
      expect(logged).to.have.length(requests);
      expect(new Set(logged).size).to.equal(requests);
    });

    it('loses and doubles nothing when the leader dies', async () => {
      const running = generator.run({ ...LOAD, servers: cluster.servers });
      await until('answers to a load', UNDER_WAY_MS, async () =>
        (await generator.sample()).answered > 0 ? true : undefined,
      );
      const { leader } = await cluster.roles();
      const at_ms = Number(process.hrtime.bigint()) / 1e6;
      const answered = generator.firstAnswerAfter(at_ms);
      await leader.end('SIGKILL');
      expect(await answered).to.be.above(at_ms);
      await generator.stop();
      const { totals, notes, refused } = await running;
      expect(totals).to.deep.include({ refused: 0, unanswered: 0 });
      expect(totals.answered).to.equal(totals.sent);
      expect(refused).to.deep.equal({});
      expect(notes['reconnect']).to.be.at.least(LOAD.clients);
      const survivor = cluster.nodes.find((node) => node !== leader)?.address as Address;
      const logged = await requestsInLog(survivor, await cluster.settled());
      // A request that was proposed by both leaders stands in the log twice, and is executed once.
      expect(new Set(logged).size).to.equal(totals.sent);
    });

    it('sends no more in an open loop than is due', async () => {
      const plan = { ...LOAD, servers: cluster.servers, rate_per_s: 100, measure_ms: 500 };
      const from_ms = performance.now();
      const { totals } = await generator.run(plan);
      const lasted_ms = performance.now() - from_ms;
      expect(totals.sent).to.be.within(1, (lasted_ms * plan.rate_per_s) / 1000);
      expect(totals.answered).to.equal(totals.sent);
    });

    it('is a command for any cluster, too', async () => {
      const servers = cluster.servers.map(({ port }) => port);
      const words = ['bench', ...servers, '--clients', '3', '--in-flight', '2', '--seconds', '1'];
      const { stdout } = await run(process.execPath, [PAXOSD, ...words, '--json']);
      const result = JSON.parse(stdout) as { totals: { sent: number; answered: number }; answered: number };
      expect(result).to.deep.include({ clients: 3, in_flight: 2, value_bytes: 64, refused: {}, notes: {} });
      expect(result.totals).to.include({ answered: result.totals.sent, unanswered: 0 });
      expect(result.answered).to.be.above(0);
      const text = await run(process.execPath, [PAXOSD, ...words]);
      expect(text.stdout).to.match(
        /^3 clients × 2 in flight, values of 64 bytes, 1 s\nanswers {3}\d+ \(\d+\/s\)\nlatency/,
      );
    });
  });

  it('reports closed loops and a failover with their plots, and the hottest functions of the nodes', async () => {
    const { text, plots } = await report({ only: ['closed', 'failover'], peers: ['bare'], profile: true });
    expect(plots).to.deep.equal(['failover.svg', 'latency.svg', 'throughput.svg']);
    expect(text.match(/^## .*/gm)).to.deep.equal(['## Closed loops', '## Failover', '## Profiles']);
    for (const shape of ['1 × 1', '10 × 1', '10 × 50']) {
      for (const system of ['paxosd', 'bare', 'no work']) {
        expect(text).to.match(new RegExp(`\\| ${shape} \\| ${system} \\| [\\d,.]+ .* \\| – \\|`));
      }
    }
    expect(text).to.match(/\| paxosd ÷ bare \|.*\n.*\n(?:\| \d+ × \d+ (?:\| [\d,.]+ ){4}\|\n){3}/);
    expect(text).to.match(/one request: fdatasync \+ UDP \+ 2 × TCP \| [\d,.]*[1-9]/);
    expect(text).to.match(/\| 1 \| [\d,.]*[1-9].* \| 0 \| reconnect \d+/);
    // Two clusters of three nodes had seven lives; the one that was killed left no profile.
    expect(text.match(/\.cpuprofile: \d+ ms at work/g)).to.have.length(6);
    expect(text).to.match(/dist\/src\/\w+\/[\w-]+\.js:\d+ \| \d/);
  });

  it('reports what a history costs, and how a node comes back', async () => {
    const { text, plots } = await report({ only: ['history', 'restart', 'catch-up'] });
    expect(plots).to.deep.equal(['cost.svg', 'memory.svg']);
    expect(text.match(/^## .*/gm)).to.deep.equal([
      '## Restart with a long journal',
      '## History',
      '## Catching up',
    ]);
    const caught_up = /^\| entries missed .*\n.*\n\|(.*)\|$/m.exec(text)?.[1]?.split('|');
    expect(caught_up).to.have.length(8);
    for (const one of caught_up ?? []) expect(Number(one.replaceAll(',', ''))).to.be.at.least(0);
  });

  it('refuses a measurement that it does not know', async () => {
    const error = await runBench(options({ only: ['fast'] })).catch((reason: unknown) => reason);
    expect(error)
      .to.be.an('error')
      .with.property('message')
      .that.matches(/"fast"; there are closed, closed-1, /);
  });

  /** Loads a path for a moment; resolves with what each of its files holds. */
  async function filesOf(path: Path): Promise<{ leader: string; followers: string[] }> {
    const generator = new Generator();
    try {
      const peer = await PathPeer.start(path, folder, { generator, scale: TINY });
      const load = { clients: 4, in_flight: 8, value_bytes: 64, warm_up_ms: 0, measure_ms: 300 };
      const { errors, per_second, cost } = await peer.run(load).finally(() => peer.stop());
      expect(errors).to.equal(0);
      expect(per_second).to.be.above(0);
      expect('app' in cost).to.equal(path.has_app);
    } finally {
      await generator.end();
    }
    const read = (name: string): Promise<string> => readFile(join(folder, path.name, name), 'latin1');
    const [leader = '', ...followers] = await Promise.all(['leader', 'follower-0', 'follower-1'].map(read));
    return { leader, followers };
  }

  /** Entries from `first` on without a gap, each of them on two of three disks. */
  function expectReplicated(leader: readonly number[], followers: readonly number[], first: number): void {
    expect(leader).to.have.length.above(0);
    expect(leader, 'numbered without a gap').to.deep.equal(leader.map((_, i) => first + i));
    expect([...new Set(followers)].sort((a, b) => a - b)).to.deep.equal(leader);
  }

  it('compares with a bare path that has each answered request on two of three disks', async () => {
    const { leader, followers } = await filesOf(BARE);
    const entriesIn = (text: string): number[] =>
      [...text.matchAll(/^\{"entry":(\d+),"id":\d+,"asked":\{.*\}\}\}$/gm)].map(([, no]) => Number(no));
    expectReplicated(entriesIn(leader), followers.flatMap(entriesIn), 0);
  });

  for (const path of [UNCHECKED, CHECKED])
    it(`compares with a path, "${path.name}", that writes a record for each, as a node does`, async () => {
      const { leader, followers } = await filesOf(path);
      const entriesIn = (text: string): number[] =>
        [...text.matchAll(/^[0-9a-f]{8} accepted \{.*\}\n/gm)].map(([line]) => {
          const record = textOfLine(Buffer.from(line, 'latin1'))?.replace('accepted ', '');
          expect(record, line).to.be.a('string');
          const decoded = decodeMessage(record ?? '');
          expect(decoded.ok && decoded.message.type, line).to.equal(MessageType.AcceptRequest);
          if (decoded.ok && decoded.from !== undefined) senders.add(formatAddress(decoded.from));
          return decoded.ok && 'entry' in decoded.message ? decoded.message.entry : NaN;
        });
      const senders = new Set<string>();
      expectReplicated(entriesIn(leader), followers.flatMap(entriesIn), 1);
      expect(senders, 'all are of the leader').to.have.length(1);
    });

  it('has a checked path whose followers take only what they may', async () => {
    const child = fork(benchProgram(CHECKED.program), [join(folder, 'log')]);
    const exited = once(child, 'exit');
    const leader = createSocket('udp4').bind(0, '127.0.0.1');
    try {
      const [[port]] = (await Promise.all([once(child, 'message'), once(leader, 'listening')])) as [
        [number],
        [],
      ];
      const self = { address: '127.0.0.1', port: String(leader.address().port) };
      const ask = (at: number, round: number, value: string, from = self): string =>
        `{"type":4,"fromaddress":"${from.address}","fromport":"${from.port}",` +
        `"request":{"id":1,"no":${at},"entry":${at}},"entry":${at},"round":${round},"value":${value}}`;
      const refused = [
        'nonsense',
        ask(1, 2, '3'),
        ask(1, 2, '"x"', { ...self, port: '1' }),
        ask(1, 2, '"x"').replace('"entry":1,"round"', '"entry":9,"round"'),
      ];
      const asked = [
        ...refused,
        ask(1, 2, '"a"'),
        ask(1, 2, '"other"'),
        ask(2, 1, '"late"'),
        ask(3, 2, '"b"'),
      ];
      const answered = once(leader, 'message');
      leader.send(asked.map((text) => `${text}\n`).join(''), port, '127.0.0.1');
      const [answers] = (await answered) as [Buffer];
      const texts = answers.toString().trimEnd().split('\n');
      expect(texts.map((text) => (JSON.parse(text) as { value: string }).value)).to.deep.equal(['a', 'b']);
    } finally {
      leader.close();
      child.disconnect();
      await exited;
    }
  });

  it('says what is missing where etcd is not installed', async () => {
    const { PATH } = process.env;
    process.env['PATH'] = folder;
    try {
      expect(await startEtcd(folder)).to.match(/no etcd is on the PATH; install it/);
    } finally {
      process.env['PATH'] = PATH;
    }
  });
});
