import { Option, type Command } from 'commander';
import { MAX_AGENTS } from '../core/limits.js';
import { formatAddress } from '../index.js';
import { levelFrom } from '../server/log.js';
import { planNodes, prepareFolders, type LayoutOptions, type NodePlan } from './cluster-layout.js';
import { Cluster } from './cluster-run.js';
import { Exit } from './failure.js';
import { addNodeFlags, nodeArguments, type NodeFlags } from './node-flags.js';
import { onStopSignals } from './signals.js';
import { wholeNumber } from './values.js';

interface ClusterFlags extends NodeFlags, LayoutOptions {
  readonly restart?: true;
  readonly logFormat?: 'pretty' | 'json';
}

const MAX_PORT = 65_535;

const EXAMPLES = `
Examples:
  paxosd cluster --nodes 3 --base-port 7001 --data-dir data --app kvapp
  paxosd cluster --nodes 5 --base-port 7101 --data-dir data5 --app "python3 kvapp.py" --restart
  paxosd cluster --nodes 1 --base-port 7201 --data-dir single

Node i listens on 127.0.0.1:(base port + i), its data lies in DIR/node-PORT. The folders are made if there is none yet;
after that, the same command starts the same cluster again. Ctrl-C ends all nodes. Exit codes: 0 all stopped,
1 a node failed, 2 wrong usage.`;

/** `paxosd cluster`: a whole cluster on this machine. */
export function addCluster(program: Command): void {
  const port = wholeNumber(1, MAX_PORT);
  const command = program
    .command('cluster')
    .summary('run a whole cluster on this machine')
    .description('Makes a cluster on this machine, if need be, and runs its nodes as processes until Ctrl-C.')
    .requiredOption('--nodes <n>', `how many nodes, up to ${MAX_AGENTS}`, wholeNumber(1, MAX_AGENTS))
    .requiredOption('--base-port <port>', "the first node's port; the others follow", port)
    .requiredOption('--data-dir <dir>', "the folder for the nodes' data directories")
    .option(
      '--http-base-port <port>',
      "the first node's port for status over HTTP (default: base port + 1000)",
      port,
    )
    .option('--restart', 'start nodes again that died, with growing pauses; not those that stopped on Done');
  addNodeFlags(command)
    .addOption(
      new Option(
        '--log-format <format>',
        "how the nodes' logs are written (default: pretty on a terminal, else json)",
      ).choices(['pretty', 'json']),
    )
    .addHelpText('after', EXAMPLES)
    .action(async (flags: ClusterFlags) => {
      process.exit(await runCluster(flags));
    });
}

async function runCluster(flags: ClusterFlags): Promise<Exit> {
  levelFrom(process.env); // refuses a wrong LOG_LEVEL once, before every node does
  const plans = planNodes(flags);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const how = await prepareFolders(flags.dataDir, plans);
  say(
    `${how === 'found' ? 'Found' : 'Made'} the data directories of ${plans.length} nodes in ${flags.dataDir}.`,
  );
  const format = flags.logFormat ?? (process.stderr.isTTY ? 'pretty' : 'json');
  const cluster = new Cluster({
    plans,
    argsOf: (plan) => startArguments(plan, flags),
    extra_args: ['--log-format', format],
    app: flags.app,
    restart: flags.restart === true,
    onLogLine: (line) => void process.stderr.write(`${line}\n`),
    say,
  });
  onStopSignals(
    (signal) => {
      say(`${signal}: ends all nodes.`);
      cluster.stop();
    },
    () => {
      cluster.kill();
      process.exit(Exit.Failed);
    },
  );
  return cluster.run();
}

function startArguments({ directory, http }: NodePlan, flags: ClusterFlags): string[] {
  return ['--data-dir', directory, '--http', formatAddress(http), ...nodeArguments(flags)];
}
