import type { Command } from 'commander';
import { formatAddress, type Address } from '../index.js';
import { Exit } from './failure.js';
import { askStatus, type StatusAnswer } from './http-status.js';
import { statusText } from './status-table.js';
import { targetOf, wholeNumber } from './values.js';

const EXAMPLES = `
Examples:
  paxosd status 8001 8002 8003        bare ports are those of this machine
  paxosd status 10.0.0.1:8001 --json  everything that the node says, for programs

Ask the addresses given with --http; "paxosd cluster" prints them. Exit codes: 0 all have answered, 1 not all.`;

/** A node answers within milliseconds, or has a problem. */
const DEFAULT_TIMEOUT_MS = 2_000;
const MAX_TIMEOUT_MS = 3_600_000;

interface StatusFlags {
  readonly json?: true;
  readonly timeoutMs: number;
}

/** `paxosd status`: how nodes are, by their own account. */
export function addStatus(program: Command): void {
  program
    .command('status')
    .summary('show how nodes are')
    .description('Asks nodes over HTTP for their state, and shows it as tables or as JSON.')
    .argument('<host:port...>', 'addresses given with --http, or ports of this machine', targetOf('status'))
    .option('--json', 'print an array of what each node says, or {http, error} of one that does not answer')
    .option(
      '--timeout-ms <ms>',
      'how long to wait for each',
      wholeNumber(1, MAX_TIMEOUT_MS),
      DEFAULT_TIMEOUT_MS,
    )
    .addHelpText('after', EXAMPLES)
    .action(async (targets: readonly Address[], { json, timeoutMs }: StatusFlags) => {
      const answers = await Promise.all(targets.map((target) => askStatus(target, timeoutMs)));
      const names = targets.map(formatAddress);
      process.stdout.write(json ? asJson(names, answers) : asText(answers));
      answers.forEach((answer, i) => {
        if (!answer.ok) process.stderr.write(`paxosd: ${names[i] ?? ''}: ${answer.error}\n`);
      });
      process.exitCode = answers.every(({ ok }) => ok) ? Exit.Ok : Exit.Failed;
    });
}

function asJson(names: readonly string[], answers: readonly StatusAnswer[]): string {
  const items = answers.map((answer, i) =>
    answer.ok ? { http: names[i], ...answer.status } : { http: names[i], error: answer.error },
  );
  return `${JSON.stringify(items, undefined, 2)}\n`;
}

function asText(answers: readonly StatusAnswer[]): string {
  const reached = answers.flatMap((answer) => (answer.ok ? [answer.status] : []));
  return reached.length === 0 ? '' : statusText(reached);
}
