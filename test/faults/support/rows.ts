import { fork, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Cluster, type ClusterOptions } from '../../support/cluster.js';
import { judgedTitle, judgeEnvironment } from './judge.js';
import { DEEP, FAULTS_TIMEOUT_MS } from './mode.js';
import { aloneCommand, Network, whyNoNamespaces } from './namespaces.js';

/** What a row is given: clusters whose nodes have a network namespace each. */
export interface World {
  /** Starts a cluster on a new network. One row starts one. */
  readonly start: (options: ClusterOptions) => Promise<{ all: Cluster; network: Network }>;
}

/** Tests by their titles. Each is run in a process and a network of its own. */
export type Rows = Readonly<Record<string, (world: World) => Promise<void>>>;

/** What the process that ran a row says at its end; it says nothing if it didn't get that far. */
export type Outcome = { readonly failed: false } | { readonly failed: true; readonly error: string };

const RUNNER = fileURLToPath(new URL(import.meta.resolve('./row-runner.js')));

/** Longer than ending a row's processes takes. */
const HOOK_TIMEOUT_MS = 20_000;

/** A row that takes too long ends so much before its test does: time to say what its nodes wrote. */
const LAST_WORDS_MS = 10_000;

/**
 * A suite of the rows that the module at this URL exports as `rows`. The test process can't enter a namespace by
 * itself, so each row is run by a new one, which imports the module again; what it fails with is reported here. They
 * are skipped for the reason `whyNot`, if there is one.
 */
export function describeRows(name: string, url: string, rows: Rows, whyNot?: string): void {
  const missing = whyNot ?? whyNoNamespaces();
  const title = missing === undefined ? judgedTitle(name) : `${name} (skipped: ${missing})`;
  describe(title, function () {
    this.timeout(FAULTS_TIMEOUT_MS);
    let runner: ChildProcess | undefined;
    let folder: string | undefined;

    afterEach(async function () {
      this.timeout(HOOK_TIMEOUT_MS);
      // Whatever the row has started is in its tree of processes and ends with it.
      if (runner !== undefined) await ended(runner);
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
      runner = folder = undefined;
    });

    for (const title of Object.keys(rows)) {
      (missing === undefined ? it : it.skip)(title, async () => {
        folder = await mkdtemp(join(tmpdir(), 'paxosd-row-'));
        const [execPath, ...words] = aloneCommand();
        runner = fork(url, [], {
          execPath,
          execArgv: [...words, process.execPath, ...process.execArgv, RUNNER],
          env: {
            ...process.env,
            ...judgeEnvironment(),
            ...(DEEP && { FAULTS: 'deep' }),
            PAXOSD_ROW: title,
            PAXOSD_ROW_FOLDER: folder,
          },
          stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        });
        const outcome = await outcomeOf(runner);
        if (outcome.failed) throw new Error(outcome.error);
      });
    }
  });
}

/** Runs one row of a module. To be called in a process that is in a network of its own. */
export async function runRow(rows: Rows, title: string): Promise<Outcome> {
  const row = rows[title];
  if (row === undefined) return { failed: true, error: `there is no row ${title}` };
  const clusters: Cluster[] = [];
  const start: World['start'] = async (options) => {
    const network = await Network.create(options.nodes);
    const all = await Cluster.started({ ...options, hosts: network.hosts });
    clusters.push(all);
    return { all, network };
  };
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the row takes too long')), FAULTS_TIMEOUT_MS - LAST_WORDS_MS);
  });
  try {
    await Promise.race([row({ start }), tooLong]);
    return { failed: false };
  } catch (error) {
    const written = clusters.map(({ output }) => output).join('');
    process.stderr.write(`\nWhat the nodes of the failed row wrote:\n${written}\n`);
    return { failed: true, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  } finally {
    clearTimeout(timer);
    await Promise.all(clusters.map((cluster) => cluster.release()));
  }
}

function outcomeOf(runner: ChildProcess): Promise<Outcome> {
  return new Promise((resolve) => {
    runner.once('message', (outcome) => resolve(outcome as Outcome));
    runner.once('error', ({ message }) => resolve({ failed: true, error: message }));
    runner.once('exit', (code, signal) =>
      resolve({
        failed: true,
        error: `the row's process ended with ${signal ?? `code ${code}`} and said nothing`,
      }),
    );
  });
}

async function ended(runner: ChildProcess): Promise<void> {
  if (runner.exitCode !== null || runner.signalCode !== null || runner.pid === undefined) return;
  const exited = new Promise((resolve) => runner.once('exit', resolve));
  runner.kill('SIGKILL');
  await exited;
}
