import { expect } from 'chai';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeKvRequest } from '../../clients/typescript/index.js';
import { LOOPBACK } from '../support/cluster-ports.js';
import { useClusters } from '../support/cluster-hooks.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { eventually } from '../support/process.js';
import { errorCode, RawUdp, type Place, type RawClient } from '../support/process-wire.js';
import { expectSameReign, PATIENT } from './network/support.js';
import { examples, manyOf, type Rename } from './support/corpus.js';
import { judgedTitle } from './support/judge.js';
import { expectSound, load } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { descriptors, residentBytes } from './support/watch.js';

/** The corpus has about 22,000 cases; then it begins again, with other bits. */
const CASES = deep(22_000, 1_000_000);

/** Cases before the first look at the memory: what a node grows by with use alone. */
const WARM_UP = deep(4_000, 50_000);

const SEED = Number(process.env['SEED'] ?? 1);

/** What a node may grow by: garbage is collected late, and clients' requests are being kept too. */
const MAX_GROWTH_BYTES = 64 * 1024 * 1024;

/** A connection for the status and a file of the journal come and go. */
const MAX_MORE_DESCRIPTORS = 8;

/** Lines that are written before anything is read: below what a node holds back for a slow reader. */
const BATCH = 200;

const MAX_DATAGRAM_BYTES = 65_507;

/** More connections than a node takes, each of which says a byte now and then. */
const SLOW_CONNECTIONS = 60;
const LIMITS = ['--max-connections', '50', '--idle-ms', '1500'];

/** Requests in one write, each of which is answered at once. */
const IN_ONE_SEGMENT = 1_000;

const QUERY = { type: 7, request: { noset: true, entry: 0 } };

interface Held {
  readonly pid: number;
  readonly bytes: number;
  readonly open: number;
}

function held(nodes: readonly TestNode[]): Held[] {
  return nodes.map((node) => ({
    pid: node.process.pid,
    bytes: residentBytes(node),
    open: descriptors(node),
  }));
}

/** The same processes, with about the memory and the descriptors that they had. */
async function expectFlat(nodes: readonly TestNode[], before: readonly Held[]): Promise<void> {
  for (const [i, node] of nodes.entries()) {
    const { pid, bytes, open } = before[i]!;
    expect([node.running, node.process.pid]).to.eql([true, pid]);
    expect(residentBytes(node) - bytes, 'growth in bytes').to.be.below(MAX_GROWTH_BYTES);
    await eventually('no more descriptors', () =>
      descriptors(node) <= open + MAX_MORE_DESCRIPTORS ? true : undefined,
    );
  }
}

/** What the nodes have logged moves no cursor and colours nothing. */
function expectPlainLogs(nodes: readonly TestNode[]): void {
  for (const node of nodes) {
    // eslint-disable-next-line no-control-regex -- It is what is looked for.
    expect(node.process.stderr).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  }
}

/** Says everything in the name of one of these. */
function inTheNameOf(nodes: readonly Place[]): Rename {
  let next = 0;
  return (text) => {
    const { address, port } = nodes[next++ % nodes.length]!;
    return text
      .replace(/"fromaddress": ?"[^"]*"/, `"fromaddress":"${address}"`)
      .replace(/"fromport": ?"[^"]*"/, `"fromport":"${port}"`);
  };
}

/** Writes lines, with something at the end whose answer shows that all was read; what was answered before it. */
async function say(raw: RawClient, lines: readonly Uint8Array[]): Promise<number> {
  const before = raw.all.length;
  for (const line of lines) raw.write(line).write('\n');
  raw.send(QUERY);
  await raw.until('the answer behind a batch', () => raw.all.at(-1)?.type === 8);
  const answers = raw.all.slice(before, -1);
  for (const answer of answers) expect(errorCode(answer), JSON.stringify(answer)).to.be.a('string');
  return answers.length;
}

