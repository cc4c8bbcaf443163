import { existsSync } from 'node:fs';
import { Cluster, type ClusterOptions } from './cluster.js';
import { PAXOSD, PROJECT } from './process.js';

/** Longer than ending all processes of a test takes, also where one has to be killed. */
const HOOK_TIMEOUT_MS = 20_000;

/** Longer than any test of real processes takes on a machine that does other things as well. */
export const TEST_TIMEOUT_MS = 60_000;

/** `cluster-app.ts`, as an `--app` command. */
export const TEST_APP = `'${process.execPath}' '${PROJECT}dist/test/support/cluster-app.js'`;

const live = new Set<Cluster>();

/** Whatever ends this process ends the nodes that it started. */
function endAll(): void {
  for (const cluster of live) for (const node of cluster.running) node.process.signal('SIGKILL');
}

process.once('exit', endAll);
for (const [signal, number] of [
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.once(signal, () => process.exit(128 + number));
}

function requireBuild(): void {
  if (!existsSync(PAXOSD)) throw new Error(`${PAXOSD} is missing: run "npm run build" first`);
}

async function release(cluster: Cluster, failed: boolean): Promise<void> {
  const output = failed ? cluster.output : '';
  await cluster.release();
  live.delete(cluster);
  if (output !== '') process.stderr.write(`\nWhat the nodes of the failed test wrote:\n${output}\n`);
}

/** Clusters of single tests: each is gone after its test, and if that failed its logs are shown. */
export function useClusters(): (options: ClusterOptions) => Promise<Cluster> {
  let mine: Cluster[] = [];
  before(requireBuild);
  afterEach(async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    const failed = this.currentTest?.state === 'failed';
    const ending = mine;
    mine = [];
    await Promise.all(ending.map((cluster) => release(cluster, failed)));
  });
  return async (options) => {
    const cluster = await Cluster.started(options);
    live.add(cluster);
    mine.push(cluster);
    return cluster;
  };
}

/** One cluster for all tests of a suite, which must leave it well. */
export function useSharedCluster(options: () => ClusterOptions | Promise<ClusterOptions>): () => Cluster {
  let shared: Cluster | undefined;
  let failed = false;
  before(async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    requireBuild();
    shared = await Cluster.started(await options());
    live.add(shared);
  });
  afterEach(function () {
    failed ||= this.currentTest?.state === 'failed';
  });
  after(async function () {
    this.timeout(HOOK_TIMEOUT_MS);
    if (shared !== undefined) await release(shared, failed);
  });
  return () => {
    if (shared === undefined) throw new Error('the cluster was not started');
    return shared;
  };
}
