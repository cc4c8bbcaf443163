import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** No step of a play takes longer; a client's own back-off and process starts are well below it. */
export const PATIENCE_MS = 8000;

/** Things that come one after another, and those who wait for them. */
export class Inbox<T> {
  readonly #items: T[] = [];
  readonly #takers: ((item: T) => void)[] = [];

  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  /** The next one; rejects when it doesn't come. */
  async take(what: string): Promise<T> {
    if (this.#items.length > 0) return this.#items.shift() as T;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
      this.#takers.push((item) => {
        clearTimeout(timer);
        resolve(item);
      });
    });
  }
}

/** One connection that a fake node has accepted. */
export class FakeConnection {
  readonly #socket: Socket;
  readonly #lines = new Inbox<string>();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    // Not node:readline, which would end a line at a U+2028 inside a message.
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#lines.put(line);
    });
    socket.on('close', () => this.#lines.put(END));
  }

  /** The next message, parsed; fields that clients may omit are taken away. */
  async hear(): Promise<unknown> {
    const line = await this.#lines.take('a message');
    if (line === END) throw new Error('the connection ended instead of saying something');
    const message = JSON.parse(line) as Record<string, unknown>;
    delete message['fromaddress'];
    delete message['fromport'];
    return message;
  }

  say(message: object): void {
    this.write(`${JSON.stringify(message)}\n`);
  }

  write(text: string | Uint8Array): void {
    this.#socket.write(text);
  }

  /** Says no more, once what was said has left. */
  end(): void {
    this.#socket.end();
  }

  drop(): void {
    this.#socket.destroy();
  }

  /** Waits until the other side has ended the connection; what it said before is not looked at. */
  async seeEnd(): Promise<void> {
    while ((await this.#lines.take('the end of the connection')) !== END);
  }
}

/** Not a line that JSON could make. */
const END = '\n';

/** A scripted node on a free loopback port. It can stop, and start again on the same port. */
export class FakeNode {
  #server: Server;
  readonly #connections = new Inbox<FakeConnection>();
  readonly #sockets = new Set<Socket>();
  readonly port: number;
  /** Takes the connections instead of `accept`. */
  onConnection = (connection: FakeConnection): void => this.#connections.put(connection);

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      this.onConnection(new FakeConnection(socket));
    });
  }

  static async start(): Promise<FakeNode> {
    const server = createServer({ allowHalfOpen: false });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FakeNode(server);
  }

  accept(): Promise<FakeConnection> {
    return this.#connections.take('a connection');
  }

  /** Refuses connections from now on, and ends those it has. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }
}
