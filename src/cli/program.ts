import { Command } from 'commander';
import { VERSION } from '../index.js';
import { addBench } from './bench.js';
import { addCluster } from './cluster.js';
import { addDone } from './done.js';
import { addInit } from './init.js';
import { addJournal } from './journal.js';
import { addStart } from './start.js';
import { addStatus } from './status.js';

const EXAMPLES = `
Examples:
  paxosd cluster --nodes 3 --base-port 7001 --data-dir data --app kvapp   a whole cluster here
  paxosd status 8001 8002 8003                                            how it is
  paxosd init --listen 127.0.0.1:7001 --data-dir data/single              once per node
  paxosd start --data-dir data/single --app kvapp                         run a node by hand

Every command explains itself: paxosd COMMAND --help`;

/** The whole command line. Refusals throw a CommanderError once they have been written. */
export function createProgram(): Command {
  const program = new Command('paxosd')
    .description(
      'Replicates any program over several machines: a Multi-Paxos log that speaks plain JSON lines.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain')
    .helpCommand('help [command]', 'explain a command')
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, 'paxosd: ')),
    })
    .showHelpAfterError('(paxosd --help explains; paxosd COMMAND --help a single command)')
    .exitOverride()
    .addHelpText('after', EXAMPLES);
  addInit(program);
  addStart(program);
  addCluster(program);
  addStatus(program);
  addDone(program);
  addJournal(program);
  addBench(program);
  return program;
}
