import { expect } from 'chai';
import fc from 'fast-check';
import {
  Client,
  DefiniteError,
  parseServers,
  UnknownOutcomeError,
  type ClientOptions,
} from '../../clients/typescript/index.js';
import { Connection } from '../../clients/typescript/connection.js';
import { decodeLine, encodeLine, ProtocolError, type Received } from '../../clients/typescript/messages.js';
import { FakeLeader } from './fake-leader.js';
import { FakeNode } from './fake-node.js';
import { describeLanguage, LANGUAGES } from './languages.js';
import { Driver } from './programs.js';

describe('the servers’ names', () => {
  it('are ports, hosts and ports, lists, or both', () => {
    expect(parseServers('7001')).to.deep.equal([{ host: '127.0.0.1', port: 7001 }]);
    expect(parseServers(['10.0.0.1:1, 2', 'localhost:65535'])).to.deep.equal([
      { host: '10.0.0.1', port: 1 },
      { host: '127.0.0.1', port: 2 },
      { host: 'localhost', port: 65_535 },
    ]);
  });

  it('are refused by name when they can’t be read', () => {
    for (const server of ['0', '65536', 'a', ':1', 'a:', '1:2:x', '-1', '1.5']) {
      expect(() => parseServers(`7001,${server}`), server).to.throw(RangeError, `"${server}"`);
    }
    expect(() => parseServers(',')).to.throw(RangeError, 'no server');
  });
});

describe('a line from a node', () => {
  let node: FakeNode | undefined;

  after(() => node?.stop());

  const zero = {
    type: 0,
    id: 0,
    no: 0,
    noset: false,
    entry: 0,
    value: '',
    error: '',
    leaderaddress: '',
    leaderport: '',
  };

  it('has its zero values filled in', () => {
    expect(decodeLine('{}')).to.deep.equal([zero]);
    expect(decodeLine(' \r')).to.deep.equal([]);
    expect(decodeLine('{"type":8,"request":{"entry":3}}')).to.deep.equal([{ ...zero, type: 8, entry: 3 }]);
  });

  it('may hold several objects', () => {
    const value = '}{"\\[ü';
    const line =
      `${encodeLine({ type: 8, value })} ${encodeLine({ type: 8, request: { id: 1 } })}`.replaceAll('\n', '');
    expect(decodeLine(line)).to.deep.equal([
      { ...zero, type: 8, value },
      { ...zero, type: 8, id: 1 },
    ]);
  });

  it('is refused when it isn’t made of messages', () => {
    const lines = [
      'x',
      '{',
      '{}}',
      '{}x',
      '[]',
      'null',
      '1',
      '"a"',
      '{"type":"8"}',
      '{"type":1.5}',
      '{"type":-1}',
      '{"request":[]}',
      '{"value":1}',
      '{"request":{"id":9007199254740992}}',
      '{} {"entry":null}',
    ];
    for (const line of lines) expect(() => decodeLine(line), line).to.throw(ProtocolError);
    expect(decodeLine('{"__proto__":{"type":8},"constructor":1}')).to.deep.equal([zero]);
  });

  it('comes out whole however the stream is cut', async () => {
    node = await FakeNode.start();
    const values = ['', 'a', '\u0000\u2028é😀', '"\\'];
    const bytes = Buffer.from(values.map((value) => encodeLine({ type: 12, value })).join(''));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const heard: Received[] = [];
      await new Promise<void>((resolve, reject) => {
        const connection = new Connection(
          { host: '127.0.0.1', port: node!.port },
          (message) => heard.push(message),
          () => resolve(),
        );
        connection.send({ type: 11 });
        node!.accept().then(async (other) => {
          await other.hear();
          other.write(bytes.subarray(0, cut));
          setImmediate(() => {
            other.write(bytes.subarray(cut));
            other.end();
          });
        }, reject);
      });
      expect(
        heard.map(({ value }) => value),
        `cut at ${cut}`,
      ).to.deep.equal(values);
    }
  });
});

