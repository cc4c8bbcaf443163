import { connect } from 'node:net';
import type { Readable } from 'node:stream';
import split2 from 'split2';
import { parseErrorText } from './errors.js';
import {
  decodeLine,
  encodeLine,
  formatServer,
  MAX_LINE_LENGTH,
  MessageType,
  parseServers,
} from './messages.js';
import type { Received, ServerAddress } from './messages.js';

/** What an application is told about a value beside the value. */
export interface AppRequest {
  /** The client's session and its number for this request. */
  readonly id: number;
  readonly no: number;
  /** The value's place in the log. */
  readonly entry: number;
}

/**
 * Handles one value and returns the answer. It must be deterministic: the same values in the same order give the same
 * answers, on every node and on every replay; so no clock, no randomness, no files or network that others change.
 */
export type AppHandler = (value: string, request: AppRequest) => string | Promise<string>;

/**
 * A handler throws this to refuse a value: the answer is `error: MESSAGE`, the same on every node. Whatever else it
 * throws ends the process.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
}

/**
 * Reads where the node is from `-paxos_addr=A -paxos_port=P` (one or two dashes, `=` or a space), else from the
 * environment's PAXOS_ADDR and PAXOS_PORT. Throws RangeError that says what is missing.
 */
export function readAppAddress(argv: readonly string[], env: NodeJS.ProcessEnv): ServerAddress {
  const host = readFlag(argv, 'paxos_addr') ?? env['PAXOS_ADDR'];
  const port = readFlag(argv, 'paxos_port') ?? env['PAXOS_PORT'];
  if (!host || !port) {
    throw new RangeError(
      'where is the node? Give -paxos_addr=A -paxos_port=P, or set PAXOS_ADDR and PAXOS_PORT',
    );
  }
  return parseServers(`${host}:${port}`)[0] as ServerAddress;
}

function readFlag(argv: readonly string[], name: string): string | undefined {
  for (const [i, argument] of argv.entries()) {
    const match = /^--?([a-z_]+)(?:=(.*))?$/s.exec(argument);
    if (match?.[1] === name) return match[2] ?? argv[i + 1];
  }
  return undefined;
}

/** How long a failing application's last answers may take to leave. */
const LAST_WORDS_MS = 1000;

/**
 * Connects to the node as its application and answers every value of the log, in order, until the connection closes.
 * Rejects when the node can't be reached, or with what the handler threw.
 */
export async function serveApp(node: ServerAddress, handle: AppHandler): Promise<void> {
  const socket = connect({ host: node.host, port: node.port, noDelay: true });
  const link: { connected?: true; error?: Error } = {};
  socket.on('connect', () => (link.connected = true));
  socket.on('error', (error) => (link.error = error));
  // Destroying the reader with the socket ends the loop below, whatever broke.
  const lines = split2('\n', { maxLength: MAX_LINE_LENGTH });
  socket.on('close', () => lines.end());
  socket.pipe(lines, { end: false });
  socket.write(
    encodeLine({ type: MessageType.ClientConnectRequest }) + encodeLine({ type: MessageType.ClientApp }),
  );
  const waiting = new WaitingLines(lines);
  try {
    for (
      let line = await waiting.next();
      line !== undefined;
      line = waiting.take() ?? (await waiting.next())
    ) {
      for (const message of readLine(line, socket.destroyed)) {
        const applied = apply(message, handle);
        const answer = typeof applied === 'object' ? await applied : applied;
        if (answer === undefined) continue;
        // Answers to values that came in one chunk leave in one.
        if (socket.writableCorked === 0) corkForNow(socket);
        if (!socket.write(answer) && !socket.destroyed) await drained(socket);
      }
    }
  } catch (error) {
    await flush(socket);
    throw error;
  } finally {
    socket.destroy();
  }
  if (link.connected) return;
  throw new Error(`can't reach the node at ${formatServer(node)}: ${link.error?.message ?? 'closed'}`);
}

/** Lines that may wait for a handler that takes its time before the node is read no further. */
const MAX_WAITING_LINES = 1024;

