/** `npm run bench`: measures a cluster of real nodes on this machine, and writes results.md and plots. */
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { PROJECT } from './paths.js';
import { isPeerName, PEER_NAMES, type PeerName } from './peer/peers.js';
import { startProgress } from './progress.js';
import { measureNames, runBench } from './run.js';
import { FULL, QUICK, USUAL } from './scale.js';

interface Flags {
  readonly only: readonly string[];
  readonly quick?: true;
  readonly full?: true;
  readonly peer: readonly PeerName[];
  readonly profile?: true;
  readonly dataDir: string;
  readonly out?: string;
}

const EXAMPLES = `
Measurements: closed (all of the first five), ${measureNames(USUAL).join(', ')}.

Examples:
  npm run bench                                                everything, some minutes
  npm run bench -- --only closed --peer etcd                   closed loops, beside an etcd
  npm run bench -- --only closed --peer etcd,bare              and beside the least that a Node program can do
  npm run bench -- --quick                                     everything, some seconds each, into data/bench
  npm run bench -- --quick --only closed-100 --profile         where the nodes spend their time`;

/** The systems that `--peer` names, with those of an earlier `--peer`, each once. */
function peersOf(text: string, earlier: readonly PeerName[]): PeerName[] {
  const named = text.split(',').map((name) => {
    if (isPeerName(name)) return name;
    throw new InvalidArgumentError(`There is no peer "${name}"; there are ${PEER_NAMES.join(', ')}.`);
  });
  return [...new Set([...earlier, ...named])];
}

const program = new Command('bench')
  .description('Measures a cluster of real nodes on this machine, and writes results.md and plots.')
  .option('--only <names>', 'measurements, separated by commas', (text) => text.split(','), [])
  .addOption(new Option('--quick', 'seconds for each: whether it works').conflicts('full'))
  .option('--full', 'more and longer rounds, 50 failovers, 5 minutes of overload')
  .option(
    '--peer <names>',
    `measure other systems beside it, separated by commas: ${PEER_NAMES.join(', ')}`,
    peersOf,
    [],
  )
  .option('--profile', 'run the nodes under the profiler; the hottest functions are in the report')
  .option(
    '--data-dir <dir>',
    'where the clusters keep their data meanwhile',
    join(PROJECT, 'data', 'bench-run'),
  )
  .option(
    '--out <dir>',
    'where results.md and plots go (default: bench, with --quick or --profile data/bench)',
  )
  .addHelpText('after', EXAMPLES);

/** What a shell reports of a program that a signal ended, less the signal's number. */
const SIGNALLED = 128;

// Ending is enough: what the bench has started and written goes with it.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.once(signal, () => process.exit(SIGNALLED + number));
}

const flags = program.parse().opts<Flags>();
const is_trial = flags.quick === true || flags.profile === true;

try {
  const path = await runBench({
    scale: flags.quick ? QUICK : flags.full ? FULL : USUAL,
    only: flags.only,
    peers: flags.peer,
    profile: flags.profile === true,
    data_folder: flags.dataDir,
    out_folder: flags.out ?? join(PROJECT, ...(is_trial ? ['data', 'bench'] : ['bench'])),
    command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
    startProgress,
  });
  process.stdout.write(`${path}\n`);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
