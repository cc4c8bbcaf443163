import { createServer, type Server, type Socket } from 'node:net';

import type { Address } from '../core/address.js';
import { connectionId } from '../core/ids.js';
import { MessageType, type Message } from '../core/message.js';
import { afterPolling } from './after-polling.js';
import { ClientConnection, type ConnectionHandlers, type ConnectionLimits } from './client-connection.js';
import { Intake } from './intake.js';
import { errorCode, listenError } from './listen-error.js';
import { limitedLog, type Log } from './logging.js';
import { OutputBudget } from './output-budget.js';
import { Turn } from './turn.js';

export { ClientConnection };
export type { ClientMessage, ClientRefusal, ConnectionLimits } from './client-connection.js';

/** Limits of a listener (spec.md, "Limits"). */
export interface ListenerLimits extends ConnectionLimits {
  /** Connections at a time, the places reserved for peers among them. */
  readonly max_connections: number;
  /** Output that waits for slow readers on all connections together. */
  readonly max_total_buffered_bytes: number;
}

export const DEFAULT_LISTENER_LIMITS: ListenerLimits = {
  /**
   * Room for a thousand clients and as many again. Node raises its own limit of descriptors to what the system lets it
   * have; where that is less, connections beyond it are dropped and the node goes on.
   */
  max_connections: 2048,
  /** The largest value under the worst escaping fits four times. */
  max_line_bytes: 256 * 1024,
  /** Long enough for a person at a terminal; short enough that forgotten connections don't use up the places. */
  idle_ms: 300_000,
  /** The answers to all requests that one client may have in flight (128), each of the largest size, fit. */
  max_buffered_bytes: 16 * 1024 * 1024,
  /** Sixteen connections at their bound; what a small machine can spare for readers that lag. */
  max_total_buffered_bytes: 256 * 1024 * 1024,
};

/** An application's answers may be larger than a value: they are never logged. */
export const APP_MAX_LINE_BYTES = 1024 * 1024;

/** What clients may say; the rest is refused by name. */
export const CLIENT_TYPES: ReadonlySet<MessageType> = new Set([
  MessageType.ClientRequest,
  MessageType.ClientConnectRequest,
  MessageType.ClientApp,
  MessageType.AppResponse,
  MessageType.Done,
]);

/** What an application may say on the listener made for it. */
export const APP_TYPES: ReadonlySet<MessageType> = new Set([
  MessageType.ClientConnectRequest,
  MessageType.ClientApp,
  MessageType.AppResponse,
]);

/** A connection that asks for a reserved place has this long to say what it wants. */
const HELLO_TIMEOUT_MS = 1_000;

/**
 * Connections that may be about to ask for a reserved place; one more ends the oldest. A peer asks with its first
 * segment, so it is pushed out only by this many newcomers within one round trip.
 */
const MAX_ON_PROBATION = 32;

/** Refused connections that are told why and seen off politely; in a storm the rest are just closed. */
const MAX_TURNED_AWAY = 64;

/** Connections that the system keeps for us until they are accepted; it may cut this to its own limit. */
const BACKLOG = 1024;

/** How long `close` lets connections get their last output out. */
const CLOSE_GRACE_MS = 2_000;

/** Silent connections are probed by TCP after this time, so that those of vanished hosts end some day. */
const KEEP_ALIVE_MS = 30_000;

export interface ListenerOptions extends ConnectionHandlers {
  /** Where to listen; port '0' takes a free one. */
  readonly address: Address;
  /** Stands as sender in what is sent; `address` if absent. */
  readonly self?: Address;
  readonly limits?: Partial<ListenerLimits>;
  /** Types that are handed on; `CLIENT_TYPES` if absent. */
  readonly allowed?: ReadonlySet<MessageType>;
  /**
   * Places among `max_connections` kept for catching-up peers, and the addresses that peers come from. When only such
   * places are left, a connection gets one if it comes from a peer's address and its first line, within
   * HELLO_TIMEOUT_MS, is ClientApp with `request.noset`: what a peer says, and no client or application needs to.
   * On loopback, where all come from one address, the line alone decides.
   */
  readonly reserved?: { readonly places: number; readonly addresses: readonly string[] };
  /** What decides how much is taken in; absent: all that comes, a bounded share per turn. */
  readonly intake?: {
    /** Requests taken in and not answered. */
    readonly openRequests: () => number;
    /** Whether the disk is too far behind to take in more. */
    readonly isHeldUp?: () => boolean;
    /** Whether a connection is taken in all the same: what it says lets others go on. */
    readonly isExempt: (connection: ClientConnection) => boolean;
  };
  readonly log: Log;
  /** Milliseconds of a clock that never goes back; for tests. */
  readonly now_ms?: () => number;
}

