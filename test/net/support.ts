import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

import type { Address } from '../../src/core/address.js';
import { errorText, type ErrorCode } from '../../src/core/errors.js';
import type { Log } from '../../src/net/logging.js';
import { freePorts, LOOPBACK } from '../support/cluster-ports.js';

export { LOOPBACK };

/** Longer than anything here takes on a busy machine, shorter than the test runner's patience. */
const PATIENCE_MS = 8_000;

/** The promise's outcome, or an error that says what was waited for. */
export async function within<T>(promise: Promise<T>, what: string, timeout_ms = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeout_ms} ms for ${what}`)), timeout_ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What came, in order, for a test to wait for. */
export class Inbox<T> {
  readonly all: T[] = [];
  readonly #what: string;
  #taken = 0;
  #waiting: (() => void)[] = [];

  constructor(what: string) {
    this.#what = what;
  }

  push(item: T): void {
    this.all.push(item);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** The next one that was not taken yet. */
  async next(): Promise<T> {
    await this.until(() => this.all.length > this.#taken, `one more of ${this.#what}`);
    return this.all[this.#taken++]!;
  }

  async take(count: number): Promise<T[]> {
    const items: T[] = [];
    while (items.length < count) items.push(await this.next());
    return items;
  }

  /** Resolves when `done()` holds, looked at whenever something comes. */
  async until(done: () => boolean, what: string): Promise<void> {
    while (!done()) {
      await within(
        new Promise<void>((resolve) => this.#waiting.push(resolve)),
        `${what}; ${this.all.length} of ${this.#what} came`,
      );
    }
  }
}

/** A clock that stands still until it is told to go on. */
export class ManualClock {
  time_ms = 1_000;
  readonly now_ms = (): number => this.time_ms;
}

export interface LogLine {
  readonly level: string;
  readonly code: string;
  readonly text: string;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}

export function recordingLog(): { log: Log; lines: Inbox<LogLine> } {
  const lines = new Inbox<LogLine>('log lines');
  return { log: (level, code, text, details = {}) => lines.push({ level, code, text, details }), lines };
}

/**
 * Loopback addresses whose ports were free for UDP and TCP a moment ago, sorted as agents are. The system gives none of
 * these ports to a stranger who names none.
 */
export async function freeAddresses(count: number): Promise<Address[]> {
  return (await freePorts(count)).map((port) => ({ address: LOOPBACK, port: String(port) }));
}

/** A bare datagram socket: a stranger, or a peer played by hand. */
export interface RawUdp {
  readonly datagrams: Inbox<string>;
  readonly address: Address;
  readonly send: (to: Address, bytes: string | Uint8Array) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function rawUdp(address: Address = { address: LOOPBACK, port: '0' }): Promise<RawUdp> {
  const socket: UdpSocket = createSocket('udp4');
  const datagrams = new Inbox<string>('datagrams');
  socket.on('message', (bytes) => datagrams.push(bytes.toString()));
  await new Promise<void>((resolve) => socket.bind(Number(address.port), address.address, resolve));
  return {
    datagrams,
    address: { address: LOOPBACK, port: String(socket.address().port) },
    send: (to, bytes) =>
      new Promise((resolve, reject) => {
        socket.send(bytes, Number(to.port), to.address, (error) => (error ? reject(error) : resolve()));
      }),
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

/** A bare TCP client. */
export interface RawTcp {
  readonly socket: Socket;
  /** Complete lines that came, parsed. */
  readonly lines: Inbox<Record<string, unknown>>;
  /** The other side closed its direction (or the connection broke). */
  readonly ended: Promise<void>;
  readonly closed: Promise<void>;
  readonly write: (text: string | Uint8Array) => void;
}

export async function rawTcp(to: Address, { allowHalfOpen = false, reading = true } = {}): Promise<RawTcp> {
  const socket = connect({ host: to.address, port: Number(to.port), allowHalfOpen });
  socket.on('error', () => undefined);
  const lines = new Inbox<Record<string, unknown>>('lines');
  let rest = '';
  const ended = new Promise<void>((resolve) => {
    socket.once('end', resolve);
    socket.once('close', () => resolve());
  });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await within(new Promise<void>((resolve) => socket.once('connect', resolve)), 'a connection');
  if (reading) {
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) lines.push(JSON.parse(part) as Record<string, unknown>);
    });
  }
  return { socket, lines, ended, closed, write: (text) => socket.write(text) };
}

/** Whether a received object is an Error with this code. */
export function isError(message: Record<string, unknown>, code: ErrorCode): boolean {
  return message['type'] === 16 && String(message['error']).startsWith(errorText(code, ''));
}

/** Milliseconds that `run` took. */
export async function duration_ms(run: () => Promise<unknown>): Promise<number> {
  const start_ms = performance.now();
  await run();
  return performance.now() - start_ms;
}
