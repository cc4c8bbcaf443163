import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  formatAddress,
  initialise,
  membersFrom,
  OptionError,
  readIdentity,
  type Address,
  type Identity,
} from '../index.js';

/** One node of a cluster on this machine, before it runs. */
export interface NodePlan {
  readonly address: Address;
  readonly http: Address;
  readonly directory: string;
}

export interface LayoutOptions {
  readonly nodes: number;
  readonly basePort: number;
  readonly httpBasePort?: number;
  readonly dataDir: string;
}

const LOOPBACK = '127.0.0.1';
const MAX_PORT = 65_535;

/** Where the nodes' status ports begin unless a flag says it: far enough that no cluster's ports reach them. */
const HTTP_PORT_DISTANCE = 1000;

/** Which addresses, status addresses and folders the nodes get. Throws an OptionError if the ports don't fit. */
export function planNodes(options: LayoutOptions): NodePlan[] {
  const { nodes, basePort, dataDir } = options;
  const httpBasePort = options.httpBasePort ?? basePort + HTTP_PORT_DISTANCE;
  requireRange('--base-port', basePort, nodes);
  requireRange('--http-base-port', httpBasePort, nodes);
  if (Math.abs(httpBasePort - basePort) < nodes) {
    throw new OptionError(
      `--http-base-port: the ${nodes} status ports from ${httpBasePort} on overlap the nodes' own from ${basePort} on; ` +
        `use ${basePort + nodes} or above`,
    );
  }
  return Array.from({ length: nodes }, (_, i) => ({
    address: { address: LOOPBACK, port: String(basePort + i) },
    http: { address: LOOPBACK, port: String(httpBasePort + i) },
    directory: join(dataDir, `node-${basePort + i}`),
  }));
}

function requireRange(flag: string, first: number, count: number): void {
  if (first + count - 1 <= MAX_PORT) return;
  throw new OptionError(
    `${flag}: ${count} ports from ${first} on go past ${MAX_PORT}; use ${MAX_PORT - count + 1} or below`,
  );
}

/**
 * Initialises the nodes' folders if there is none yet, and otherwise makes sure that they are those of this cluster.
 * Rejects with an OptionError or a JournalError about the first that is not, before anything was changed.
 */
export async function prepareFolders(
  dataDir: string,
  plans: readonly NodePlan[],
): Promise<'initialised' | 'found'> {
  const found = await Promise.all(plans.map(({ directory }) => exists(directory)));
  if (found.every(Boolean)) {
    for (const plan of plans) await requireMember(plan, plans, dataDir);
    return 'found';
  }
  if (found.some(Boolean)) throw incomplete(dataDir, plans, found);
  await requireNoOthers(dataDir, plans);
  for (const { address, directory } of plans) {
    await initialise(directory, { self: address, agents: plans.map((plan) => plan.address) });
  }
  return 'initialised';
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): OptionError {
  const reason = error instanceof Error ? error.message : String(error);
  return new OptionError(`--data-dir: can't look into ${path}: ${reason}; name a folder that you may use`);
}

function incomplete(dataDir: string, plans: readonly NodePlan[], found: readonly boolean[]): OptionError {
  const directories = plans.map(({ directory }) => directory);
  const there = directories.filter((_, i) => found[i]);
  const missing = directories.filter((_, i) => !found[i]);
  return new OptionError(
    `--data-dir: ${dataDir} holds ${there.join(', ')}, but not ${missing.join(', ')}. If the cluster was set up with ` +
      'another number of nodes, give that one; if folders were lost, restore them, as a member must not vote without ' +
      'its journal; if this cluster has never run, remove what is there, or name another --data-dir',
  );
}

/** A cluster on other ports has its folders here: two in one place would be mistaken for each other. */
async function requireNoOthers(dataDir: string, plans: readonly NodePlan[]): Promise<void> {
  let names: string[];
  try {
    names = await readdir(dataDir);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw unusable(dataDir, error);
  }
  const others = names.filter((name) => /^node-[0-9]+$/.test(name)).sort();
  if (others.length === 0) return;
  const port = plans[0]?.address.port ?? '';
  throw new OptionError(
    `--base-port: ${dataDir} holds the nodes of a cluster on other ports (${others.join(', ')}), none on ${port}; ` +
      'give its --base-port, or name another --data-dir for a new cluster',
  );
}

async function requireMember(plan: NodePlan, plans: readonly NodePlan[], dataDir: string): Promise<void> {
  const identity = await readIdentity(plan.directory);
  const wanted = membersFrom(
    plan.address,
    plans.filter((other) => other !== plan).map(({ address }) => address),
  );
  if (formatAddress(identity.self) !== formatAddress(plan.address)) {
    throw new OptionError(
      `--data-dir: ${plan.directory} is the data directory of node ${formatAddress(identity.self)}, not of ` +
        `${formatAddress(plan.address)}: was it copied or renamed? Put the right one there, or name another --data-dir`,
    );
  }
  if (list(identity.agents) === list(wanted)) return;
  throw new OptionError(
    `--nodes: ${plan.directory} belongs to a cluster of ${identity.agents.length} (${list(identity.agents)}), ` +
      `not of ${wanted.length} (${list(wanted)}); ${howToRun(identity, dataDir)}`,
  );
}

function list(agents: readonly Address[]): string {
  return agents.map(formatAddress).join(', ');
}

/** Members of a cluster never change, so the flags must follow the folders. */
function howToRun({ agents }: Identity, dataDir: string): string {
  const ports = agents.map(({ port }) => Number(port));
  const first = Math.min(...ports);
  const is_local = agents.every(({ address }) => address === LOOPBACK);
  const is_row = ports.every((port, i) => port === first + i);
  return is_local && is_row
    ? `run it with --nodes ${agents.length} --base-port ${first}, or name another --data-dir than ${dataDir}`
    : `start its nodes one by one with "paxosd start", or name another --data-dir than ${dataDir}`;
}
