import type { Command } from 'commander';
import { formatAddress, initialise, type Address } from '../index.js';
import { commandLine, ownCommand } from './shell.js';
import { addressesOf, addressOf, reachableMembers } from './values.js';

interface InitFlags {
  readonly listen: Address;
  readonly peers?: readonly Address[];
  readonly dataDir: string;
}

const EXAMPLES = `
Examples:
  paxosd init --listen 127.0.0.1:7001 --data-dir data/single
  paxosd init --listen 10.0.0.1:7000 --peers 10.0.0.2:7000,10.0.0.3:7000 --data-dir /var/lib/paxosd

Run it once on each node, each time with the other nodes as --peers. The members of a cluster are fixed.`;

/** `paxosd init`: makes a data directory for a new member. */
export function addInit(program: Command): void {
  program
    .command('init')
    .summary('make the data directory of a new node')
    .description(
      'Makes the data directory of a new node: who it is, who its peers are, and an empty journal. ' +
        'Refuses a directory that holds anything.',
    )
    .requiredOption(
      '--listen <host:port>',
      "the node's own IPv4 address and port, for UDP and TCP; the same in its peers' --peers",
      addressOf('--listen'),
    )
    .option(
      '--peers <host:port,…>',
      'all other nodes of the cluster; none for a cluster of one',
      addressesOf('--peers'),
    )
    .requiredOption('--data-dir <dir>', 'an empty or a new directory')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: InitFlags) => {
      const { listen, peers = [], dataDir } = flags;
      const agents = reachableMembers(listen, peers);
      await initialise(dataDir, { self: listen, agents });
      process.stdout.write(whatNext(flags, agents.length));
    });
}

function whatNext({ listen, dataDir }: InitFlags, members: number): string {
  const cluster = members === 1 ? 'a cluster of its own' : `a cluster of ${members}`;
  const start = [...ownCommand(), 'start', '--data-dir', dataDir];
  return (
    `${dataDir} is now the data directory of node ${formatAddress(listen)} in ${cluster}.\n` +
    `Start it with:\n  ${commandLine(start)}\n`
  );
}
