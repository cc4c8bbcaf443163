import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { MAX_VALUE_COST } from '../../clients/typescript/index.js';
import { TEST_TIMEOUT_MS, useSharedCluster } from '../support/cluster-hooks.js';
import type { TestNode } from '../support/cluster.js';
import { isOnPath, runToEnd } from '../support/process.js';
import { errorCode, RawUdp, type RawClient } from '../support/process-wire.js';

/** Whether there is an nc that closes its half of the connection behind its input. */
const NC = isOnPath('nc') && /-\w*N/.test(spawnSync('nc', ['-h'], { encoding: 'utf8' }).stderr);

/** What must not change by input that is refused. */
async function standing(nodes: readonly TestNode[]): Promise<unknown> {
  return Promise.all(
    nodes.map(async (node) => {
      const { role, leader, promised_round, entries } = (await node.status())!;
      return { role, leader, promised_round, chosen: entries.chosen, accepted: entries.accepted };
    }),
  );
}

describe('integration: input that nobody should send', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useSharedCluster(() => ({
    nodes: 3,
    default_times: true,
    flags: ['--max-connections', '40', '--idle-ms', '1500', '--max-buffered-bytes', '300000'],
  }));

  let before_pids: number[];
  before(() => {
    before_pids = cluster().nodes.map((node) => node.process.pid);
  });

  // After each of them everybody is up and serves others.
  afterEach(async () => {
    expect(cluster().nodes.map((node) => node.running && node.process.pid)).to.eql(before_pids);
    const client = cluster().client();
    expect((await client.request('well?')).value).to.equal('well?');
    client.close();
  });

  /** Sends lines one after the other on one connection, and returns the code that each was refused with. */
  async function refusals(raw: RawClient, lines: readonly string[]): Promise<(string | undefined)[]> {
    const codes: (string | undefined)[] = [];
    for (const line of lines) {
      raw.write(`${line}\n`);
      codes.push(errorCode(await raw.next(`what is said of ${line.slice(0, 80)}`)));
    }
    return codes;
  }

  it('row 68: what is no message is refused as malformed, with the field and why; the connection goes on', async () => {
    const { raw, leader } = await cluster().session();
    const before = (await leader.status())!.refused['malformed'] ?? 0;
    const lines = [
      'hello',
      'null',
      '7',
      '"text"',
      '[1,2]',
      '{"type":7',
      '{"type":"7","request":{}}',
      '{"type":1.5}',
      '{"type":-1}',
      '{"type":17}',
      '{"type":7,"request":7}',
      '{"type":7,"request":{"no":"1","value":"x"}}',
      '{"type":7,"request":{"no":-1,"value":"x"}}',
      '{"type":7,"request":{"no":9007199254740992,"value":"x"}}',
      '{"type":7,"request":{"no":1,"value":5}}',
      '{"type":7,"request":{"no":1,"value":null}}',
      '{"type":7,"entry":1,"request":{"no":1,"entry":2,"noset":true}}',
    ];
    expect(await refusals(raw, lines)).to.eql(lines.map(() => 'malformed'));
    raw.write('{"type":7,"request":{"no":"one","value":"x"}}\n');
    expect((await raw.next()).error).to.contain('request.no');
    raw.request(1, 'after all that');
    expect((await raw.next()).value).to.equal('after all that');
    await leader.until(
      'them counted',
      ({ refused }) => (refused['malformed'] ?? 0) >= before + lines.length + 1,
    );
  });

  it('row 63: types that only agents or only nodes may send are refused by name, also before any hello', async () => {
    const leader = await cluster().leader();
    const raw = await cluster().connect(leader);
    await cluster().settled();
    const before = await standing(cluster().nodes);
    const here = { fromaddress: '127.0.0.1', fromport: cluster().nodes[0]!.port };
    const place = { leaderaddress: '127.0.0.1', leaderport: '1' };
    const agents = [1, 2, 3, 4, 5].map((type) => ({
      ...{ type, ...here, request: {}, round: 2 ** 20 },
      ...([2, 3].includes(type) && { roundvalue: { round: -1 } }),
    }));
    const messages = [
      ...agents,
      { type: 6, ...here, ...place, round: 2 ** 20 },
      ...[8, 10, 12].map((type) => ({ type, request: { id: 1, no: 1 } })),
      { type: 9, ...place },
      { type: 16, error: 'timeout: x' },
    ];
    const lines = messages.map((message) => JSON.stringify(message));
    expect(await refusals(raw, lines)).to.eql(lines.map(() => 'not-allowed'));
    expect(await standing(cluster().nodes)).to.eql(before);
  });

  it('row 59: a request before the hello, of an unknown session, or whose value is too large is refused', async () => {
    const leader = await cluster().leader();
    const raw = await cluster().connect(leader);
    expect(await refusals(raw, ['{"type":7,"request":{"no":1,"value":"x"}}'])).to.eql(['not-connected']);
    const { request } = await raw.hello();
    raw.request(1, 'x', request!.id! + 1);
    expect(errorCode(await raw.next())).to.equal('foreign-id');
    raw.request(1, 'x'.repeat(MAX_VALUE_COST + 1));
    expect(errorCode(await raw.next())).to.equal('value-too-large');
    const largest = 'x'.repeat(MAX_VALUE_COST);
    raw.request(2, largest);
    expect((await raw.next()).value).to.equal(largest);
    await cluster().settled();
  });

  it('row 74: a line without end is refused, and reading goes on behind its newline', async () => {
    const { raw } = await cluster().session();
    raw.write(`{"type":7,"request":{"no":1,"value":"${'x'.repeat(400_000)}`);
    expect(errorCode(await raw.next())).to.equal('line-too-long');
    raw.write(`${'y'.repeat(400_000)}"}}\n`).request(2, 'behind it');
    expect((await raw.next()).value).to.equal('behind it');
  });

  it('row 67: nesting 100,000 deep is refused', async () => {
    const { raw } = await cluster().session();
    const deep = '{"a":'.repeat(30_000) + '1' + '}'.repeat(30_000);
    expect(await refusals(raw, ['['.repeat(100_000), deep])).to.eql(['malformed', 'malformed']);
  });

  it('row 71: odd values come back equal; what is not UTF-8 is refused', async () => {
    const { raw } = await cluster().session();
    const values = ['', '\0', '\u2028\u2029', '😀 ß', '\ud800', '{"type":15}', '\u001b[2J', '__proto__'];
    for (const [i, value] of values.entries()) {
      raw.request(i + 1, value);
      expect((await raw.next()).value ?? '').to.equal(value);
    }
    raw.write(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d, 0x0a]));
    expect(errorCode(await raw.next())).to.equal('malformed');
  });

  it('row 74: byte by byte, several on a line, with CRLF, blank lines and no newline at the end', async () => {
    const leader = await cluster().leader();
    const raw = await cluster().connect(leader);
    for (const byte of '{"type":11}\r\n\r\n  \n{"type":7,"request":{"no":1,"value":"a"}}') {
      raw.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [hello, a] = await raw.take(2);
    expect([hello!.type, a!.value]).to.eql([10, 'a']);
    raw.write('{"type":7,"request":{"no":2,"value":"b"}}{"type":7,"request":{"no":3,"value":"c"}} ');
    expect((await raw.take(2)).map(({ value }) => value)).to.eql(['b', 'c']);
  });

  it('row 28: a half-closed connection is answered to its end, and then closed', async () => {
    const raw = await cluster().connect(await cluster().leader());
    raw.send({ type: 11 }).request(1, 'a').request(2, 'b');
    raw.socket.end('{"type":7,"request":{"no":3,"value":"no newline"}}');
    await raw.ended();
    expect(raw.all.map(({ type, value }) => value ?? type)).to.eql([10, 'a', 'b', 'no newline']);
  });

  (NC ? it : it.skip)(
    `Visher: printf … | nc is a client, answered to the end of its half-closed connection${NC ? '' : ' (skipped: no nc -N)'}`,
    async () => {
      const { address, port } = await cluster().leader();
      const lines = '{"type":11}\\n{"type":7,"request":{"no":1,"value":"by hand"}}\\n';
      const { stdout } = await runToEnd(['sh', '-c', `printf '${lines}' | nc -N ${address} ${port}`]);
      const answers = stdout.trim().split('\n');
      expect(answers).to.have.length(2);
      expect(JSON.parse(answers[1]!)).to.deep.include({ type: 8, value: 'by hand' });
    },
  );

  it('row 28: connections that are reset in the middle of a request hurt nobody', async () => {
    const { leader } = await cluster().session();
    for (let i = 0; i < 20; i++) {
      const raw = await cluster().connect(leader);
      raw.write('{"type":11}\n{"type":7,"request":{"no":1,"value":"half');
      raw.socket.resetAndDestroy();
    }
    await leader.until('them gone', ({ clients }) => clients.connections < 20);
  });

  it('row 27: a client that never reads its answers is cut off, and the others are served meanwhile', async () => {
    const leader = await cluster().leader();
    const value = 'z'.repeat(60_000);
    const { entry } = await cluster().client().request(value);
    const slow = await cluster().connect(leader, { reading: false });
    const flood = `${JSON.stringify({ type: 7, request: { noset: true, entry } })}\n`.repeat(100);
    const others = cluster().client();
    while (!slow.socket.destroyed && leader.process.log('slow-reader').length === 0) {
      slow.write(flood);
      expect((await others.request('meanwhile')).value).to.equal('meanwhile');
    }
    await leader.process.logged('slow-reader');
    expect((await leader.status())!.refused['slow-reader']).to.be.above(0);
  });

  it('row 75: silent connections are told and closed; one too many is refused; peers keep their places', async () => {
    const leader = await cluster().leader();
    await leader.until('nobody else connected', ({ clients }) => clients.connections < 3);
    const silent = await Promise.all(Array.from({ length: 45 }, () => cluster().connect(leader)));
    await leader.until('some turned away', ({ refused }) => (refused['too-many-connections'] ?? 0) > 0);
    await Promise.all(silent.map((raw) => raw.ended()));
    const told = silent.map((raw) => errorCode(raw.all[0] ?? {}));
    expect(told.filter((code) => code === 'idle')).to.have.length.within(30, 40);
    expect(told.filter((code) => code === 'too-many-connections')).to.have.length.above(0);
    expect((await leader.status())!.refused['idle']).to.be.at.least(30);
  });

  it('rows 73, 76 and 77: forged and strange datagrams change nothing, and are counted', async () => {
    await cluster().settled();
    const before = await standing(cluster().nodes);
    const target = await cluster().leader();
    const peer = cluster().nodes.find((node) => node !== target)!;
    const stranger = await RawUdp.bind({ address: '127.0.0.1', port: '0' });
    const forged = { fromaddress: peer.address, fromport: peer.port, request: {} };
    const garbage = ['', '{', 'null', '\u0000'.repeat(100), 'x'.repeat(65_000)];
    for (let i = 0; i < 20; i++) {
      await stranger.send(target, { type: 1, ...forged, round: 1_000 + i });
      await stranger.send(target, { type: 4, ...forged, round: 1_000 + i, value: 'forged' });
      await stranger.send(target, {
        type: 6,
        ...forged,
        leaderaddress: peer.address,
        leaderport: peer.port,
        round: 2_000,
      });
      await stranger.send(target, { type: 15 }, { type: 15, ...forged });
      for (const bytes of garbage) await stranger.send(target, bytes);
    }
    await target.until('them counted', ({ refused }) => (refused['datagram-stranger'] ?? 0) >= 100);
    expect(await standing(cluster().nodes)).to.eql(before);
    expect(stranger.received, 'nothing is ever sent to a stranger').to.eql([]);
    await stranger.close();
    expect(target.process.log('datagram-stranger')).to.have.length.below(20);
  });

  it('row 79: what strangers send does not reach the log with escapes in it', async () => {
    const leader = await cluster().leader();
    const raw = await cluster().connect(leader);
    raw.write('{"type":"\\u001b[2J\u001b[31m"}\n');
    expect((await raw.next()).error).to.not.contain('\u001b');
    expect(leader.process.stderr).to.not.contain('\u001b');
  });

  it('row 65: a storm of connections that say nothing sensible leaves no descriptor behind', async () => {
    const leader = await cluster().leader();
    await leader.until('nobody connected', ({ clients }) => clients.connections < 3);
    const descriptors = (): number => readdirSync(`/proc/${leader.process.pid}/fd`).length;
    const before = descriptors();
    for (let wave = 0; wave < 5; wave++) {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => {
          const socket = new Socket();
          socket.on('error', () => undefined);
          return new Promise<Socket>((resolve) => {
            socket.connect(Number(leader.port), leader.address, () => resolve(socket));
          });
        }),
      );
      for (const socket of sockets) {
        socket.write('\u0000\u0001garbage\n'.repeat(50));
        socket.destroy();
      }
    }
    await leader.until('them gone', ({ clients }) => clients.connections < 3);
    // A few come and go: a connection for the status, another for a file of the journal.
    expect(descriptors()).to.be.within(before - 4, before + 4);
  });
});
