import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { PATIENCE_MS } from './process.js';

/** A received object, as it came: what isn't there is undefined. */
export interface Raw {
  readonly type?: number;
  readonly entry?: number;
  readonly value?: string;
  readonly error?: string;
  readonly leaderaddress?: string;
  readonly leaderport?: string;
  readonly fromport?: string;
  readonly request?: { readonly id?: number; readonly no?: number; readonly noset?: boolean };
  readonly [field: string]: unknown;
}

/** A place to connect to. */
export interface Place {
  readonly address: string;
  readonly port: string;
}

/** A client of a few lines: it writes text, and takes one object per line. */
export class RawClient {
  readonly socket: Socket;
  /** Everything that came, in order. */
  readonly all: Raw[] = [];
  #taken = 0;
  #rest = '';
  #over: string | undefined;
  readonly #watchers = new Set<() => void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', (error) => this.#finish(error.message));
    socket.on('end', () => this.#finish('closed by the other side'));
    socket.on('close', () => this.#finish('closed'));
  }

  /** Connects; `reading: false` leaves whatever comes in the system's buffers. */
  static connect(
    to: Place,
    options: { reading?: boolean; allowHalfOpen?: boolean } = {},
  ): Promise<RawClient> {
    const { reading = true, allowHalfOpen = true } = options;
    const socket = connect({ host: to.address, port: Number(to.port), allowHalfOpen, noDelay: true });
    const client = new RawClient(socket);
    if (reading) client.read();
    return new Promise((resolve, reject) => {
      socket.once('connect', () => resolve(client));
      socket.once('error', reject);
    });
  }

  /** Whether the other side has ended the connection, and how. */
  get over(): string | undefined {
    return this.#over;
  }

  /** Begins to read. */
  read(): void {
    this.socket.setEncoding('utf8').on('data', (chunk: unknown) => this.#take(String(chunk)));
  }

  write(text: string | Uint8Array): this {
    this.socket.write(text);
    return this;
  }

  /** Sends objects, each on its line. */
  send(...messages: object[]): this {
    return this.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''));
  }

  /** Asks for `value` as number `no` of the session `id`, or of this connection's own. */
  request(no: number, value: string, id?: number): this {
    return this.send({ type: 7, request: { ...(id !== undefined && { id }), no, value } });
  }

  /** The next object that nobody has taken yet. */
  async next(what = 'an answer'): Promise<Raw> {
    await this.until(what, () => this.all.length > this.#taken);
    return this.all[this.#taken++]!;
  }

  async take(count: number): Promise<Raw[]> {
    const taken: Raw[] = [];
    while (taken.length < count) taken.push(await this.next(`answer ${taken.length + 1} of ${count}`));
    return taken;
  }

  /** Says hello and returns what was answered. */
  async hello(id?: number): Promise<Raw> {
    this.send({ type: 11, ...(id !== undefined && { request: { id } }) });
    return this.next('an answer to the hello');
  }

  /** Resolves when `done()` holds, looked at whenever something comes. Rejects when nothing more can come. */
  async until(what: string, done: () => boolean, timeout_ms = PATIENCE_MS): Promise<void> {
    const end_ms = performance.now() + timeout_ms;
    while (!done()) {
      const left_ms = end_ms - performance.now();
      const seen = `the last of ${this.all.length} answers was ${JSON.stringify(this.all.at(-1))}`;
      if (this.#over !== undefined) throw new Error(`${this.#over} while waiting for ${what}; ${seen}`);
      if (left_ms <= 0) throw new Error(`waited ${timeout_ms} ms for ${what}; ${seen}`);
      await this.#wait(left_ms);
    }
  }

  /** Resolves when the other side has ended the connection. */
  async ended(what = 'the end of the connection', timeout_ms = PATIENCE_MS): Promise<void> {
    const end_ms = performance.now() + timeout_ms;
    while (this.#over === undefined) {
      const left_ms = end_ms - performance.now();
      if (left_ms <= 0) throw new Error(`waited ${timeout_ms} ms for ${what}`);
      await this.#wait(left_ms);
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #take(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.all.push(JSON.parse(line) as Raw);
    this.#wake();
  }

  #finish(reason: string): void {
    this.#over ??= reason;
    this.#wake();
  }

  #wait(timeout_ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeout_ms);
      this.#watchers.add(done);
    });
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** The code at the beginning of an Error's text; undefined if it isn't an Error. */
export function errorCode(message: Raw): string | undefined {
  return message.type === 16 ? message.error?.split(':')[0] : undefined;
}

/** What an answer says, with the zero values that were left out. */
export function said({ type = 0, entry = 0, value = '' }: Raw): {
  type: number;
  entry: number;
  value: string;
} {
  return { type, entry, value };
}

/** A bare datagram socket: a stranger, or a peer played by hand. */
export class RawUdp {
  readonly #socket: UdpSocket;
  readonly received: string[] = [];

  private constructor(socket: UdpSocket) {
    this.#socket = socket;
    socket.on('message', (bytes) => this.received.push(bytes.toString()));
  }

  static bind(place: Place): Promise<RawUdp> {
    const socket = createSocket('udp4');
    const raw = new RawUdp(socket);
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(Number(place.port), place.address, () => resolve(raw));
    });
  }

  /** The port that it was given. */
  get port(): number {
    return this.#socket.address().port;
  }

  send(to: Place, ...messages: (object | string | Uint8Array)[]): Promise<void> {
    const parts = messages.map((message) =>
      typeof message === 'string' || message instanceof Uint8Array ? message : JSON.stringify(message),
    );
    const bytes = parts.length === 1 ? parts[0]! : parts.join('\n');
    return new Promise((resolve, reject) => {
      this.#socket.send(bytes, Number(to.port), to.address, (error) => (error ? reject(error) : resolve()));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
