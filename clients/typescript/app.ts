import { connect } from 'node:net';
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
  try {
    for await (const line of lines) {
      for (const message of readLine(String(line), socket.destroyed)) {
        const answer = await apply(message, handle);
        if (answer === undefined) continue;
        // Answers to values that came in one chunk leave in one.
        if (socket.writableCorked === 0) corkForNow(socket);
        if (!socket.write(encodeLine(answer)) && !socket.destroyed) await drained(socket);
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

async function apply(message: Received, handle: AppHandler): Promise<object | undefined> {
  if (message.type === MessageType.Error) {
    const { code, text } = parseErrorText(message.error);
    process.stderr.write(`the node says: ${code}: ${text}\n`);
  }
  if (message.type !== MessageType.LogResponse) return undefined;
  const { id, no, entry } = message;
  const value = await answerTo(message, handle);
  if (message.noset) return undefined;
  return { type: MessageType.AppResponse, request: { id, no }, entry, value };
}

async function answerTo({ value, id, no, entry }: Received, handle: AppHandler): Promise<string> {
  try {
    const answer: unknown = await handle(value, { id, no, entry });
    if (typeof answer !== 'string')
      throw new TypeError(`the handler returned ${typeof answer}, not a string`);
    return answer;
  } catch (error) {
    if (error instanceof AppError) return `error: ${error.message}`;
    throw new Error(`the handler failed at entry ${entry}`, { cause: error });
  }
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
