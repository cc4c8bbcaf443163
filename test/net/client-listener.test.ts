import { expect } from 'chai';

import { MESSAGE_NAMES, MessageType } from '../../src/core/message.js';
import { APP_TYPES, type ClientConnection, type ClientMessage } from '../../src/net/client-listener.js';
import { ListenError } from '../../src/net/listen-error.js';
import { echo, request, response, useListeners, values } from './listener-harness.js';
import { isError, LOOPBACK, within } from './support.js';

/** The largest JSON a test client sends as one line stays below this, where a test speaks of long lines. */
const SHORT_LINE_BYTES = 1_000;

const numberOf = ({ message }: { message: ClientMessage }): number =>
  (message as { request: { no: number } }).request.no;

describe('net: TCP for clients', () => {
  const open = useListeners();

  describe('framing', () => {
    it('answers a message, with the node as sender', async () => {
      const { listener, connect } = await open(echo);
      const client = await connect();
      client.write(`${request(1, 'a\u2028"')}\n`);
      expect(await client.lines.next()).to.deep.equal({
        type: 8,
        fromaddress: LOOPBACK,
        fromport: listener.address.port,
        request: { no: 1 },
        value: 'a\u2028"',
      });
    });

    it('answers a message that comes byte by byte', async () => {
      const { connect } = await open(echo);
      const client = await connect();
      for (const byte of Buffer.from(`${request(1, 'é\u{1f600}')}\r\n`)) {
        await new Promise<void>((resolve) => client.socket.write(Uint8Array.of(byte), () => resolve()));
      }
      expect((await client.lines.next())['value']).to.equal('é\u{1f600}');
    });

    it('answers a complete object without a newline, two on a line, and a thousand in a segment', async () => {
      const { connect } = await open(echo);
      const client = await connect();
      client.write(request(1, 'a'));
      expect(values([await client.lines.next()])).to.deep.equal(['a']);
      client.write(`${request(2, 'b')}${request(3, 'c')}\n\n`);
      expect(values(await client.lines.take(2))).to.deep.equal(['b', 'c']);
      const many = Array.from({ length: 1000 }, (_, i) => String(i));
      client.write(many.map((value, i) => request(i, value)).join('\n'));
      expect(values(await client.lines.take(1000))).to.deep.equal(many);
    });

    it('answers a half-closed connection to the end', async () => {
      const { connect, ended, closed, listener } = await open(echo);
      const client = await connect({ allowHalfOpen: true });
      client.socket.end(`${request(1, 'a')}\n${request(2, 'b')}`);
      expect(values(await client.lines.take(2))).to.deep.equal(['a', 'b']);
      expect((await ended.next()).ended).to.be.true;
      await within(client.ended, 'the end');
      await closed.next();
      expect(listener.connections).to.equal(0);
    });

    it('answers a half-closed connection also when the answer takes its time', async () => {
      const { connect, ended, messages } = await open();
      const client = await connect({ allowHalfOpen: true });
      client.socket.end(request(1));
      const { connection } = await messages.next();
      await ended.next();
      connection.send(response(1, 'late'));
      connection.close();
      expect(values([await client.lines.next()])).to.deep.equal(['late']);
      await within(client.ended, 'the end');
    });
  });

  describe('refusals', () => {
    it('says what is wrong with a line, in the place of its answer, and goes on', async () => {
      const { connect, refused } = await open(echo);
      const client = await connect();
      client.write(
        `${request(1, 'a')}\nnonsense\n{"type":7,"request":{"no":2,"value":7}}\n${request(3, 'b')}\n`,
      );
      const [first, nonsense, typed, last] = await client.lines.take(4);
      expect(values([first!, last!])).to.deep.equal(['a', 'b']);
      expect(isError(nonsense!, 'malformed')).to.be.true;
      expect(isError(typed!, 'malformed')).to.be.true;
      expect(typed!['request']).to.deep.equal({ no: 2 });
      expect(refused.all).to.deep.equal(['malformed', 'malformed']);
    });

    it('refuses a line that is too long, then takes a fine one', async () => {
      const { connect, refused } = await open({ ...echo, limits: { max_line_bytes: SHORT_LINE_BYTES } });
      const client = await connect();
      const long = request(1, 'x'.repeat(100_000));
      client.write(long.slice(0, 50_000));
      expect(isError(await client.lines.next(), 'line-too-long')).to.be.true;
      client.write(`${long.slice(50_000)}\n${request(2, 'fine')}\n`);
      expect(values([await client.lines.next()])).to.deep.equal(['fine']);
      expect(refused.all).to.deep.equal(['line-too-long']);
    });

    it('refuses by name what agents and nodes say, ignores Empty, and hands the rest on', async () => {
      const { connect, messages, refused } = await open();
      const client = await connect();
      const r = '"request":{"no":5}';
      const samples: Record<number, string> = {
        1: `{"type":1,${r},"fromaddress":"127.0.0.1","fromport":"9"}`,
        2: `{"type":2,${r},"roundvalue":{"round":-1},"fromaddress":"127.0.0.1","fromport":"9"}`,
        3: `{"type":3,${r},"roundvalue":{"round":-1},"fromaddress":"127.0.0.1","fromport":"9"}`,
        4: `{"type":4,${r},"fromaddress":"127.0.0.1","fromport":"9"}`,
        5: `{"type":5,${r},"fromaddress":"127.0.0.1","fromport":"9"}`,
        6: '{"type":6,"leaderaddress":"127.0.0.1","leaderport":"9","fromaddress":"127.0.0.1","fromport":"9"}',
        8: `{"type":8,${r}}`,
        9: '{"type":9,"leaderaddress":"127.0.0.1","leaderport":"9"}',
        10: '{"type":10,"request":{"id":1,"no":1}}',
        12: `{"type":12,${r}}`,
        16: '{"type":16,"error":"timeout: x"}',
      };
      for (const [type, sample] of Object.entries(samples)) {
        client.write(`${sample}\n`);
        const error = await client.lines.next();
        expect(error['error'], sample).to.match(/^not-allowed: /);
        expect(error['error']).to.include(`${MESSAGE_NAMES[Number(type)]!} (type ${type})`);
      }
      expect(refused.all).to.have.length(11);
      client.write(`{}\n${request(1)}\n{"type":11}\n{"type":13}\n{"type":14}\n{"type":15}\n`);
      const types = (await messages.take(5)).map(({ message }) => message.type);
      expect(types).to.deep.equal([7, 11, 13, 14, 15]);
      expect(client.lines.all).to.have.length(11);
    });

    it('can be told to take an application’s messages only', async () => {
      const { connect, messages } = await open({ allowed: APP_TYPES });
      const client = await connect();
      client.write(`${request(6)}\n{"type":15}\n{"type":13}\n`);
      const [refusal, done] = await client.lines.take(2);
      expect(refusal!['error']).to.match(/^not-allowed: ClientRequest/);
      expect(refusal!['request']).to.deep.equal({ no: 6 });
      expect(done!['error']).to.match(/^not-allowed: Done/);
      expect((await messages.next()).message.type).to.equal(MessageType.ClientApp);
    });
  });

  describe('slow and vanished readers', () => {
    const BLOCK = 'x'.repeat(60_000);

    it('cuts a reader that never reads, with a bounded buffer and a line in the log; others go on', async () => {
      const max_buffered_bytes = 1024 * 1024;
      const { connect, messages, closed, refused, lines } = await open({ limits: { max_buffered_bytes } });
      const slow = await connect({ reading: false });
      slow.socket.pause();
      slow.write(request(1));
      const { connection } = await messages.next();
      const other = await connect();
      other.write(request(1));
      const { connection: other_connection } = await messages.next();
      let most_bytes = 0;
      for (let no = 0; connection.open && no < 10_000; no++) {
        connection.send(response(no, BLOCK));
        most_bytes = Math.max(most_bytes, connection.buffered_bytes);
        other_connection.send(response(no));
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      expect(connection.open).to.be.false;
      expect(most_bytes).to.be.at.most(max_buffered_bytes);
      expect(await refused.next()).to.equal('slow-reader');
      expect(await closed.next()).to.equal(connection);
      expect(lines.all.filter(({ code }) => code === 'slow-reader')).to.have.length(1);
      other_connection.send(response(0, 'still here'));
      await other.lines.until(() => other.lines.all.at(-1)?.['value'] === 'still here', 'the last answer');
    });

    it('bounds what all slow readers together hold', async () => {
      const limits = { max_total_buffered_bytes: 1024 * 1024 };
      const { connect, messages, refused } = await open({ limits });
      const connections: ClientConnection[] = [];
      for (let i = 0; i < 4; i++) {
        const client = await connect({ reading: false });
        client.socket.pause();
        client.write(request(1));
        connections.push((await messages.next()).connection);
      }
      const held = (): number => connections.reduce((sum, connection) => sum + connection.buffered_bytes, 0);
      let most_bytes = 0;
      for (let no = 0; connections.some(({ open: alive }) => alive) && no < 10_000; no++) {
        for (const connection of connections) connection.send(response(no, BLOCK));
        most_bytes = Math.max(most_bytes, held());
        await new Promise<void>((resolve) => setImmediate(resolve));
        if (refused.all.length > 0) break;
      }
      expect(await refused.next()).to.equal('slow-reader');
      expect(most_bytes).to.be.at.most(2 * limits.max_total_buffered_bytes);
    });

    it('counts in bytes what waits for a reader, however few characters they are', async () => {
      const max_buffered_bytes = 100_000;
      const { connect, messages, refused } = await open({ limits: { max_buffered_bytes } });
      for (const [value, isCut] of [
        ['x'.repeat(60_000), false],
        ['漢'.repeat(60_000), true],
      ] as const) {
        const client = await connect();
        client.write(request(1));
        const { connection } = await messages.next();
        connection.send(response(1, value));
        expect(connection.open).to.equal(true);
        connection.flush();
        expect(connection.open).to.equal(!isCut);
      }
      expect(await refused.next()).to.equal('slow-reader');
    });

    it('tells a stream when to wait and when to go on', async () => {
      const { connect, messages } = await open();
      const client = await connect({ reading: false });
      client.socket.pause();
      client.write(request(1));
      const { connection } = await messages.next();
      let sent = 0;
      while (connection.writable) {
        const more = connection.sendRaw(`{"n":${sent++},"pad":"${BLOCK}"}\n`);
        expect(more).to.equal(connection.writable);
        if (!more) await new Promise<void>((resolve) => setImmediate(resolve));
      }
      expect(connection.open).to.be.true;
      const drained = new Promise<void>((resolve) => connection.onDrain(resolve));
      let received = 0;
      client.socket.on('data', (chunk: Buffer) => (received += chunk.length));
      client.socket.resume();
      await within(drained, 'the drain');
      expect(connection.writable).to.be.true;
      const again = new Promise<void>((resolve) => connection.onDrain(resolve));
      await within(again, 'the drain of an empty buffer');
      connection.close();
      await within(client.ended, 'the end');
      expect(received).to.be.greaterThan(sent * BLOCK.length);
    });

    it('survives a reset in the middle of a request', async () => {
      const { connect, messages, closed } = await open();
      const client = await connect();
      client.write(`${request(1)}\n{"type":7,"requ`);
      const { connection } = await messages.next();
      client.socket.resetAndDestroy();
      expect(await closed.next()).to.equal(connection);
      expect(connection.send(response(1))).to.be.false;
      connection.refuse('timeout', 'too late');
      connection.close();
      const next = await connect();
      next.write(request(2));
      await messages.next();
    });

    it('leaves clients waiting while too many requests are open, and goes on where each was', async () => {
      let open_requests = 0;
      const isExempt = (): boolean => false;
      const { listener, connect, messages } = await open({
        intake: { openRequests: () => open_requests, isExempt },
      });
      const client = await connect();
      client.write(`${request(1)}\n`);
      const { connection } = await messages.next();
      open_requests = 1_000_000;
      client.write(`${request(2)}\n`.repeat(20_000));
      client.write(`${request(3)}\n`);
      const other = await connect();
      other.write(`${request(8)}\n${request(9)}\n`);
      const first = await messages.next();
      expect([first.connection === connection, numberOf(first)]).to.deep.equal([false, 8]);
      open_requests = 0;
      listener.wake();
      const rest = await messages.take(20_002);
      const ofClient = rest.filter((item) => item.connection === connection).map(numberOf);
      expect(ofClient).to.deep.equal([...Array.from({ length: 20_000 }, () => 2), 3]);
      expect(rest.filter((item) => item.connection !== connection).map(numberOf)).to.deep.equal([9]);
    });
  });

  describe('closing', () => {
    it('gets the last answer out although the client goes on talking', async () => {
      const { connect, messages, closed } = await open();
      const client = await connect({ allowHalfOpen: true });
      client.write(`${request(1)}\n`);
      const { connection } = await messages.next();
      client.write('{"type":11}\n'.repeat(20_000));
      connection.send(response(1, 'x'.repeat(1_000_000)));
      connection.close();
      connection.send(response(2, 'ignored'));
      expect(String((await client.lines.next())['value'])).to.have.length(1_000_000);
      await within(client.ended, 'the end');
      client.socket.end();
      await closed.next();
      expect(messages.all.length).to.be.lessThan(20_001);
    });

    it('does not wait for ever for a client that never closes', async () => {
      const { connect, messages, closed } = await open();
      const client = await connect({ allowHalfOpen: true });
      client.write(request(1));
      (await messages.next()).connection.close();
      await closed.next();
      client.socket.destroy();
    });

    it('closes all connections with the listener', async () => {
      const { listener, connect, messages, closed } = await open();
      const clients = await Promise.all([connect(), connect(), connect()]);
      for (const client of clients) client.write(request(1));
      for (const { connection } of await messages.take(3)) connection.send(response(1, 'bye'));
      await within(listener.close(), 'the listener to close');
      expect(closed.all).to.have.length(3);
      for (const client of clients) {
        expect(values([await client.lines.next()])).to.deep.equal(['bye']);
        await within(client.closed, 'the end');
      }
    });
  });

  it('says which port is taken, and what to do', async () => {
    const { listener } = await open();
    try {
      await open({ address: listener.address });
    } catch (error) {
      expect(error).to.be.instanceOf(ListenError);
      expect((error as ListenError).code).to.equal('EADDRINUSE');
      expect((error as ListenError).message).to.include(
        `TCP 127.0.0.1:${listener.address.port}: another process`,
      );
      return;
    }
    throw new Error('the port was taken twice');
  });

  it('names each connection once, over all listeners, and knows where it comes from', async () => {
    const [a, b] = [await open(), await open()];
    const ids = new Set<number>();
    for (const harness of [a, b, a, b]) {
      const client = await harness.connect();
      client.write(request(1));
      const { connection } = await harness.messages.next();
      ids.add(connection.id);
      expect(connection.loopback).to.be.true;
      expect(connection.remote).to.equal(`${LOOPBACK}:${client.socket.localPort ?? 0}`);
    }
    expect(ids.size).to.equal(4);
  });
});
