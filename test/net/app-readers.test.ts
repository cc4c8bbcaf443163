import { connect } from 'node:net';
import { once } from 'node:events';

import { expect } from 'chai';

import { NO_REQUEST, type Request } from '../../src/core/decree.js';
import type { ErrorCode } from '../../src/core/errors.js';
import { connectionId, entry, requestNumber, clientId } from '../../src/core/ids.js';
import { MAX_VALUE_COST } from '../../src/core/limits.js';
import { MessageType, type AppResponse, type ClientApp, type Message } from '../../src/core/message.js';
import { LogReaders, type AppTrouble, type ReaderConnection } from '../../src/net/app-readers.js';
import { openClientListener, type ClientConnection } from '../../src/net/client-listener.js';
import { Pace } from '../../src/net/pace.js';
import { MemoryLog, responsesOf, signal } from './app-source.js';

class Connection implements ReaderConnection {
  readonly id;
  readonly remote: string;
  readonly got: Message[] = [];
  readonly refusals: { code: ErrorCode; text: string; request: Request }[] = [];
  writable = true;
  closed = false;

  constructor(number: number) {
    this.id = connectionId(number);
    this.remote = `reader ${number}`;
  }

  send(message: Message): void {
    this.got.push(message);
  }

  flush(): void {
    // what is sent has left
  }

  sendBytes(lines: Buffer): void {
    for (const message of responsesOf(lines)) this.send(message);
  }

  onDrain(): void {
    // These readers never have room again.
  }

  refuse(code: ErrorCode, text: string, request: Request): void {
    this.refusals.push({ code, text, request });
  }

  close(): void {
    this.closed = true;
  }

  /** Each entry as it came, with `!` where an answer is wanted. */
  get entries(): string[] {
    return this.got.map((message) => {
      if (message.type !== MessageType.LogResponse) throw new Error(`type ${message.type} in a stream`);
      return `${message.entry}${message.request.noset ? '' : '!'}`;
    });
  }
}

function clientApp(first = 0, noset = false): ClientApp {
  return { type: MessageType.ClientApp, request: { ...NO_REQUEST, noset }, entry: entry(first) };
}

function answer(at: number, value = `answer ${at}`): AppResponse {
  return { type: MessageType.AppResponse, request: NO_REQUEST, entry: entry(at), value };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
}

interface Fixture {
  log: MemoryLog;
  readers: LogReaders;
  heard: string[];
  troubles: AppTrouble[];
}

interface FixtureOptions {
  mayRegister?: () => boolean;
  hang_ms?: number;
  newPace?: () => Pace;
  onTrouble?: (trouble: AppTrouble) => void;
}

function fixture(options: FixtureOptions = {}): Fixture {
  const log = new MemoryLog().add('a', 'b', 'c');
  const heard: string[] = [];
  const troubles: AppTrouble[] = [];
  const readers = new LogReaders({
    source: log,
    mayRegister: options.mayRegister ?? (() => true),
    hang_ms: options.hang_ms ?? 60_000,
    ...(options.newPace && { newPace: options.newPace }),
    callbacks: {
      onAttached: (first) => heard.push(`attached from ${first}`),
      onDetached: (due) => heard.push(`detached at ${due ?? 'nothing'}`),
      onAnswer: (at, value) => heard.push(`${at} = ${value}`),
      onAnswerTooLarge: (at) => heard.push(`${at} too large`),
      onTrouble: (trouble) => {
        troubles.push(trouble);
        options.onTrouble?.(trouble);
      },
    },
  });
  return { log, readers, heard, troubles };
}