describe(judgedTitle('faults: bytes'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();

  /** A cluster with load, and with enough at entry 0 to answer queries. */
  async function busy(
    nodes: number,
    flags: readonly string[] = [],
  ): Promise<{ all: Cluster; work: ReturnType<typeof load> }> {
    const all = await cluster({ nodes, app: 'kvapp', flags: [...PATIENT, ...flags] });
    const work = load(all);
    await work.more(100);
    await all.leader();
    return { all, work };
  }

  it(`rows 65 to 72 and 79: ${CASES} broken lines of clients, at every node`, async () => {
    const { all, work } = await busy(3);
    const leader = await all.leader();
    let before: Held[] = [];
    let [said, refused] = [0, 0];
    await expectSameReign(leader, async () => {
      let lines: Uint8Array[] = [];
      let batch = 0;
      const flush = async (): Promise<void> => {
        const raw = await all.connect(all.nodes[batch++ % 3]!);
        refused += await say(raw, lines);
        raw.close();
        lines = [];
        if (before.length === 0 && said >= WARM_UP) before = held(all.nodes);
      };
      for (const bytes of manyOf(CASES, SEED)) {
        // A line feed makes two of one, and blanks draw no answer.
        if (bytes.includes(0x0a) || Buffer.from(bytes).toString().trim() === '') continue;
        said++;
        if (lines.push(bytes) === BATCH) await flush();
      }
      await flush();
      await work.more(100);
    });
    expect(said).to.be.above(CASES * 0.9);
    expect(refused, 'what each line was answered with').to.be.at.least(said);
    await expectFlat(all.nodes, before);
    expectPlainLogs(all.nodes);
    await expectSound(all, work);
  });

  it(`rows 65 to 73, 77 and 79: ${CASES} broken datagrams of a peer, at the three others`, async () => {
    const { all, work } = await busy(4);
    const { leader, followers } = await all.roles();
    const [peer] = followers;
    const alive = all.nodes.filter((node) => node !== peer);
    await peer!.kill();
    const played = await RawUdp.bind(peer!);
    const victim = await RawUdp.bind({ address: LOOPBACK, port: '0' });
    // Some name their true sender, some another node, some an address that is no node's.
    const names = inTheNameOf([peer!, leader, { address: LOOPBACK, port: String(victim.port) }]);
    let before: Held[] = [];
    let sent = 0;
    await expectSameReign(leader, async () => {
      for (const bytes of manyOf(CASES, SEED, names)) {
        if (bytes.length > MAX_DATAGRAM_BYTES) continue;
        const doubled = sent % 50 === 0 && 2 * bytes.length < MAX_DATAGRAM_BYTES;
        await played.send(
          alive[sent % 3]!,
          doubled ? Buffer.concat([bytes, Buffer.from('\n'), bytes]) : bytes,
        );
        if (++sent === WARM_UP) before = held(alive);
        if (sent % BATCH === 0) await turn();
      }
      // What is well formed, a Done among it, and names anybody but its sender.
      const others = inTheNameOf([leader, { address: LOOPBACK, port: String(victim.port) }]);
      for (const text of examples('valid')) {
        const forged = others(text);
        for (const node of alive) if (forged.includes('"fromport"')) await played.send(node, forged);
      }
      await work.more(100);
    });
    for (const node of alive) {
      // The buffer of a busy node may overflow: not each one is counted.
      const counted = await node.until(
        'them',
        ({ refused }) => (refused['datagram-malformed'] ?? 0) > sent / 30,
      );
      expect(counted.refused['datagram-forged']).to.be.above(0);
    }
    await expectFlat(alive, before);
    expectPlainLogs(alive);
    const answers = played.received.flatMap((text) => text.split('\n'));
    expect(answers.filter((text) => /"type":(2|3|5)\b/.test(text))).to.eql([]);
    expect(victim.received, 'nothing is sent to an address that was only named').to.eql([]);
    await Promise.all([played.close(), victim.close()]);
    await peer!.start();
    await expectSound(all, work);
  });

  it('row 74: requests split at every byte, and a thousand in a segment', async () => {
    const { all, work } = await busy(3);
    const leader = await all.leader();
    const put = encodeKvRequest({ op: 'put', key: 'ß😀', value: 'split' });
    const text = Buffer.from(`{"type":11}\r\n${JSON.stringify({ type: 7, request: { no: 1, value: put } })}`);
    const sessions = new Set<number>();
    for (let cut = 1; cut < text.length; cut++) {
      const raw = await all.connect(leader);
      raw.write(text.subarray(0, cut));
      await turn();
      raw.write(text.subarray(cut));
      const [hello, answer] = await raw.take(2);
      expect([hello!.type, answer!.type]).to.eql([10, 8]);
      sessions.add(hello!.request!.id!);
      raw.close();
    }
    expect(sessions.size).to.equal(text.length - 1);
    const raw = await all.connect(leader);
    raw.write(`${JSON.stringify(QUERY)}\n`.repeat(IN_ONE_SEGMENT));
    const types = (await raw.take(IN_ONE_SEGMENT)).map((answer) => errorCode(answer) ?? answer.type);
    expect(types.filter((type) => type === 8)).to.have.length.above(0);
    expect(types.filter((type) => type !== 8 && type !== 'too-many-requests')).to.eql([]);
    raw.close();
    await work.more(50);
    await work.stop();
  });

  it(`row 75: ${SLOW_CONNECTIONS} connections that say a byte now and then, and others that come and go`, async () => {
    const { all, work } = await busy(3, LIMITS);
    const leader = await all.leader();
    const before = held([leader]);
    const slow = await Promise.all(Array.from({ length: SLOW_CONNECTIONS }, () => all.connect(leader)));
    const endless = setInterval(() => {
      for (const raw of slow) if (raw.over === undefined) raw.write('{"type":7,');
    }, 100);
    try {
      await Promise.all(slow.map((raw) => raw.ended()));
    } finally {
      clearInterval(endless);
    }
    const codes = slow.map((raw) => errorCode(raw.all.at(-1) ?? {}));
    expect(codes.filter((code) => code === 'too-many-connections')).to.have.length.above(0);
    for (const code of codes)
      expect(code).to.be.oneOf(['too-many-connections', 'idle', 'line-too-long', 'malformed', undefined]);
    for (let i = 0; i < 10 * SLOW_CONNECTIONS; i++) (await all.connect(leader)).write('{').close();
    await work.more(50);
    await expectFlat([leader], before);
    await expectSound(all, work);
  });
});
