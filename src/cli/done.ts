import { connect } from 'node:net';
import type { Command } from 'commander';
import { MessageType } from '../core/message.js';
import { formatAddress, type Address } from '../index.js';
import { printable } from '../net/logging.js';
import { decodeMessage } from '../wire/codec.js';
import { encodeMessage } from '../wire/encode.js';
import { createLineReader, type Framed } from '../wire/framing.js';
import { Exit } from './failure.js';
import { targetOf, wholeNumber } from './values.js';

const EXAMPLES = `
Examples:
  paxosd done 7001                          a bare port is one of this machine
  paxosd done 127.0.0.1:7001 127.0.0.1:7002

Nodes obey from their own machine only, unless started with --allow-remote-done.
Exit codes: 0 every node stops, 1 one refused or could not be reached.`;

/** A node gives its application and its clients some seconds to end. */
const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_TIMEOUT_MS = 3_600_000;

/** An Error is a few hundred bytes; what isn't a node may send anything. */
const MAX_LINE_BYTES = 64 * 1024;

type Outcome = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** `paxosd done`: tells nodes to stop. */
export function addDone(program: Command): void {
  program
    .command('done')
    .summary('tell nodes to stop')
    .description('Sends Done to nodes at their client addresses, and waits until each one lets go.')
    .argument('<host:port...>', 'client addresses, or ports of this machine', targetOf('done'))
    .option(
      '--timeout-ms <ms>',
      'how long to wait for each',
      wholeNumber(1, MAX_TIMEOUT_MS),
      DEFAULT_TIMEOUT_MS,
    )
    .addHelpText('after', EXAMPLES)
    .action(async (targets: readonly Address[], { timeoutMs }: { readonly timeoutMs: number }) => {
      const outcomes = await Promise.all(targets.map((target) => sendDone(target, timeoutMs)));
      outcomes.forEach((outcome, i) => {
        const name = formatAddress(targets[i] as Address);
        if (outcome.ok) process.stdout.write(`${name} stops\n`);
        else process.stderr.write(`paxosd: ${name}: ${outcome.reason}\n`);
      });
      process.exitCode = outcomes.every(({ ok }) => ok) ? Exit.Ok : Exit.Failed;
    });
}

/** Resolves when the node has closed the connection, or has refused, or the time is over. */
function sendDone({ address, port }: Address, timeout_ms: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: Number(port) });
    const finish = (outcome: Outcome): void => {
      clearTimeout(timer);
      resolve(outcome);
      socket.destroy();
    };
    const fail = (reason: string): void => finish({ ok: false, reason });
    const timer = setTimeout(() => fail(`did not stop within ${timeout_ms} ms`), timeout_ms);
    let has_connected = false;
    socket.once('connect', () => {
      has_connected = true;
      socket.write(`${encodeMessage({ type: MessageType.Done }, undefined)}\n`);
    });
    socket.once('error', (error) => {
      // A node that ends while the message is on its way may reset the connection.
      if (has_connected) finish({ ok: true });
      else fail(`can't be reached (${error.message}); is the node running, and is this its client address?`);
    });
    socket
      .pipe(createLineReader({ max_line_bytes: MAX_LINE_BYTES }))
      .on('data', (framed: Framed) => {
        const refusal = refusalIn(framed);
        if (refusal !== undefined) fail(refusal);
      })
      .once('end', () => finish({ ok: true }));
  });
}

/** Why the node did not obey; a node that is stopping says that too, and is no refusal. */
function refusalIn(framed: Framed): string | undefined {
  const stranger = "what answers there is not a node's client port; give the address of init's --listen";
  if (!framed.ok) return stranger;
  const decoded = decodeMessage(framed.text);
  if (!decoded.ok) return stranger;
  const { message } = decoded;
  if (message.type !== MessageType.Error || message.error.startsWith('stopping')) return undefined;
  return `refused: ${printable(message.error)}`;
}
