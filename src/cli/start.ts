import { Option, type Command } from 'commander';
import { createAgent, createLogger, logThrough, type Address, type Agent, type Log } from '../index.js';
import { levelFrom } from '../server/log.js';
import { Exit } from './failure.js';
import { addNodeFlags, agentOptionsFrom, type NodeFlags } from './node-flags.js';
import { recoveryProgress, type RecoveryProgress } from './recovery-progress.js';
import { endOnUncaught, onStopSignals, surviveFileSizeLimit } from './signals.js';
import { onClusterGone, reportToCluster } from './supervised.js';
import { addressOf } from './values.js';

export interface StartFlags extends NodeFlags {
  readonly dataDir: string;
  readonly http?: Address;
  readonly logFormat?: 'pretty' | 'json';
  /** Hidden: the parent is `paxosd cluster`, which wants reports, and without which the node is to end. */
  readonly supervised?: true;
}

const EXAMPLES = `
Examples:
  paxosd start --data-dir data/7001 --app kvapp
  paxosd start --data-dir data/7001 --app "python3 kvapp.py" --http 127.0.0.1:8001
  LOG_LEVEL=debug paxosd start --data-dir data/7001      follows every entry from request to response

LOG_LEVEL is one of trace, debug, info (default), warn, error, fatal, silent; the log goes to standard error.
SIGINT and SIGTERM stop the node properly, a second one at once. Exit codes: 0 stopped, 1 failed, 2 wrong usage.`;

/** `paxosd start`: runs a node until it is told to stop. */
export function addStart(program: Command): void {
  const command = program
    .command('start')
    .summary('run a node')
    .description('Runs the node whose data directory "paxosd init" has made, until it is stopped.')
    .requiredOption('--data-dir <dir>', "the node's data directory")
    .option(
      '--http <host:port>',
      'where /healthz, /readyz and /status are served, and paxosd status asks; nowhere if absent',
      addressOf('--http'),
    );
  addNodeFlags(command)
    .addOption(
      new Option(
        '--log-format <format>',
        'how the log is written (default: pretty on a terminal, else json)',
      ).choices(['pretty', 'json']),
    )
    .addOption(new Option('--supervised').hideHelp())
    .addHelpText('after', EXAMPLES)
    .action(async (flags: StartFlags) => {
      process.exit(await start(flags));
    });
}

/** Runs the node; resolves with the exit code once it has ended. */
async function start(flags: StartFlags): Promise<Exit> {
  const { dataDir: data_dir, http, logFormat: format } = flags;
  const logger = createLogger(
    levelFrom(process.env),
    format === undefined ? process.stderr.isTTY : format === 'pretty',
  );
  endOnUncaught(logger);
  surviveFileSizeLimit();
  const log = logThrough(logger);
  const recovery = recoveryProgress(log);
  const agent = createAgent({
    ...agentOptionsFrom(flags),
    data_dir,
    ...(http !== undefined && { http }),
    log,
    log_debug: logger.isLevelEnabled('debug'),
    onRecovery: (done_bytes, total_bytes) => recovery.on(done_bytes, total_bytes),
  });
  const ended = endOf(agent);
  const stop = stopper(agent, log, recovery);
  onStopSignals(
    (signal) => stop.because(`${signal}: stops`),
    () => process.exit(Exit.Failed),
  );
  if (flags.supervised) {
    agent.on('leader', (leader) => reportToCluster({ report: 'leader', leader: leader ?? null }));
    onClusterGone(() => stop.because('the cluster command is gone: stops'));
  }
  await agent.start().finally(() => recovery.end());
  stop.started();
  if (flags.supervised) reportToCluster({ report: 'started' });
  return ended;
}

function endOf(agent: Agent): Promise<Exit> {
  return new Promise((resolve) => {
    agent.once('stopped', () => resolve(Exit.Ok));
    agent.once('failed', () => resolve(Exit.Failed));
  });
}

/** Stops a running agent properly. One that still recovers has promised and sent nothing: it just ends. */
function stopper(
  agent: Agent,
  log: Log,
  recovery: RecoveryProgress,
): { because(reason: string): void; started(): void } {
  let running = false;
  return {
    because: (reason) => {
      recovery.end();
      log('info', 'stop', reason);
      if (!running) process.exit(Exit.Ok);
      void agent.stop();
    },
    started: () => (running = true),
  };
}