describe('who reads the log on a port (spec.md, "Applications")', () => {
  it('registers the first as the application, and makes later ones followers', async () => {
    const { readers, heard } = fixture();
    const [app, second, third] = [new Connection(1), new Connection(2), new Connection(3)];
    readers.handle(app, clientApp());
    readers.handle(second, clientApp(1));
    readers.handle(third, clientApp(2, true));
    await settle();
    expect(app.entries).to.deep.equal(['0!', '1!', '2!']);
    expect(second.entries).to.deep.equal(['1', '2']);
    expect(third.entries).to.deep.equal(['2!']);
    expect(readers.app).to.deep.equal({ id: 1, next: 3, unanswered: 3 });
    readers.handle(app, answer(0));
    readers.handle(app, answer(1));
    expect(heard).to.deep.equal(['attached from 0', '0 = answer 0', '1 = answer 1']);
    expect(readers.size).to.equal(3);
    readers.closed(app.id);
    expect(heard.at(-1)).to.equal('detached at 2');
    expect(readers.app).to.equal(undefined);
    // The place is free again.
    const fourth = new Connection(4);
    readers.handle(fourth, clientApp(3));
    expect(readers.app?.id).to.equal(4);
    readers.stop();
  });

  it('gives each that only reads a pace of its own, and the application none', () => {
    let paces = 0;
    const newPace = (): Pace => {
      paces++;
      return new Pace({ entries: 1, bytes: 1 }, { isBusy: () => true, now_ms: () => 0 });
    };
    const { readers } = fixture({ newPace });
    const seen = [false, false, true].map((noset, i) => {
      readers.handle(new Connection(i + 1), clientApp(0, noset));
      return paces;
    });
    expect(seen).to.eql([0, 1, 2]);
  });

  it('registers nobody where another is the application', async () => {
    const { readers, heard } = fixture({ mayRegister: () => false });
    const follower = new Connection(1);
    readers.handle(follower, clientApp());
    await settle();
    expect(follower.entries).to.deep.equal(['0', '1', '2']);
    expect(heard).to.deep.equal([]);
    readers.stop();
    expect(follower.closed).to.equal(true);
  });

  it('refuses answers of anybody but the application, and a second stream', async () => {
    const { readers, heard, troubles } = fixture();
    const [app, follower, stranger] = [new Connection(1), new Connection(2), new Connection(3)];
    readers.handle(app, clientApp());
    readers.handle(follower, clientApp());
    await settle();
    const request: Request = { id: clientId(65537), no: requestNumber(1), noset: false };
    readers.handle(follower, { ...answer(0), request });
    readers.handle(stranger, answer(0));
    readers.handle(app, clientApp(0, true));
    expect(follower.refusals.map(({ code }) => code)).to.deep.equal(['not-allowed']);
    expect(follower.refusals[0]!.request).to.equal(request);
    expect(stranger.refusals.map(({ code }) => code)).to.deep.equal(['not-allowed']);
    expect(app.refusals.map(({ text }) => text)).to.deep.equal([
      'this connection streams the log already; open another one for another stream',
    ]);
    expect(heard).to.deep.equal(['attached from 0']);
    expect(troubles).to.deep.equal([]);
    readers.stop();
  });

  it('reports answers that do not count, and goes on', async () => {
    const { log, readers, heard, troubles } = fixture();
    const app = new Connection(1);
    readers.handle(app, clientApp());
    await settle();
    for (const at of [1, 7, 0, 0, 2]) readers.handle(app, answer(at));
    expect(heard).to.deep.equal(['attached from 0', '0 = answer 0', '2 = answer 2']);
    expect(troubles.map(({ kind, entry }) => `${kind} ${entry ?? ''}`)).to.deep.equal([
      'out-of-order 1',
      'never-sent 7',
      'twice 0',
    ]);
    log.add('d');
    readers.wake();
    await settle();
    readers.handle(app, answer(3));
    expect(heard.at(-1)).to.equal('3 = answer 3');
    readers.stop();
    expect(heard.at(-1)).to.equal('detached at nothing');
  });

  it('says of an answer that is too large, or a line that is too long, that the entry was executed', async () => {
    const { readers, heard, troubles } = fixture();
    const app = new Connection(1);
    readers.handle(app, clientApp());
    await settle();
    readers.handle(app, answer(0, 'x'.repeat(MAX_VALUE_COST + 1)));
    readers.lineTooLong(app.id);
    readers.handle(app, answer(2, 'x'.repeat(MAX_VALUE_COST)));
    expect(heard.slice(0, 3)).to.deep.equal(['attached from 0', '0 too large', '1 too large']);
    expect(heard[3]).to.match(/^2 = xxx/);
    readers.lineTooLong(app.id);
    readers.lineTooLong(connectionId(9));
    expect(heard).to.have.length(4);
    expect(troubles.map(({ kind, entry }) => [kind, entry])).to.deep.equal([
      ['answer-too-large', 0],
      ['answer-too-large', 1],
    ]);
    readers.stop();
  });

  it('keeps one that has closed its sending side as a follower, since it can answer no more', async () => {
    const { log, readers, heard } = fixture();
    const app = new Connection(1);
    readers.handle(app, clientApp());
    await settle();
    readers.ended(app.id);
    log.add('d');
    readers.wake();
    await settle();
    expect(heard).to.deep.equal(['attached from 0', 'detached at 0']);
    expect(app.entries).to.deep.equal(['0!', '1!', '2!', '3']);
    expect(app.closed).to.equal(false);
    readers.stop();
  });

  it('reports an application that hangs once, and again after it moved on', async () => {
    const [first, second] = [signal<AppTrouble>(), signal<AppTrouble>()];
    const { log, readers, troubles } = fixture({
      hang_ms: 15,
      onTrouble: (trouble) => (trouble.entry === 0 ? first : second).resolve(trouble),
    });
    const app = new Connection(1);
    readers.handle(app, clientApp());
    expect(await first.promise).to.deep.include({ kind: 'hanging', entry: 0 });
    expect(readers.app?.hanging).to.equal(0);
    for (const at of [0, 1, 2]) readers.handle(app, answer(at));
    expect(readers.app?.hanging).to.equal(undefined);
    log.add('d');
    app.writable = false;
    readers.wake();
    expect(await second.promise).to.deep.include({ kind: 'hanging', entry: 3 });
    expect(troubles).to.have.length(2);
    readers.stop();
  });

  it('closes a reader whose log cannot be read, and says why', async () => {
    const { log, readers, heard, troubles } = fixture();
    log.failure = new Error('EIO');
    const app = new Connection(1);
    readers.handle(app, clientApp());
    await settle();
    expect(app.closed).to.equal(true);
    expect(readers.size).to.equal(0);
    expect(heard).to.deep.equal(['attached from 0', 'detached at nothing']);
    expect(troubles).to.deep.equal([
      { kind: 'read-failed', text: "the log can't be streamed to reader 1: EIO" },
    ]);
  });

  it('holds a bounded buffer for one that never reads, and serves the others (spec.md, "Limits")', async () => {
    const { log, readers, troubles } = fixture();
    const entries = 500;
    const value = 'x'.repeat(60_000);
    log.add(...Array.from({ length: entries - 3 }, () => value));
    const connections: ClientConnection[] = [];
    const listener = await openClientListener({
      address: { address: '127.0.0.1', port: '0' },
      onMessage: (connection, message) => {
        if (message.type !== MessageType.ClientApp) return;
        connections.push(connection);
        readers.handle(connection, message);
      },
      onEnded: (connection) => readers.ended(connection.id),
      onClosed: (connection) => readers.closed(connection.id),
      onRefused: () => undefined,
      isBusy: (connection) => readers.reads(connection.id),
      log: () => undefined,
    });
    const port = Number(listener.address.port);
    const lazy = connect(port, '127.0.0.1').pause();
    await once(lazy, 'connect');
    lazy.write('{"type":13,"request":{"noset":true}}\n');
    const eager = connect(port, '127.0.0.1');
    await once(eager, 'connect');
    eager.write('{"type":13,"request":{"noset":true}}\n');
    let lines = 0;
    const done = signal();
    eager.on('data', (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 0x0a) lines++;
      if (lines === entries) done.resolve();
    });
    await done.promise;
    expect(connections).to.have.length(2);
    const [never] = connections as [ClientConnection];
    expect(never.remote).to.equal(`127.0.0.1:${lazy.localPort ?? 0}`);
    expect(never.open).to.equal(true);
    expect(never.buffered_bytes).to.be.within(1, 512 * 1024);
    expect(troubles).to.deep.equal([]);
    lazy.destroy();
    eager.destroy();
    readers.stop();
    await listener.close();
  });
});
