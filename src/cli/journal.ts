import { once } from 'node:events';
import type { Command } from 'commander';
import { formatAddress } from '../index.js';
import { printJournal, type Verification } from '../journal/print.js';
import { Exit } from './failure.js';

const EXAMPLES = `
Examples:
  paxosd journal data/node-7001 | less     every record, with its place in the file
  paxosd journal data/node-7001 --verify   only whether it is whole

It changes nothing and works while the node runs. Exit codes: 0 whole, 1 damaged or unreadable.`;

/** Output is written in parts of about this size: a line at a time would cost more than reading the journal. */
const CHUNK_LENGTH = 64 * 1024;

/** `paxosd journal`: prints what a node has promised, accepted and learnt, and verifies it. */
export function addJournal(program: Command): void {
  program
    .command('journal')
    .summary("print and verify a node's journal")
    .description(
      'Prints every record of the journal in a data directory, checks it to the end, and sums it up.',
    )
    .argument('<dir>', 'the data directory of a node')
    .option('--verify', 'only check and sum up')
    .addHelpText('after', EXAMPLES)
    .action(async (directory: string, { verify }: { readonly verify?: true }) => {
      const found = await read(directory, verify === true ? async () => {} : print);
      if (verify) process.stdout.write(`${describe(found)}\n`);
      process.exitCode = found.ok ? Exit.Ok : Exit.Failed;
    });
}

/** Hands the journal's lines on in parts, and resolves with what was found. */
async function read(directory: string, write: (text: string) => Promise<void>): Promise<Verification> {
  const lines = printJournal(directory);
  let part = '';
  for (;;) {
    const next = await lines.next();
    if (!next.done) part += `${next.value}\n`;
    if (next.done || part.length > CHUNK_LENGTH) {
      await write(part);
      part = '';
    }
    if (next.done) return next.value;
  }
}

async function print(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

function describe({ segments, records, entries, promised, committed, torn, damage }: Verification): string {
  if (damage) return `DAMAGED: ${damage.text}`;
  const promise = promised ? `round ${promised.round} to ${formatAddress(promised.owner)}` : 'nothing yet';
  const end = torn ? `; its end is unfinished (${torn.text}), which a start puts right` : '';
  return (
    `whole: ${segments} segments, ${records} records, ${entries} entries; promised ${promise}, ` +
    `chosen below ${committed}${end}`
  );
}
