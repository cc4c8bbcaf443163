import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { initialise } from '../../src/index.js';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { paxosd, type Program } from '../support/process.js';
import { errorCode, RawUdp } from '../support/process-wire.js';

/** Whether a process's system calls can be made to fail here; it may be missing, or forbidden. */
const STRACE = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;

/** Longer than any request of these tests may take, in microseconds: a disk that hangs. */
const HANGING_US = 3_000_000;

/** Below the size of a test's segments: the journal's file can't be written to its end. */
const FILE_LIMIT_KIB = 700;

const EXAMPLES = new URL('../../schema/examples/', import.meta.url);

/** Interferes with a node's flushes from now on. */
async function tamper(all: Cluster, node: TestNode, how: string): Promise<Program> {
  const trace = ['-e', 'trace=fdatasync', '-e', `inject=fdatasync:${how}`];
  const command = ['strace', '-f', '-o', '/dev/null', ...trace, '-p', String(node.process.pid)];
  const strace = all.run('strace', command);
  await strace.until('its hold of the node', () => /attached/.test(strace.stderr) || undefined);
  return strace;
}

describe(`integration: disks and peers at fault${STRACE ? '' : ' (partly skipped: no strace)'}`, function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();
  const traced = STRACE ? it : it.skip;

  /** All nodes hold the same log, in which each of these values stands once. */
  async function expectOnce(all: Cluster, values: readonly string[]): Promise<void> {
    const count = await all.settled(all.nodes, values.length);
    const logs = await Promise.all(all.nodes.map((node) => all.log(node, count)));
    for (const log of logs) expect(log).to.eql(logs[0]);
    const found = logs[0]!.map(({ value }) => value).filter((value) => values.includes(value));
    expect(found.sort()).to.eql([...values].sort());
  }

  traced(
    'row 29: a flush that fails ends the node; its next life recovers, and nothing is lost',
    async () => {
      const all = await cluster({ nodes: 3 });
      const leader = await all.leader();
      const client = all.client({ silence_ms: 1_000 });
      await client.request('before');
      const strace = await tamper(all, leader, 'error=EIO:when=1');
      const { value } = await client.request('at the failure');
      expect(value).to.equal('at the failure');
      const end = await leader.process.over('the end of the node');
      expect(end).to.eql({ code: 1, signal: null });
      expect(leader.process.log('failed')[0]?.msg).to.contain('EIO');
      await strace.ended;
      await leader.start();
      expect((await client.request('after')).value).to.equal('after');
      await expectOnce(all, ['before', 'at the failure', 'after']);
    },
  );

  traced(
    'row 30: a leader whose disk hangs gives way for that reason, and the others go on without it',
    async () => {
      const all = await cluster({ nodes: 3 });
      const { raw, id, leader } = await all.session();
      raw.request(1, 'before');
      expect((await raw.next()).value).to.equal('before');
      const { promised_round } = (await leader.status())!;
      const strace = await tamper(all, leader, `delay_enter=${HANGING_US}`);
      raw.request(2, 'while it hangs');
      const { msg } = await leader.process.logged('abdicated');
      expect(msg).to.contain('disk');
      const others = all.nodes.filter((node) => node !== leader);
      const successor = await all.leader(others);
      expect(successor.name).to.not.equal(leader.name);
      expect((await successor.status())!.promised_round).to.be.above(promised_round);
      const again = await all.connect(successor);
      expect((await again.hello(id)).request?.id).to.equal(id);
      again.request(2, 'while it hangs');
      const answer = await again.next();
      expect(answer.value).to.equal('while it hangs');
      await strace.end('SIGTERM');
      await expectOnce(all, ['before', 'while it hangs']);
    },
  );

  it('row 31: a disk that takes no more ends the node; with room again it recovers and catches up', async () => {
    const all = await cluster({ nodes: 3 });
    const { follower } = await all.roles();
    await follower.kill();
    const start = paxosd('start', '--data-dir', follower.directory, '--log-format', 'json');
    const limited = all.run('limited', [
      ...['bash', '-c', `ulimit -f ${FILE_LIMIT_KIB} && exec "$@"`, 'limited'],
      ...start,
    ]);
    await limited.logged('started');
    const values = Array.from({ length: 16 }, (_, i) => `${i}:${'x'.repeat(60_000)}`);
    const client = all.client();
    for (const value of values) expect((await client.request(value)).value).to.equal(value);
    expect(await limited.over('the end of the full node')).to.eql({ code: 1, signal: null });
    expect(limited.log('failed')).to.have.length(1);
    await follower.start();
    await expectOnce(all, values);
  });

  it('row 55: a node with other peers than theirs is heard by nobody and never leads; they go on', async () => {
    const all = await cluster({ nodes: 4, starting: [0, 1] });
    const [one, two, third, stranger] = all.nodes;
    // The first two and the third know each other; the fourth has itself in the third's place.
    const three = [one!, two!, third!].map(({ address, port }) => ({ address, port }));
    const wrong = [one!, two!, stranger!].map(({ address, port }) => ({ address, port }));
    for (const node of [one!, two!]) await node.kill();
    for (const [node, agents] of [
      [one!, three],
      [two!, three],
      [stranger!, wrong],
    ] as const) {
      await rm(node.directory, { recursive: true });
      const self = { address: node.address, port: node.port };
      await initialise(node.directory, { self, agents, segment_bytes: 1024 * 1024 });
    }
    await stranger!.start();
    await stranger!.process.logged('standing');
    await all.start([one!, two!]);
    const leader = await all.leader([one!, two!]);
    await leader.until('the stranger counted', ({ refused }) => (refused['datagram-stranger'] ?? 0) > 0);
    const client = all.client({ servers: [one!.name, two!.name] });
    expect((await client.request('without it')).value).to.equal('without it');
    expect((await all.leader([one!, two!])).name).to.equal(leader.name);
    const { leader: led_by, entries } = (await stranger!.status())!;
    // The two send it nothing, as it is no peer of theirs.
    expect({ led_by, chosen: entries.chosen }).to.eql({ led_by: null, chosen: 0 });
  });

  it('row 64: leadership lost while the application works: unknown, and asked again it is answered once', async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP });
    const { raw, id, leader } = await all.session();
    const release = join(all.folder, 'released');
    raw.request(1, 'counted').request(2, `wait ${release}`);
    expect((await raw.next()).value).to.equal('1:counted');
    await leader.until('the application at work', ({ app }) => 'unanswered' in app && app.unanswered > 0);
    leader.process.signal('SIGSTOP');
    const successor = await all.leader(all.nodes.filter((node) => node !== leader));
    leader.process.signal('SIGCONT');
    expect(errorCode(await raw.next('what the deposed leader says'))).to.equal('leadership-lost');
    await leader.until('its application gone', ({ app }) => app.state === 'stopped');

    await writeFile(release, '');
    const again = await all.connect(successor);
    expect((await again.hello(id)).request?.id).to.equal(id);
    again.request(2, `wait ${release}`).request(1, 'counted').request(3, 'more');
    const answers = new Map((await again.take(3)).map(({ request, value }) => [request?.no, value]));
    expect([...answers].sort()).to.eql([
      [1, '1:counted'],
      [2, 'waited, 1 before'],
      [3, '2:more'],
    ]);
  });

  it('rows 65, 66 and 69: whatever a peer sends that is no message is dropped, counted and not answered', async () => {
    const all = await cluster({ nodes: 3 });
    const { leader, followers } = await all.roles();
    const [peer] = followers;
    await all.client().request('before');
    await all.settled();
    await peer!.kill();
    const played = await RawUdp.bind(peer!);

    /** The examples of what agents say to each other, as if this peer said them, where they name anybody. */
    const examples = (kind: 'valid' | 'invalid'): string[] =>
      ['prepare', 'promise', 'nack', 'accept-request', 'accepted', 'heartbeat'].flatMap((type) =>
        readdirSync(new URL(`${type}/${kind}/`, EXAMPLES)).map((file) => {
          const text = readFileSync(new URL(`${type}/${kind}/${file}`, EXAMPLES), 'utf8').trim();
          if (file.startsWith('from')) return text;
          return text
            .replace(/"fromaddress": ?"[^"]*"/, `"fromaddress":"${peer!.address}"`)
            .replace(/"fromport": ?"[^"]*"/, `"fromport":"${peer!.port}"`);
        }),
      );
    const cut = examples('valid').flatMap((text) =>
      Array.from({ length: 8 }, (_, i) => text.slice(0, Math.floor(((i + 1) * text.length) / 9))),
    );
    const broken = [...examples('invalid'), ...cut, 'null', '[]', '7', '"x"', '{"type":17}', '{"type":-1}'];
    const before = (await leader.status())!;
    for (const text of broken) await played.send(leader, text);
    for (const bytes of [new Uint8Array(0), new Uint8Array(65_507), Uint8Array.of(0xff, 0xfe, 0x7b)]) {
      await played.send(leader, bytes);
    }
    // The receive buffer may overflow, so that not each one is counted; the last one that is handled shows the end.
    const counted = (refused: Readonly<Record<string, number>>): number =>
      Object.entries(refused).reduce((sum, [code, n]) => sum + (code.startsWith('datagram-') ? n : 0), 0);
    const after = await leader.until('most of them counted', ({ refused }) => {
      return counted(refused) - counted(before.refused) > broken.length / 2;
    });
    const { role, promised_round, entries } = after;
    expect({ role, promised_round, entries }).to.eql({
      role: before.role,
      promised_round: before.promised_round,
      entries: before.entries,
    });
    expect(
      played.received.flatMap((text) => text.split('\n')).filter((text) => /"type":[235]\b/.test(text)),
    ).to.eql([]);
    expect((await all.client({ servers: leader.name }).request('after')).value).to.equal('after');
    expect(leader.process.log('datagram-malformed').length).to.be.below(broken.length / 4);
    await played.close();
  });
});
