import { createServer, type AddressInfo, type Socket } from 'node:net';

import { expect } from 'chai';

import type { Address } from '../../src/core/address.js';
import { NO_OP, NO_REQUEST, type Decree } from '../../src/core/decree.js';
import { clientId, entry, requestNumber, type Entry } from '../../src/core/ids.js';
import { MessageType, type ClientApp, type Message } from '../../src/core/message.js';
import { openClientListener, type ClientConnection } from '../../src/net/client-listener.js';
import { fetchLog, type FetchOptions, type LogFetch } from '../../src/net/fetch-log.js';
import { ChosenLine } from '../../src/wire/chosen-line.js';
import { encodeMessage } from '../../src/wire/codec.js';
import { freeAddresses, Inbox, LOOPBACK, within } from './support.js';

interface Fetched {
  readonly entry: Entry;
  readonly decree: Decree;
}

interface Stream {
  readonly fetch: LogFetch;
  readonly entries: Inbox<Fetched>;
  readonly ends: Inbox<string>;
}

const decree = (n: number): Decree => ({
  id: clientId(65_537),
  no: requestNumber(n),
  noset: false,
  value: `v${n}`,
});

describe('net: fetching the log of a peer', () => {
  let cleanups: (() => Promise<void> | void)[];

  beforeEach(() => {
    cleanups = [];
  });

  afterEach(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  function fetch(peer: Address, options: Partial<FetchOptions> = {}): Stream {
    const entries: Stream['entries'] = new Inbox('entries');
    const ends: Stream['ends'] = new Inbox('ends');
    const stream = fetchLog({
      self: { address: LOOPBACK, port: '7001' },
      peer,
      first: entry(0),
      onEntry: (at, { id, no, noset, value }) =>
        entries.push({ entry: at, decree: { id, no, noset, value } }),
      onEnded: (reason) => ends.push(reason),
      ...options,
    });
    cleanups.push(() => stream.cancel());
    return { fetch: stream, entries, ends };
  }

  /** A node that hands each ClientApp to `serve`. */
  async function peer(serve: (connection: ClientConnection, message: ClientApp) => void): Promise<Address> {
    const listener = await openClientListener({
      address: { address: LOOPBACK, port: '0' },
      onMessage: (connection, message) => {
        if (message.type === MessageType.ClientApp) serve(connection, message);
      },
      onEnded: (connection) => connection.close(),
      onClosed: () => undefined,
      onRefused: () => undefined,
      log: () => undefined,
    });
    cleanups.push(() => listener.close(0));
    return listener.address;
  }

  /** A peer played by hand: every connection gets these bytes, as many in each turn. */
  async function impostor(
    answer: string | ((self: Address) => string),
    in_a_turn = Infinity,
  ): Promise<Address> {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      const bytes = Buffer.from(typeof answer === 'string' ? answer : answer(where()));
      const writeFrom = (start: number): void => {
        socket.write(bytes.subarray(start, start + in_a_turn));
        if (start + in_a_turn < bytes.length) setImmediate(() => writeFrom(start + in_a_turn));
      };
      writeFrom(0);
    });
    const where = (): Address => ({
      address: LOOPBACK,
      port: String((server.address() as AddressInfo).port),
    });
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    });
    return where();
  }

  function sendEntries(connection: ClientConnection, first: number, count: number): void {
    for (let n = first; n < first + count; n++) {
      const { value, ...request } = n % 5 === 3 ? NO_OP : decree(n);
      connection.send({ type: MessageType.LogResponse, request, entry: entry(n), value });
    }
  }

  /** The log from entry 1 on. */
  const linesOf = (from: Address, decrees: readonly Decree[]): string =>
    decrees
      .map(({ value, ...request }, i) =>
        encodeMessage({ type: MessageType.LogResponse, request, entry: entry(i + 1), value }, from),
      )
      .map((line) => `${line}\n`)
      .join('');

  const said = (from: Address, n: number): string =>
    encodeMessage({ type: MessageType.LogResponse, request: NO_REQUEST, entry: entry(n), value: 'x' }, from);

  it('asks for the raw log from the first entry on, and gets all, no-ops included, as chosen', async () => {
    const asked = new Inbox<ClientApp>('questions');
    const address = await peer((connection, message) => {
      asked.push(message);
      sendEntries(connection, message.entry, 1000);
    });
    const { entries } = fetch(address, { first: entry(70) });
    const got = await entries.take(1000);
    expect(asked.all).to.deep.equal([
      { type: MessageType.ClientApp, request: { ...NO_REQUEST, noset: true }, entry: 70 },
    ]);
    got.forEach((fetched, i) => {
      const n = 70 + i;
      expect(fetched).to.deep.equal({ entry: n, decree: n % 5 === 3 ? NO_OP : decree(n) });
    });
  });

  it('hands all entries over before it says that the peer has ended the stream', async () => {
    const address = await peer((connection, message) => {
      sendEntries(connection, message.entry, 500);
      connection.close();
    });
    const { fetch: stream, entries, ends } = fetch(address);
    await entries.next();
    stream.pause();
    stream.resume();
    expect(await ends.next()).to.equal('the peer ended the stream');
    expect(entries.all).to.have.length(500);
  });

  it('gets the same whatever the pieces are in which it comes', async () => {
    const values = ['plain', '"quoted"', 'é', '', 'two\nlines', '\u0001', 'x'.repeat(300)];
    const decrees = Array.from({ length: 140 }, (_, n) => {
      if (n % 5 === 3) return NO_OP;
      return { ...decree(n + 1), value: values[n % values.length]! };
    });
    const usual = decrees.filter(({ noset, value }) => !noset && /^[ -~\n]+$/.test(value)).length;
    for (const size of [1, 7, 64, 300, 1_000, 100_000]) {
      const address = await impostor((self) => linesOf(self, decrees), size);
      const first = entry(1);
      let as_they_came = 0;
      const { entries, ends } = fetch(address, {
        first,
        onEntry: (at, what) => {
          if (what instanceof ChosenLine) as_they_came++;
          const { id, no, noset, value } = what;
          entries.push({ entry: at, decree: { id, no, noset, value } });
        },
      });
      const got = await entries.take(decrees.length);
      expect(got.map((one) => one.decree)).to.deep.equal(decrees);
      expect(got.map((one) => one.entry)).to.deep.equal(decrees.map((_, n) => n + 1));
      expect(ends.all).to.be.empty;
      // A line that is cut in two is read in another way.
      if (size > linesOf(address, decrees).length) expect(as_they_came).to.be.within(usual / 2, usual);
    }
  });

  it('ends with the peer’s reason when it is refused', async () => {
    const address = await peer((connection) =>
      connection.refuse('not-known-chosen', 'entry 9\u001b is open'),
    );
    const { ends } = fetch(address, { first: entry(9) });
    expect(await ends.next()).to.equal('the peer refused (not-known-chosen: entry 9\\u{1b} is open)');
  });

  it('ends when an entry is missing or comes twice', async () => {
    for (const second of [0, 2]) {
      const address = await impostor((self) => `${said(self, 0)}\n${said(self, second)}\n`);
      const { entries, ends } = fetch(address);
      expect(await ends.next()).to.equal(`the peer sent entry ${second} where 1 was due`);
      expect(entries.all.map((fetched) => fetched.entry)).to.deep.equal([0]);
    }
  });

  it('ends when somebody else answers, or something else comes', async () => {
    const other = { address: LOOPBACK, port: '9' };
    const cases: [string | ((self: Address) => string), RegExp][] = [
      [`${said(other, 0)}\n`, /^127\.0\.0\.1:9 answers where/],
      ['nonsense\n', /^the peer sent what can't be read \(malformed/],
      ['{"type":8,"request":{}}\n', /^the peer sent ClientResponse where LogResponse was due$/],
      [`{"type":12,"value":"${'x'.repeat(300_000)}`, /line-too-long/],
    ];
    for (const [answer, reason] of cases) {
      const { entries, ends } = fetch(await impostor(answer));
      expect(await ends.next()).to.match(reason);
      expect(entries.all).to.be.empty;
    }
  });

  it('ends when nobody listens', async () => {
    const [nobody] = await freeAddresses(1);
    const { ends } = fetch(nobody!);
    expect(await ends.next()).to.equal('the connection failed (ECONNREFUSED)');
  });

  it('ends when the peer is silent for too long, but not while it is paused', async () => {
    const address = await peer((connection, message) => sendEntries(connection, message.entry, 3));
    const idle_timeout_ms = 80;
    const { fetch: stream, entries, ends } = fetch(address, { idle_timeout_ms });
    await entries.take(3);
    stream.pause();
    const another = fetch(address, { idle_timeout_ms });
    expect(await another.ends.next()).to.equal('nothing came for 80 ms');
    const third = fetch(address, { idle_timeout_ms });
    await third.ends.next();
    expect(ends.all).to.be.empty;
    stream.resume();
    expect(await ends.next()).to.equal('nothing came for 80 ms');
  });

  it('holds a fast peer back while it is paused, and then gets everything', async () => {
    // More than the system's buffers hold.
    const total = 3_000;
    const padded = 'x'.repeat(20_000);
    let sent = 0;
    const waits = new Inbox<number>('full buffers');
    const address = await peer((connection) => {
      const pump = (): void => {
        while (sent < total && connection.writable) {
          const request = { ...NO_REQUEST, no: requestNumber(sent) };
          connection.send({
            type: MessageType.LogResponse,
            request,
            entry: entry(sent),
            value: padded,
          });
          sent++;
        }
        waits.push(sent);
        if (sent < total) connection.onDrain(pump);
      };
      pump();
    });
    const stream = fetch(address, { onEntry: (at, what) => got(at, what) });
    let count = 0;
    const seen = new Inbox<number>('entries');
    const got = (at: Entry, what: Decree): void => {
      expect(at).to.equal(count++);
      expect(what.value).to.have.length(padded.length);
      if (count === 10) stream.fetch.pause();
      seen.push(at);
    };
    await seen.take(10);
    await waits.next();
    // What was read before the pause may not be handed over after it, nor be read on and on.
    for (let before = 0; before < sent;) {
      before = sent;
      const other = fetch(await peer((connection, message) => sendEntries(connection, message.entry, 5)));
      await other.entries.take(5);
    }
    expect(sent).to.be.below(total);
    expect(count).to.equal(10);
    stream.fetch.resume();
    await seen.take(total - 10);
  });

  it('reads no more than once if it is paused before it is connected', async () => {
    const total = 2_000;
    let sent = 0;
    const address = await peer((connection) => {
      const pump = (): void => {
        for (; sent < total && connection.writable; sent++) connection.send(long(sent));
        if (sent < total) connection.onDrain(pump);
      };
      pump();
    });
    const long = (n: number): Message => ({
      type: MessageType.LogResponse,
      request: decree(n),
      entry: entry(n),
      value: 'x'.repeat(30_000),
    });
    const stream = fetch(address);
    stream.fetch.pause();
    for (let before = -1; before < sent || sent === 0;) {
      before = sent;
      const other = fetch(await peer((connection, message) => sendEntries(connection, message.entry, 5)));
      await other.entries.take(5);
    }
    expect(sent).to.be.above(0).and.below(total);
    expect(stream.entries.all).to.eql([]);
    stream.fetch.resume();
    await stream.entries.take(total);
  });

  it('leaves every entry where it came, however many follow', async () => {
    const total = 20_000;
    const kept: Decree[] = [];
    const all = new Inbox<Entry>('entries');
    const onEntry = (at: Entry, what: Decree): void => {
      kept.push(what);
      all.push(at);
    };
    const from = await impostor((self) =>
      linesOf(
        self,
        Array.from({ length: total }, (_, i) => decree(i + 1)),
      ),
    );
    fetch(from, { first: entry(1), onEntry });
    await all.take(total);
    const unread = kept.filter((one) => one instanceof ChosenLine);
    expect(unread).to.have.length.above(total / 2);
    kept.forEach(({ no, value }, i) => expect([no, value]).to.eql([i + 1, `v${i + 1}`]));
  });

  it('calls nothing back once it is cancelled, also from within a callback', async () => {
    const gone = new Inbox<string>('closed connections');
    const address = await peer((connection, message) => {
      connection.onDrain(() => undefined);
      sendEntries(connection, message.entry, 100);
      gone.push('served');
    });
    let count = 0;
    const stream = fetch(address, {
      onEntry: () => {
        count++;
        stream.fetch.cancel();
      },
    });
    await gone.next();
    const other = fetch(address);
    await within(other.entries.take(100), 'another stream');
    expect(count).to.equal(1);
    expect(stream.ends.all).to.be.empty;
    stream.fetch.cancel();
    stream.fetch.resume();
  });
});
