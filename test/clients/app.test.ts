import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { AppError, serveApp, type AppHandler } from '../../clients/typescript/app.js';
import { MAX_LINE_LENGTH } from '../../clients/typescript/messages.js';
import { PATIENCE_MS } from './fake-node.js';

const line = (entry: number, value: string): string =>
  `${JSON.stringify({ type: 12, request: { id: 65537, no: entry + 1 }, entry, value })}\n`;

/** A node as the application sees it: what it says is up to the test, the answers that it hears are kept. */
class Node {
  readonly answers: { readonly entry: number; readonly value: string }[] = [];
  #rest = '';

  constructor(
    readonly socket: Socket,
    /** How the application ended: undefined, or what it failed with. */
    readonly ended: Promise<unknown>,
  ) {
    socket.on('error', () => socket.destroy()); // the application may end it with something unread
    socket.setEncoding('utf8').on('data', (chunk: string) => this.#hear(chunk));
  }

  #hear(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const text of lines) {
      const {
        type,
        entry = 0,
        value = '',
      } = JSON.parse(text) as { type: number; entry?: number; value?: string };
      if (type === 14) this.answers.push({ entry, value });
    }
  }

  /** Waits until so many answers have come. */
  async answered(count: number): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    while (this.answers.length < count) await once(this.socket, 'data', { signal });
  }
}

describe('the application kit, on a connection (clients/README.md)', () => {
  const servers: { close(): void }[] = [];
  const sockets: Socket[] = [];

  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  async function serve(handle: AppHandler): Promise<Node> {
    const server = createServer().listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const ended = serveApp({ host: '127.0.0.1', port }, handle).then(
      () => undefined,
      (error: unknown) => error,
    );
    const [socket] = (await once(server, 'connection')) as [Socket];
    sockets.push(socket);
    return new Node(socket, ended);
  }

  it('reads lines wherever they are cut, characters among them, and answers in order', async () => {
    const node = await serve((value) => value.toUpperCase());
    const bytes = Buffer.from(line(0, 'é') + line(1, 'two') + line(2, '漢字') + line(3, 'four'));
    node.socket.setNoDelay(true);
    for (let at = 0; at < bytes.length; at += 7) {
      node.socket.write(bytes.subarray(at, at + 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await node.answered(4);
    expect(node.answers.map(({ value }) => value)).to.eql(['É', 'TWO', '漢字', 'FOUR']);
    node.socket.end();
    expect(await node.ended).to.equal(undefined);
  });

  it('answers thousands of values that came at once, and a last one without its newline', async () => {
    const node = await serve((value) => value);
    const count = 5_000;
    const lines = Array.from({ length: count }, (_, i) => line(i, `value ${i}`)).join('');
    node.socket.end(lines.slice(0, -1));
    expect(await node.ended).to.equal(undefined);
    await node.answered(count - 1); // the last answer may find the connection closed
    expect(node.answers.slice(0, 3).map(({ entry }) => entry)).to.eql([0, 1, 2]);
    expect(node.answers.every(({ entry, value }, i) => entry === i && value === `value ${i}`)).to.equal(true);
  });

  it('lets answers leave that are there while a handler takes its time', async () => {
    let finish = (_answer: string): void => undefined;
    const later = new Promise<string>((resolve) => (finish = resolve));
    const node = await serve((value) => (value === 'slow' ? later : value));
    node.socket.write(line(0, 'a') + line(1, 'slow') + line(2, 'b'));
    await node.answered(1);
    expect(node.answers.map(({ value }) => value)).to.eql(['a']);
    finish('at last');
    await node.answered(3);
    expect(node.answers.map(({ value }) => value)).to.eql(['a', 'at last', 'b']);
  });

  it('waits for a node that takes no answers, and loses none', async () => {
    let handled = 0;
    let most_ahead = 0;
    const node = await serve((value) => {
      handled++;
      most_ahead = Math.max(most_ahead, handled - node.answers.length);
      return value.repeat(2_000);
    });
    node.socket.pause();
    const count = 600;
    const lines = Array.from({ length: count }, (_, i) => line(i, 'x'.repeat(30))).join('');
    await new Promise<void>((resolve) => node.socket.write(lines, () => resolve()));
    node.socket.resume();
    await node.answered(count);
    expect(node.answers.map(({ entry }) => entry)).to.eql(Array.from({ length: count }, (_, i) => i));
    // All came at once; the answers to a third of them are more than the system takes for both ends of a connection.
    expect(most_ahead).to.be.below((2 * count) / 3);
  });

  for (const [kind, fail] of [
    [
      'throws',
      (): string => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ] as const)
    it(`fails with a handler that ${kind}, naming the entry, when what it answered before has left`, async () => {
      const node = await serve((value) => (value === 'bad' ? fail() : value));
      node.socket.write(line(0, 'good') + line(1, 'bad') + line(2, 'good'));
      expect(await node.ended)
        .to.be.an('error')
        .with.property('message', 'the handler failed at entry 1');
      await node.answered(1);
      expect(node.answers).to.eql([{ entry: 0, value: 'good' }]);
    });

  it('answers with the excuse of a handler that refuses, at once or later', async () => {
    const node = await serve((value) => {
      const refusal = new AppError(`no ${value}`);
      if (value === 'later') return Promise.reject(refusal);
      throw refusal;
    });
    node.socket.write(line(0, 'now') + line(1, 'later'));
    await node.answered(2);
    expect(node.answers.map(({ value }) => value)).to.eql(['error: no now', 'error: no later']);
  });

  it('gives up on a line without an end, and carries out nothing of it', async () => {
    let handled = 0;
    const node = await serve((value) => {
      handled++;
      return value;
    });
    const endless = line(0, 'a').trimEnd().repeat(1_000);
    for (let length = 0; length <= MAX_LINE_LENGTH + endless.length; length += endless.length)
      node.socket.write(endless);
    const error = await node.ended;
    expect(error).to.be.an('error').with.property('message').that.includes(`more than ${MAX_LINE_LENGTH}`);
    expect(handled).to.equal(0);
  });
});
