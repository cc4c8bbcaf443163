import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { expect } from 'chai';

import { echo, request, useListeners, values } from './listener-harness.js';
import { duration_ms, Inbox, isError, LOOPBACK, ManualClock, rawTcp, within } from './support.js';

describe('net: limits of TCP connections', () => {
  const open = useListeners();

  describe('idle connections', () => {
    const limits = { idle_ms: 60 };

    it('closes a silent one with a word', async () => {
      const { connect, closed } = await open({ limits });
      const client = await connect();
      expect(isError(await client.lines.next(), 'idle')).to.be.true;
      await within(client.closed, 'the end');
      await closed.next();
    });

    it('closes one that never finishes its line, however diligently it goes on', async () => {
      const { connect, refused } = await open({ limits });
      const client = await connect();
      client.write('{"type":7,"request":{"value":"');
      const drip = setInterval(() => client.write('x'), 5);
      try {
        expect(await refused.next()).to.equal('idle');
      } finally {
        clearInterval(drip);
      }
      await within(client.ended, 'the end');
    });

    it('leaves one alone that is busy, until it is not', async () => {
      let looks = 0;
      const { connect, closed } = await open({ limits, isBusy: () => ++looks < 4 });
      const client = await connect();
      const took_ms = await duration_ms(() => closed.next());
      // A timer may fire a little early by the other clock; then there is one more look.
      expect(looks).to.be.at.least(4);
      expect(took_ms).to.be.at.least(2 * limits.idle_ms);
      expect(client.lines.all).to.have.length(1);
    });

    it('counts complete lines as life', async () => {
      const clock = new ManualClock();
      const looks = new Inbox<number>('looks');
      const { connect, refused, messages } = await open({
        limits: { idle_ms: 20 },
        now_ms: clock.now_ms,
        isBusy: () => {
          looks.push(clock.time_ms);
          return false;
        },
      });
      const client = await connect();
      for (let no = 0; no < 5; no++) {
        clock.time_ms += 19;
        client.write(`${request(no)}\n`);
        await messages.next();
        looks.all.length = 0;
        await looks.until(() => looks.all.length > 0, 'the next look');
      }
      expect(refused.all).to.be.empty;
      clock.time_ms += 20;
      expect(await refused.next()).to.equal('idle');
    });
  });

  describe('too many connections', () => {
    it('tells those above the limit, and takes new ones when there is room', async () => {
      const { connect, closed, listener, refused } = await open({ ...echo, limits: { max_connections: 2 } });
      const [first, second] = [await connect(), await connect()];
      const third = await connect();
      expect(isError(await third.lines.next(), 'too-many-connections')).to.be.true;
      await within(third.closed, 'the end');
      expect(refused.all).to.deep.equal(['too-many-connections']);
      expect(listener.connections).to.equal(2);
      second.socket.destroy();
      await closed.next();
      const fourth = await connect();
      for (const client of [first, fourth]) {
        client.write(request(1, 'served'));
        expect(values([await client.lines.next()])).to.deep.equal(['served']);
      }
    });

    it('stands a storm', async () => {
      const { connect, listener, refused } = await open({ ...echo, limits: { max_connections: 10 } });
      const early = await Promise.all(Array.from({ length: 10 }, () => connect()));
      await Promise.all(early.map((client) => (client.write(request(1)), client.lines.next())));
      const storm = await Promise.all(Array.from({ length: 300 }, () => connect()));
      await Promise.all(storm.map((client) => within(client.closed, 'a refusal')));
      expect(refused.all).to.have.length(300);
      expect(listener.connections).to.equal(10);
      early[0]!.write(request(2, 'unmoved'));
      expect(values([await early[0]!.lines.next()])).to.deep.equal(['unmoved']);
    });

    const reserved = { places: 2, addresses: [LOOPBACK] };
    const HELLO = '{"type":13,"entry":4,"request":{"entry":4,"noset":true}}\n';

    it('keeps places for catching-up peers', async () => {
      const { connect, listener, messages, closed } = await open({
        onEnded: (connection) => connection.close(),
        limits: { max_connections: 3 },
        reserved,
      });
      await connect();
      const peers = [await connect(), await connect()];
      for (const peer of peers) peer.write(HELLO);
      const admitted = await messages.take(2);
      expect(admitted.map(({ message }) => message.type)).to.deep.equal([13, 13]);
      expect(listener.connections).to.equal(3);
      const late = await connect();
      late.write(HELLO);
      expect(isError(await late.lines.next(), 'too-many-connections')).to.be.true;
      await within(late.closed, 'the refusal');
      peers[0]!.socket.destroy();
      expect(await closed.next()).to.equal(admitted[0]!.connection);
      const again = await connect();
      again.write(HELLO);
      await messages.next();
    });

    it('keeps them from everybody else', async () => {
      const { connect, messages, closed } = await open({ limits: { max_connections: 3 }, reserved });
      await connect();
      for (const line of ['{"type":11}\n', '{"type":13}\n', 'nonsense\n', '{}\n']) {
        const client = await connect();
        client.write(`${line}${HELLO}`);
        expect(isError(await client.lines.next(), 'too-many-connections')).to.be.true;
        await within(client.ended, 'the refusal');
        expect(client.lines.all).to.have.length(1);
      }
      const ending = await connect({ allowHalfOpen: true });
      ending.socket.end();
      expect(isError(await ending.lines.next(), 'too-many-connections')).to.be.true;
      expect(messages.all).to.be.empty;
      expect(closed.all).to.be.empty;
    });

    it('does not let silent connections sit on them', async () => {
      const { connect, messages } = await open({ limits: { max_connections: 3 }, reserved });
      await connect();
      const silent = await Promise.all(Array.from({ length: 40 }, () => connect()));
      const peer = await connect();
      peer.write(HELLO);
      await messages.next();
      for (const client of silent)
        expect(isError(await client.lines.next(), 'too-many-connections')).to.be.true;
    });

    it('keeps them for those who come from a peer’s address', async () => {
      const { connect } = await open({
        limits: { max_connections: 2 },
        reserved: { places: 1, addresses: ['127.0.0.9'] },
      });
      await connect();
      const client = await connect();
      client.write(HELLO);
      expect(isError(await client.lines.next(), 'too-many-connections')).to.be.true;
    });
  });

  it('survives running out of file descriptors', async () => {
    const script = fileURLToPath(new URL('./scarce-descriptors.ts', import.meta.url));
    const command = `ulimit -n 64; exec "${process.execPath}" --import tsx "${script}"`;
    const child: ChildProcess = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const printed = new Inbox<string>('printed lines');
      createInterface({ input: child.stdout! }).on('line', (line) => printed.push(line));
      const where = { address: LOOPBACK, port: await printed.next() };
      const first = await rawTcp(where);
      first.write(request(1, 'before'));
      expect(values([await first.lines.next()])).to.deep.equal(['before']);
      const storm = await Promise.all(Array.from({ length: 100 }, () => rawTcp(where)));
      // The system takes connections that the process can't, and the process drops them.
      await within(Promise.race(storm.map(({ closed }) => closed)), 'a dropped connection');
      first.write(request(2, 'meanwhile'));
      expect(values([await first.lines.next()])).to.deep.equal(['meanwhile']);
      for (const client of storm) client.socket.destroy();
      // One sees the places freed when the process has handled the ends, which it says by its count.
      await printed.until(() => printed.all.at(-1) === '1 left', 'only the first to be left');
      const last = await rawTcp(where);
      last.write(request(3, 'after'));
      expect(values([await last.lines.next()])).to.deep.equal(['after']);
      for (const client of [first, last]) client.socket.destroy();
    } finally {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    }
  });
});
