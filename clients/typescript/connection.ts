import { connect, type Socket } from 'node:net';
import split2 from 'split2';
import { parseErrorText } from './errors.js';
import {
  decodeLine,
  encodeLine,
  formatServer,
  MAX_LINE_LENGTH,
  MessageType,
  ProtocolError,
  type Received,
  type ServerAddress,
} from './messages.js';

/** One TCP connection to a node, as messages. `onClosed` comes once, and no message after it. */
export class Connection {
  readonly server: ServerAddress;
  readonly #socket: Socket;
  #onMessage: (message: Received) => void;
  #onClosed: (reason: string) => void;
  /** The other side, or an error, has ended it. */
  #ended = false;
  /** The owner wants no more of it. */
  #dropped = false;
  /** What happened while it had no owner. */
  #held: (() => void)[] | undefined;

  constructor(
    server: ServerAddress,
    onMessage: (message: Received) => void,
    onClosed: (reason: string) => void,
  ) {
    this.server = server;
    this.#onMessage = onMessage;
    this.#onClosed = onClosed;
    this.#socket = connect({ host: server.host, port: server.port, noDelay: true });
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end(NODE_CLOSED));
    const lines = split2('\n', { maxLength: MAX_LINE_LENGTH });
    lines.on('data', (line: string) => this.#take(line));
    lines.on('error', (error: Error) => this.#end(error.message));
    lines.on('end', () => this.#end(NODE_CLOSED));
    this.#socket.pipe(lines);
  }

  /** Sends one message; on a closed connection it goes nowhere. */
  send(message: object): void {
    if (!this.#ended && !this.#dropped) this.#socket.write(encodeLine(message));
  }

  /** Keeps whatever comes until `handOver`: messages may follow the greeting in one chunk. */
  hold(): void {
    this.#held = [];
  }

  /** Hands the connection, and what was held, to its new owner. */
  handOver(onMessage: (message: Received) => void, onClosed: (reason: string) => void): void {
    this.#onMessage = onMessage;
    this.#onClosed = onClosed;
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const happen of held) happen();
  }

  /** Ends the connection without a word to its owner. */
  drop(): void {
    this.#dropped = true;
    this.#socket.destroy();
  }

  #take(line: string): void {
    if (this.#ended || this.#dropped) return;
    try {
      for (const message of decodeLine(line)) this.#tell(() => this.#onMessage(message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#end(`unreadable: ${error.message}`);
    }
  }

  #end(reason: string): void {
    if (this.#ended || this.#dropped) return;
    this.#ended = true;
    this.#socket.destroy();
    this.#tell(() => this.#onClosed(reason));
  }

  #tell(happen: () => void): void {
    if (this.#held !== undefined) this.#held.push(() => this.#tell(happen));
    else if (!this.#dropped) happen();
  }
}

const NODE_CLOSED = 'the node closed the connection';

/** How a node answered a ClientConnectRequest (spec.md, "Clients"). */
export type Greeting =
  | { readonly kind: 'connected'; readonly connection: Connection; readonly id: number; readonly no: number }
  | { readonly kind: 'redirected'; readonly leader: ServerAddress }
  | { readonly kind: 'refused'; readonly code: string; readonly text: string };

/** Codes that this side gives to a node which could not be talked to. */
export const UNREACHABLE = 'unreachable';

/**
 * Connects and says hello, asking for `session` unless it is 0. Never throws; a node that can't be reached, or
 * doesn't answer within `timeout_ms`, has refused with the code `unreachable`.
 */
export function greet(
  server: ServerAddress,
  session: number,
  timeout_ms: number,
  signal: AbortSignal,
): Promise<Greeting> {
  return new Promise((resolve) => {
    const settle = (greeting: Greeting): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      if (greeting.kind === 'connected') connection.hold();
      else connection.drop();
      resolve(greeting);
    };
    const unreachable = (reason: string): void =>
      settle({ kind: 'refused', code: UNREACHABLE, text: `${formatServer(server)}: ${reason}` });
    const aborted = (): void => unreachable('given up');
    const timer = setTimeout(() => unreachable(`no answer within ${timeout_ms} ms`), timeout_ms);
    const connection: Connection = new Connection(
      server,
      (message) => {
        const greeting = readGreeting(message, connection);
        if (greeting !== undefined) settle(greeting);
      },
      unreachable,
    );
    signal.addEventListener('abort', aborted);
    connection.send({
      type: MessageType.ClientConnectRequest,
      ...(session > 0 && { request: { id: session } }),
    });
  });
}

function readGreeting(message: Received, connection: Connection): Greeting | undefined {
  switch (message.type) {
    case MessageType.ClientConn:
      return message.id > 0
        ? { kind: 'connected', connection, id: message.id, no: message.no }
        : { kind: 'refused', code: UNREACHABLE, text: 'ClientConn without request.id' };
    case MessageType.ClientRedirect:
      return readRedirect(message);
    case MessageType.Error:
      return { kind: 'refused', ...parseErrorText(message.error) };
    default:
      return undefined;
  }
}

/** Where a ClientRedirect points; one that names nobody says that there is no leader. */
export function readRedirect(message: Received): Greeting {
  const port = Number(message.leaderport);
  if (message.leaderaddress === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return { kind: 'refused', code: 'no-leader', text: 'the node named no leader' };
  }
  return { kind: 'redirected', leader: { host: message.leaderaddress, port } };
}