/** A TCP listener for clients, applications and catching-up agents. */
export interface ClientListener {
  /** Where it listens, with the port that the system chose if '0' was asked for. */
  readonly address: Address;
  /** Connections that were admitted and are not closed yet. */
  readonly connections: number;
  /** To be called when requests were answered, or the disk has caught up: clients that were left waiting may go on. */
  wake(): void;
  /** Stops accepting, sends what waits, closes every connection; resolves when all are gone. */
  close(grace_ms?: number): Promise<void>;
}

/**
 * Listens for clients (spec.md, "Clients"). `onClosed` is called for every admitted connection, also for those that
 * never said anything. Rejects with a `ListenError` that says what to do if the port can't be had.
 */
export async function openClientListener(options: ListenerOptions): Promise<ClientListener> {
  const listener = new Listener(options);
  await listener.listen();
  return listener;
}

/** One counter for all listeners of the process, so that a connection's name is never used twice in an agent's life. */
let last_connection_id = 0;

type Place = 'ordinary' | 'reserved';

class Listener implements ClientListener {
  readonly #options: ListenerOptions;
  readonly #limits: ListenerLimits;
  readonly #reserved: { readonly places: number; readonly addresses: ReadonlySet<string> };
  readonly #log: Log;
  readonly #now_ms: () => number;
  readonly #server: Server;
  readonly #budget: OutputBudget;
  readonly #turn: Turn;
  readonly #intake: Intake<ClientConnection>;
  /** Admitted connections and the kind of place that each takes. */
  readonly #places = new Map<ClientConnection, Place>();
  #reserved_taken = 0;
  /** Connections that may still ask for a reserved place, oldest first. */
  readonly #probation = new Set<ClientConnection>();
  readonly #turned_away = new Set<ClientConnection>();
  #address: Address;
  #closing: Promise<void> | undefined;
  #onAllGone: (() => void) | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
    this.#reserved = {
      places: options.reserved?.places ?? 0,
      addresses: new Set(options.reserved?.addresses),
    };
    this.#now_ms = options.now_ms ?? (() => performance.now());
    this.#log = limitedLog(options.log, this.#now_ms);
    this.#budget = new OutputBudget(this.#limits.max_total_buffered_bytes);
    this.#turn = new Turn(this.#now_ms);
    this.#intake = new Intake({
      openRequests: () => options.intake?.openRequests() ?? 0,
      isHeldUp: () => options.intake?.isHeldUp?.() === true,
      // Who is new is heard once at any time: it may be a peer that lacks entries, or somebody who says Done.
      isExempt: (connection) => connection.fresh || options.intake?.isExempt(connection) === true,
      together: options.together,
    });
    this.#address = options.address;
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS },
      (socket) => this.#accept(socket),
    );
  }

  get address(): Address {
    return this.#address;
  }

  get connections(): number {
    return this.#places.size;
  }

  wake(): void {
    this.#intake.wake();
  }

  async listen(): Promise<void> {
    const { address } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const refused = (error: Error) => reject(listenError(error, 'TCP', address));
      this.#server.once('error', refused);
      const where = { host: address.address, port: Number(address.port), backlog: BACKLOG, exclusive: true };
      this.#server.listen(where, () => {
        this.#server.off('error', refused);
        this.#server.on('error', (error) => this.#acceptFailed(error));
        resolve();
      });
    });
    const bound = this.#server.address();
    if (bound !== null && typeof bound === 'object')
      this.#address = { address: bound.address, port: String(bound.port) };
  }

  close(grace_ms = CLOSE_GRACE_MS): Promise<void> {
    this.#closing ??= this.#closeAll(grace_ms);
    return this.#closing;
  }

  async #closeAll(grace_ms: number): Promise<void> {
    const server_closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const impatience = setTimeout(() => {
      for (const connection of this.#everyone()) connection.destroy();
    }, grace_ms);
    for (const connection of this.#everyone()) connection.close();
    if (this.#everyone().length > 0) await new Promise<void>((resolve) => (this.#onAllGone = resolve));
    clearTimeout(impatience);
    await server_closed;
  }

  #everyone(): ClientConnection[] {
    return [...this.#places.keys(), ...this.#probation, ...this.#turned_away];
  }

  /** Out of descriptors, mostly. The system's queue keeps the connection or drops it; those we have go on. */
  #acceptFailed(error: Error): void {
    this.#log(
      'warn',
      'accept-failed',
      `could not accept a connection (${errorCode(error)}): too few file descriptors? Raise the limit (ulimit -n)`,
    );
  }

  #accept(socket: Socket): void {
    // The other side may be gone again before it was accepted; without an address there is nobody to serve.
    if (socket.remoteAddress === undefined || this.#closing !== undefined) {
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    const ordinary_taken = this.#places.size - this.#reserved_taken;
    if (ordinary_taken < this.#limits.max_connections - this.#reserved.places) this.#admitOrdinary(socket);
    else if (this.#mayAskForReserved(socket.remoteAddress)) this.#putOnProbation(socket);
    else this.#turnAway(socket);
  }

  #mayAskForReserved(remote_address: string): boolean {
    return this.#reserved_taken < this.#reserved.places && this.#reserved.addresses.has(remote_address);
  }

  #admitOrdinary(socket: Socket): void {
    this.#places.set(
      this.#connect(socket, () => undefined),
      'ordinary',
    );
  }

  #putOnProbation(socket: Socket): void {
    for (const oldest of this.#probation) {
      if (this.#probation.size < MAX_ON_PROBATION) break;
      this.#endProbation(oldest);
    }
    const timer = setTimeout(() => {
      afterPolling(() => {
        if (this.#probation.has(connection)) this.#endProbation(connection);
      });
    }, HELLO_TIMEOUT_MS);
    const admit = (message: Message | undefined): boolean => {
      clearTimeout(timer);
      const welcome = message?.type === MessageType.ClientApp && message.request.noset;
      if (!welcome || this.#reserved_taken >= this.#reserved.places) {
        this.#endProbation(connection);
        return false;
      }
      this.#probation.delete(connection);
      this.#places.set(connection, 'reserved');
      this.#reserved_taken++;
      return true;
    };
    const connection = this.#connect(socket, () => clearTimeout(timer), admit);
    this.#probation.add(connection);
  }

  #endProbation(connection: ClientConnection): void {
    this.#probation.delete(connection);
    this.#refuse(connection);
  }

  #turnAway(socket: Socket): void {
    this.#refuse(this.#connect(socket, () => undefined));
  }

  /** Tells a connection that there is no room, and closes it; in a storm, only closes it. */
  #refuse(connection: ClientConnection): void {
    this.#logFull(connection.remote);
    const { max_connections } = this.#limits;
    if (this.#turned_away.size >= MAX_TURNED_AWAY) {
      this.#options.onRefused('too-many-connections');
      connection.destroy();
      return;
    }
    this.#turned_away.add(connection);
    connection.refuse(
      'too-many-connections',
      `all ${max_connections} places are taken; close connections that aren't needed, or ask another node`,
    );
    connection.close();
  }

  #logFull(remote: string): void {
    const { max_connections } = this.#limits;
    const text = `turned ${remote} away: all ${max_connections} places for connections are taken`;
    this.#log('warn', 'too-many-connections', text, { remote, max_connections });
  }

  #connect(
    socket: Socket,
    onGone: () => void,
    admit?: (message: Message | undefined) => boolean,
  ): ClientConnection {
    const options = this.#options;
    const handlers: ConnectionHandlers = {
      onMessage: (connection, message) => options.onMessage(connection, message),
      onEnded: (connection) => options.onEnded(connection),
      onClosed: (connection) => {
        onGone();
        this.#leave(connection);
      },
      onRefused: (code, connection) => options.onRefused(code, connection),
      isBusy: (connection) => options.isBusy?.(connection) === true,
    };
    return new ClientConnection(socket, {
      id: connectionId(++last_connection_id),
      self: options.self ?? this.#address,
      limits: this.#limits,
      allowed: options.allowed ?? CLIENT_TYPES,
      handlers,
      budget: this.#budget,
      intake: this.#intake,
      turn: this.#turn,
      log: this.#log,
      now_ms: this.#now_ms,
      ...(admit === undefined ? {} : { admit }),
    });
  }

  #leave(connection: ClientConnection): void {
    this.#probation.delete(connection);
    this.#turned_away.delete(connection);
    const place = this.#places.get(connection);
    if (place !== undefined) {
      this.#places.delete(connection);
      if (place === 'reserved') this.#reserved_taken--;
      this.#options.onClosed(connection);
    }
    if (this.#onAllGone !== undefined && this.#everyone().length === 0) this.#onAllGone();
  }
}
