import { connect, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
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
  socket.write(
    encodeLine({ type: MessageType.ClientConnectRequest }) + encodeLine({ type: MessageType.ClientApp }),
  );
  const waiting = new WaitingLines(socket);
  const answers = new Answers(socket);
  try {
    for (;;) {
      let line = waiting.take();
      if (line === undefined) {
        await answers.leave();
        line = await waiting.next();
      }
      if (line === undefined) break;
      for (const message of readLine(line, socket.destroyed)) {
        const applied = apply(message, handle);
        if (typeof applied === 'object') answers.leaveSoon(); // they needn't wait for this one
        const full = answers.add(typeof applied === 'object' ? await applied : applied);
        if (full !== undefined) await full;
      }
    }
  } catch (error) {
    void answers.leave();
    await flush(socket);
    throw error;
  } finally {
    socket.destroy();
  }
  if (link.connected) return;
  throw new Error(`can't reach the node at ${formatServer(node)}: ${link.error?.message ?? 'closed'}`);
}

/** Answers that leave together hold no more than about so many characters. */
const TOGETHER_LENGTH = 64 * 1024;

/** Answers to values that came in one chunk leave in one, as far as they are there when the turn of the loop ends. */
class Answers {
  readonly #socket: Socket;
  #text = '';
  #soon: NodeJS.Immediate | undefined;
  /** While the node takes no more. */
  #full: Promise<void> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** A promise only where the answers so far have to leave first. */
  add(answer: string | undefined): Promise<void> | undefined {
    if (answer === undefined) return undefined;
    this.#text += answer;
    return this.#text.length < TOGETHER_LENGTH ? undefined : this.leave();
  }

  /** At the end of this turn. */
  leaveSoon(): void {
    this.#soon ??= setImmediate(() => void this.leave());
  }

  /** Resolves when there is room for more; undefined if there is. */
  leave(): Promise<void> | undefined {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    const text = this.#text;
    this.#text = '';
    if (text !== '' && !this.#socket.write(text) && !this.#socket.destroyed)
      this.#full ??= drained(this.#socket).then(() => (this.#full = undefined));
    return this.#full;
  }
}

/** Lines that may wait for a handler that takes its time before the node is read no further. */
const MAX_WAITING_LINES = 1024;

/**
 * The lines that a socket brings, one after the other. Those that have arrived are there at once, without a promise or
 * an event each: a line through a stream of its own costs as much as carrying out what it asks for.
 */
class WaitingLines {
  readonly #socket: Readable;
  #lines: string[] = [];
  #taken = 0;
  /** The beginning of a line whose end has not arrived. */
  #rest = '';
  #over = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(socket: Readable) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#put(chunk));
    // Whatever broke: the node is gone, and what it said last may be cut.
    socket.on('close', () => this.#end());
  }

  #put(chunk: string): void {
    // Pieces of a long line are only strung together.
    const lines = chunk.includes('\n') ? (this.#rest + chunk).split('\n') : [this.#rest + chunk];
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#lines.push(line);
    if (this.#rest.length > MAX_LINE_LENGTH) {
      this.#rest = '';
      this.#socket.destroy();
      this.#end(new Error(`the node sent a line of more than ${MAX_LINE_LENGTH} characters`));
    }
    if (this.#lines.length >= MAX_WAITING_LINES) this.#socket.pause();
    this.#wake?.();
  }

  #end(failure?: Error): void {
    this.#failure ??= failure;
    if (!this.#over && this.#rest !== '') this.#lines.push(this.#rest);
    this.#rest = '';
    this.#over = true;
    this.#wake?.();
  }

  /** The next line, if it has arrived. */
  take(): string | undefined {
    const line = this.#lines[this.#taken++];
    if (line !== undefined) return line;
    this.#lines = [];
    this.#taken = 0;
    if (this.#socket.isPaused()) this.#socket.resume();
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

/** Sends the answers given so far; a node that doesn't take them is not waited for long. */
function flush(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.setTimeout(LAST_WORDS_MS, () => socket.destroy());
    socket.end(() => socket.destroy());
    if (socket.closed) resolve();
  });
}

function drained(socket: Socket): Promise<void> {
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
