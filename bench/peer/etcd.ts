import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LatencySummary } from '../../src/cli/load/histogram.js';
import { endWithBench } from '../children.js';
import { LOOPBACK, PROJECT } from '../paths.js';
import { freePorts } from '../ports.js';
import { cpu_us } from '../proc.js';
import { BenchError, until } from '../wait.js';
import type { Peer, PeerLoad, PeerResult } from './peer.js';

const run = promisify(execFile);

const NODES = 3;
const START_TIMEOUT_MS = 30_000;

/** The most connections that its own makers load etcd with; more clients share them. */
const MAX_CONNECTIONS = 100;

/** What the Go program prints. */
interface GoResult {
  readonly per_second: number;
  readonly answered: number;
  readonly errors: number;
  readonly latency: LatencySummary;
  readonly cpu_us: number;
  readonly leader: string;
}

/**
 * Three etcd nodes on the loopback with their data on the same disk, every write flushed as is its default, loaded by
 * a small Go program with etcd's own client. Resolves with a line that says what is missing if it can't be had here.
 */
export async function startEtcd(folder: string): Promise<Peer | string> {
  const etcd = await findEtcd();
  if (etcd === undefined) {
    return '--peer etcd: no etcd is on the PATH; install it (Debian: apt-get install etcd-server). It is left out.';
  }
  const generator = await buildGenerator(folder);
  if (!generator.ok)
    return `--peer etcd: its load generator can't be built: ${generator.why}. etcd is left out.`;
  const cluster = await EtcdCluster.start(join(folder, 'etcd'));
  return new Etcd(cluster, generator.path, `${etcd}, loaded by ${generator.description}`);
}

/** The version of the etcd on the PATH; undefined if there is none. */
async function findEtcd(): Promise<string | undefined> {
  try {
    const { stdout } = await run('etcd', ['--version']);
    const version = /etcd Version: (\S+)/.exec(stdout)?.[1] ?? '';
    const built = /Go Version: (\S+)/.exec(stdout)?.[1] ?? '';
    return `etcd ${version} (${built})`;
  } catch {
    return undefined;
  }
}

type Built =
  | { readonly ok: true; readonly path: string; readonly description: string }
  | { readonly ok: false; readonly why: string };

async function buildGenerator(folder: string): Promise<Built> {
  const path = join(folder, 'etcd-load');
  const source = join(PROJECT, 'bench', 'peer', 'etcd');
  try {
    const { stdout: go } = await run('go', ['version']);
    await run('go', ['build', '-buildvcs=false', '-o', path, '.'], { cwd: source });
    const { stdout: client } = await run('go', ['list', '-m', 'go.etcd.io/etcd/client/v3'], { cwd: source });
    return { ok: true, path, description: `${client.trim()} (${go.trim().split(' ')[2] ?? 'go'})` };
  } catch (error) {
    const is_missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (is_missing) return { ok: false, why: 'no "go" is on the PATH; install Go' };
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    return { ok: false, why: text.trim().split('\n').slice(-3).join(' / ') };
  }
}

class EtcdCluster {
  /** The nodes' processes by client address. */
  readonly nodes: ReadonlyMap<string, ChildProcess>;

  private constructor(nodes: ReadonlyMap<string, ChildProcess>) {
    this.nodes = nodes;
  }

  static async start(folder: string): Promise<EtcdCluster> {
    await mkdir(folder, { recursive: true });
    const ports = await freePorts(2 * NODES);
    const url = (port: number | undefined): string => `http://${LOOPBACK}:${port ?? 0}`;
    const members = Array.from({ length: NODES }, (_, i) => ({
      name: `n${i}`,
      client: url(ports[i]),
      peer: url(ports[NODES + i]),
    }));
    const initial = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
    const nodes = new Map<string, ChildProcess>();
    for (const { name, client, peer } of members) {
      const words = ['--name', name, '--data-dir', join(folder, name), '--log-level', 'warn'];
      const clients = ['--listen-client-urls', client, '--advertise-client-urls', client];
      const peers = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer];
      const cluster = ['--initial-cluster', initial, '--initial-cluster-state', 'new'];
      const child = spawn('etcd', [...words, ...clients, ...peers, ...cluster], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { PATH: process.env['PATH'] },
      });
      child.stderr.pipe(createWriteStream(join(folder, `${name}.log`)));
      nodes.set(client, endWithBench(child));
    }
    const cluster = new EtcdCluster(nodes);
    try {
      await until('a healthy etcd cluster', START_TIMEOUT_MS, async () =>
        (await Promise.all([...nodes.keys()].map(isHealthy))).every(Boolean) ? true : undefined,
      );
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get pids(): number[] {
    return [...this.nodes.values()].map((child) => child.pid ?? 0);
  }

  async stop(): Promise<void> {
    const running = [...this.nodes.values()].filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    await Promise.all(
      running.map(async (child) => {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      }),
    );
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    return ((await response.json()) as { health?: unknown }).health === 'true';
  } catch {
    return false;
  }
}

class Etcd implements Peer {
  readonly name = 'etcd';
  readonly description: string;
  readonly #cluster: EtcdCluster;
  readonly #generator: string;

  constructor(cluster: EtcdCluster, generator: string, description: string) {
    this.#cluster = cluster;
    this.#generator = generator;
    this.description = description;
  }

  async run(load: PeerLoad): Promise<PeerResult> {
    const { nodes, pids } = this.#cluster;
    const before = pids.map(cpu_us);
    const running = run(this.#generator, [
      `-endpoints=${[...nodes.keys()].join(',')}`,
      `-connections=${Math.min(load.clients, MAX_CONNECTIONS)}`,
      `-clients=${load.clients * load.in_flight}`,
      `-value-bytes=${load.value_bytes}`,
      `-warm-up=${load.warm_up_ms}ms`,
      `-measure=${load.measure_ms}ms`,
    ]);
    endWithBench(running.child);
    const { stdout } = await running;
    const used = pids.map((pid, i) => cpu_us(pid) - (before[i] ?? 0));
    const result = JSON.parse(stdout) as GoResult;
    if (result.answered === 0) throw new BenchError(`etcd answered nothing: ${result.errors} errors`);
    const leader = [...nodes.keys()].indexOf(result.leader);
    const each = 1 / result.answered;
    const total = used.reduce((sum, one) => sum + one, 0);
    const { per_second, latency, errors } = result;
    const cost = {
      leader: (used[leader] ?? 0) * each,
      followers: (total - (used[leader] ?? 0)) * each,
      generator: result.cpu_us * each,
    };
    return { per_second, latency, errors, cost };
  }

  stop(): Promise<void> {
    return this.#cluster.stop();
  }
}