/** The lines of a stream, one after the other. Those that have arrived are there at once, without a promise each. */
class WaitingLines {
  readonly #stream: Readable;
  #lines: string[] = [];
  #taken = 0;
  #over = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('data', (line: unknown) => {
      this.#lines.push(String(line));
      if (this.#lines.length >= MAX_WAITING_LINES) stream.pause();
      this.#wake?.();
    });
    stream.on('end', () => this.#end());
    stream.on('error', (error) => this.#end(error));
  }

  #end(failure?: Error): void {
    this.#failure ??= failure;
    this.#over = true;
    this.#wake?.();
  }

  /** The next line, if it has arrived. */
  take(): string | undefined {
    const line = this.#lines[this.#taken++];
    if (line !== undefined) return line;
    this.#lines = [];
    this.#taken = 0;
    if (this.#stream.isPaused()) this.#stream.resume();
    return undefined;
  }

  /** The next line; undefined when none will come any more. Rejects where the stream broke. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const line = this.take();
      if (line === undefined && this.#failure !== undefined) throw this.#failure;
      if (line !== undefined || this.#over) return line;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

/** The last line may have been cut by the end of the connection. */
function readLine(line: string, isOver: boolean): Received[] {
  try {
    return decodeLine(line);
  } catch (error) {
    if (isOver) return [];
    throw error;
  }
}

function corkForNow(socket: ReturnType<typeof connect>): void {
  socket.cork();
  setImmediate(() => socket.uncork());
}

/** Sends the answers given so far; a node that doesn't take them is not waited for long. */
function flush(socket: ReturnType<typeof connect>): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.setTimeout(LAST_WORDS_MS, () => socket.destroy());
    while (socket.writableCorked > 0) socket.uncork();
    socket.end(() => socket.destroy());
    if (socket.closed) resolve();
  });
}

function drained(socket: ReturnType<typeof connect>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

/** The line that answers a message, if it asks for an answer. A promise only if the handler gives one. */
function apply(message: Received, handle: AppHandler): string | undefined | Promise<string | undefined> {
  if (message.type === MessageType.Error) {
    const { code, text } = parseErrorText(message.error);
    process.stderr.write(`the node says: ${code}: ${text}\n`);
  }
  if (message.type !== MessageType.LogResponse) return undefined;
  const { value, id, no, entry } = message;
  try {
    const answer: unknown = handle(value, { id, no, entry });
    if (!isThenable(answer)) return answerLine(message, answer);
    return Promise.resolve(answer).then(
      (later: unknown) => answerLine(message, later),
      (error: unknown) => answerLine(message, excuse(error, entry)),
    );
  } catch (error) {
    return answerLine(message, excuse(error, entry));
  }
}

function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === 'object' && answer !== null && 'then' in answer;
}

/** What is answered to a value that the handler refused; throws if it failed otherwise. */
function excuse(error: unknown, entry: number): string {
  if (error instanceof AppError) return `error: ${error.message}`;
  throw failure(error, entry);
}

function failure(error: unknown, entry: number): Error {
  return new Error(`the handler failed at entry ${entry}`, { cause: error });
}

function answerLine({ id, no, entry, noset }: Received, answer: unknown): string | undefined {
  if (typeof answer !== 'string') {
    throw failure(new TypeError(`the handler returned ${typeof answer}, not a string`), entry);
  }
  if (noset) return undefined;
  // As encodeLine, which looks at every member: this is what an application does all the time.
  const request = { id: id || undefined, no: no || undefined };
  const text = JSON.stringify({
    type: MessageType.AppResponse,
    request,
    entry: entry || undefined,
    value: answer || undefined,
  });
  return `${text}\n`;
}

/**
 * The whole life of an application process: reads its flags, serves, and exits: 0 when the node closes the connection,
 * 1 when the node can't be found or the handler fails, with the reason on stderr.
 */
export async function runApp(handle: AppHandler): Promise<never> {
  try {
    await serveApp(readAppAddress(process.argv.slice(2), process.env), handle);
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    process.exit(1);
  }
  process.exit(0);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return `${error.message}: ${error.cause.stack ?? error.cause.message}`;
  return error.cause === undefined ? error.message : `${error.message}: ${JSON.stringify(error.cause)}`;
}