describe('a client of nodes that fail', () => {
  /** What a test has opened, closed whether it passes or not. */
  const opened: (() => unknown)[] = [];

  afterEach(async () => {
    for (const close of opened.splice(0)) await close();
  });

  async function startNode(): Promise<FakeNode> {
    const node = await FakeNode.start();
    opened.push(() => node.stop());
    return node;
  }

  function newClient(options: ClientOptions): Client {
    const client = new Client(options);
    opened.push(() => client.close());
    return client;
  }

  for (const language of LANGUAGES) {
    describeLanguage(language, () => {
      let driver: Driver;
      let runs = 0;

      before(() => {
        driver = new Driver(language);
      });
      after(() => driver.end());

      it('has each request executed once and answered with its own answer', async function () {
        this.timeout(60_000);
        await fc.assert(
          fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 200 }), async (seed, count) => {
            const leader = await FakeLeader.start(seed);
            const client = `${++runs}`;
            const values = Array.from({ length: count }, (_, i) => `value ${i}`);
            try {
              driver.send({ do: 'open', client, servers: leader.servers.join(',') });
              for (const value of values)
                driver.send({ do: 'request', client, call: `${client} ${value}`, value });
              const results = await Promise.all(values.map((value) => driver.result(`${client} ${value}`)));
              expect(results.map(({ answer }) => answer)).to.deep.equal(
                values.map((value) => `answer to ${value}`),
              );
              expect(results.map(({ no }) => no)).to.deep.equal(values.map((_, i) => i + 1));
              expect([...leader.log].sort(byNumber)).to.deep.equal(values);
            } finally {
              driver.send({ do: 'close', client, call: `end of ${client}` });
              await driver.result(`end of ${client}`);
              await leader.stop();
            }
          }),
          { numRuns: 25 },
        );
      });

      it('keeps 64 on their way, and no number 128 above the oldest unanswered', async () => {
        const node = await startNode();
        const client = `${++runs}`;
        const calls = Array.from({ length: 300 }, (_, i) => `${client} ${i + 1}`);
        driver.send({ do: 'open', client, servers: `127.0.0.1:${node.port}` });
        for (const call of calls) driver.send({ do: 'request', client, call, value: call });
        const connection = await node.accept();
        await connection.hear();
        connection.say({ type: 10, request: { id: 65_537, no: 1 } });
        const heard: number[] = [];
        const hear = async (): Promise<number> => {
          const { request } = (await connection.hear()) as { request: { no: number } };
          heard.push(request.no);
          return request.no;
        };
        const answer = (no: number): void => connection.say({ type: 8, request: { id: 65_537, no } });
        /** Asked again, the first comes behind anything that was sent before: so nothing else was. */
        const hearNoMore = async (): Promise<void> => {
          connection.say({ type: 16, error: 'overloaded: for a moment', request: { id: 65_537, no: 1 } });
          expect(await hear()).to.equal(1);
          heard.pop();
        };

        while (heard.length < 64) await hear();
        await hearNoMore();
        for (let no = 2; no <= 64; no++) answer(no);
        while (heard.length < 128) {
          const no = await hear();
          if (no < 128) answer(no);
        }
        // Once this is answered, the client has seen every answer but the first.
        answer(128);
        await driver.result(calls[127]!);
        await hearNoMore();
        answer(1);
        while (heard.length < 300) answer(await hear());
        expect(heard).to.deep.equal(calls.map((_, i) => i + 1));
        expect((await driver.result(calls[299]!))['no']).to.equal(300);
        driver.send({ do: 'close', client, call: `end of ${client}` });
        await driver.result(`end of ${client}`);
      });
    });
  }

  it('says of a request that waited behind others that it did not happen', async () => {
    const node = await startNode();
    const client = newClient({ servers: [`${node.port}`], max_in_flight: 1 });
    const first = client.request('1', { timeout_ms: 300 }).catch((error: unknown) => error);
    const second = client.request('2', { timeout_ms: 200 }).catch((error: unknown) => error);
    const connection = await node.accept();
    await connection.hear();
    connection.say({ type: 10, request: { id: 65_537, no: 1 } });
    expect(await second)
      .to.be.instanceOf(DefiniteError)
      .and.have.property('code', 'overloaded');
    expect(await first)
      .to.be.instanceOf(UnknownOutcomeError)
      .and.have.property('code', 'timeout');
  });

  it('refuses what is asked after it was closed, and ends twice without harm', async () => {
    const client = newClient({ servers: '1' });
    client.close();
    client.close();
    const late = await client.request('x').catch((error: unknown) => error);
    expect(late).to.be.instanceOf(DefiniteError).and.have.property('code', 'closed');
    const again = await client.askAgain({ id: 1, no: 1, value: 'x' }).catch((error: unknown) => error);
    expect(again).to.be.instanceOf(UnknownOutcomeError).and.have.property('code', 'closed');
  });

  it('gives the session on to another client', async () => {
    const leader = await FakeLeader.start(0, 0);
    opened.push(() => leader.stop());
    const first = newClient({ servers: leader.servers });
    expect(first.session).to.equal(undefined);
    await first.request('one');
    const { session } = first;
    expect(session).to.deep.equal({ id: 65_537, no: 2 });
    first.close();
    const second = newClient({ servers: leader.servers, session: session! });
    expect(await second.request('two')).to.include({ id: 65_537, no: 2, value: 'answer to two' });
  });
});

function byNumber(a: string, b: string): number {
  return Number(a.slice(6)) - Number(b.slice(6));
}
