#!/usr/bin/env node
/** The key-value command: `kvclient SERVERS put KEY VALUE…` and `kvclient SERVERS get KEY`. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { Client } from './client.js';
import { DefiniteError, ExecutedError, UnknownOutcomeError, type Asked } from './errors.js';
import { decodeKvAnswer, encodeKvRequest, KvError, type KvRequest } from './kv.js';
import { parseServers } from './messages.js';

/** The command's exit codes (clients/README.md, "Key-value command"). */
const Exit = { Ok: 0, NotFound: 1, Usage: 2, Definite: 3, Unknown: 4, Unreachable: 5, Executed: 6 } as const;

const DEFAULT_TIMEOUT_MS = 10_000;

const EXAMPLES = `
Options stand before SERVERS; everything after KEY is the value.

Examples:
  kvclient 7001 put greeting hello world      prints: hello world
  kvclient 7001,7002,7003 get greeting        any node's port; redirects are followed
  kvclient --timeout-ms 500 10.0.0.5:7001 get greeting
  kvclient --ask 65537:1 7001 put greeting hello world
                                              did it happen? says so, or makes it happen, once

Exit codes:
  0  done                       4  it may have happened; says how to find out
  1  the key is not there       5  no server could be reached; nothing happened
  2  wrong usage                6  it happened, but there is no key-value answer
  3  refused; nothing happened`;

interface Options {
  readonly timeoutMs: number;
  readonly ask?: { readonly id: number; readonly no: number };
}

function parseMilliseconds(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Write a number of milliseconds above 0.');
}

function parseAsk(text: string): { id: number; no: number } {
  const match = /^([1-9][0-9]*):([1-9][0-9]*)$/.exec(text);
  const [id, no] = [Number(match?.[1]), Number(match?.[2])];
  if (Number.isSafeInteger(id) && Number.isSafeInteger(no)) return { id, no };
  throw new InvalidArgumentError('Write ID:NO, as an earlier kvclient printed it.');
}

function parseRequest(command: Command, operation: string, key: string, words: string[]): KvRequest {
  if (operation === 'put' && words.length > 0) return { op: 'put', key, value: words.join(' ') };
  if (operation === 'put') command.error(`error: put needs a value: put ${key} VALUE…`);
  if (operation !== 'get') command.error(`error: unknown operation "${operation}": write put or get`);
  if (words.length > 0) command.error('error: get takes one key; options stand before the servers');
  return { op: 'get', key };
}

/** Asks, prints the outcome, and returns the exit code. */
async function run(servers: string, request: KvRequest, words: string[], options: Options): Promise<number> {
  const client = new Client({ servers, timeout_ms: options.timeoutMs });
  const value = encodeKvRequest(request);
  try {
    const answer =
      options.ask === undefined
        ? await client.request(value)
        : await client.askAgain({ ...options.ask, value }, { timeout_ms: options.timeoutMs });
    return report(answer.value);
  } catch (error) {
    return explain(error, servers, words);
  } finally {
    client.close();
  }
}

function report(text: string): number {
  const answer = decodeKvAnswer(text);
  if (answer?.ok) {
    process.stdout.write(`${answer.value}\n`);
    return Exit.Ok;
  }
  if (answer === undefined) {
    process.stderr.write(
      `kvclient: it happened, but no key-value application answered. The answer: ${text}\n`,
    );
    return Exit.Executed;
  }
  process.stderr.write(`kvclient: ${answer.error}\n`);
  return answer.error === KvError.NotFound ? Exit.NotFound : Exit.Definite;
}

function explain(error: unknown, servers: string, words: string[]): number {
  if (error instanceof UnknownOutcomeError) {
    process.stderr.write(`kvclient: ${error.message}\n${howToAsk(error.asked, servers, words)}\n`);
    return Exit.Unknown;
  }
  if (error instanceof DefiniteError) {
    process.stderr.write(`kvclient: ${error.message}\nIt did not happen.\n`);
    return error.code === 'unreachable' ? Exit.Unreachable : Exit.Definite;
  }
  if (error instanceof ExecutedError) {
    process.stderr.write(`kvclient: ${error.message}\nIt happened.\n`);
    return Exit.Executed;
  }
  throw error;
}

function howToAsk(asked: Asked, servers: string, words: string[]): string {
  const command = ['kvclient', '--ask', `${asked.id}:${asked.no}`, servers, ...words].map(quote).join(' ');
  return `It may have happened (id ${asked.id}, no ${asked.no}). To find out, and to have it happen once if it did not:\n  ${command}`;
}

/** As a shell takes it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

async function main(): Promise<number> {
  const command = new Command('kvclient')
    .description('Puts and gets keys of the key-value application that a paxosd cluster runs.')
    .option(
      '--timeout-ms <n>',
      'how long to keep trying, over all servers',
      parseMilliseconds,
      DEFAULT_TIMEOUT_MS,
    )
    .option('--ask <id:no>', 'ask again about an earlier request, with the same words', parseAsk)
    .argument('<servers>', 'HOST:PORT or PORT of any nodes, separated by commas')
    .argument('<operation>', 'put or get')
    .argument('<key>')
    .argument('[value...]', 'words of the value, joined by spaces')
    .addHelpText('after', EXAMPLES)
    .passThroughOptions()
    .exitOverride()
    .showHelpAfterError('(try kvclient --help)');
  try {
    command.parse();
    const [servers = '', operation = '', ...words] = command.args;
    const [key = '', ...rest] = words;
    const request = parseRequest(command, operation, key, rest);
    parseServers(servers);
    return await run(servers, request, [operation, ...words], command.opts<Options>());
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.Ok : Exit.Usage;
    if (!(error instanceof RangeError)) throw error;
    process.stderr.write(`kvclient: ${error.message}\n`);
    return Exit.Usage;
  }
}

process.exitCode = await main();
