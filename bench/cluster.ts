import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Address, AgentStatus } from '../src/index.js';
import { BenchNode } from './node.js';
import { LOOPBACK } from './paths.js';
import { freePorts } from './ports.js';
import { cpu_us, rss_bytes } from './proc.js';
import { until } from './wait.js';

/** An application that replays a long log is waited for. */
const LEADER_TIMEOUT_MS = 120_000;

/** Millions of entries are sent in a minute. */
const REPLAY_TIMEOUT_MS = 300_000;

/** Room for the largest load, 1,000 clients, beside peers. */
const MAX_CONNECTIONS = 1_100;

export interface ClusterOptions {
  readonly nodes: number;
  /** Where the nodes' folders are made. */
  readonly folder: string;
  /** Where nodes write profiles when they end; nowhere if absent. */
  readonly profile_folder?: string | undefined;
}

/** CPU time of the processes of a cluster, in microseconds, by what they do. */
export interface ClusterCpu {
  readonly leader: number;
  /** All followers together. */
  readonly followers: number;
  readonly app: number;
}

export interface Roles {
  readonly leader: BenchNode;
  readonly followers: readonly BenchNode[];
  readonly status: AgentStatus;
}

let clusters_made = 0;

/** A fresh cluster of real nodes on this machine, with the key-value application. */
export class BenchCluster {
  readonly nodes: readonly BenchNode[];
  readonly #folder: string;

  private constructor(nodes: readonly BenchNode[], folder: string) {
    this.nodes = nodes;
    this.#folder = folder;
  }

  static async start(options: ClusterOptions): Promise<BenchCluster> {
    const folder = join(options.folder, `cluster-${++clusters_made}`);
    await mkdir(folder, { recursive: true });
    const ports = await freePorts(2 * options.nodes);
    const address = (port: number | undefined): Address => ({ address: LOOPBACK, port: String(port) });
    const addresses = ports.slice(0, options.nodes).map(address);
    const { profile_folder } = options;
    const nodes = addresses.map(
      (own, i) =>
        new BenchNode({
          address: own,
          http: address(ports[options.nodes + i]),
          peers: addresses.filter((other) => other !== own),
          folder,
          flags: ['--app', 'kvapp', '--max-connections', String(MAX_CONNECTIONS)],
          node_flags: profile_folder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile_folder}`],
        }),
    );
    const cluster = new BenchCluster(nodes, folder);
    try {
      await Promise.all(nodes.map((node) => node.init()));
      await cluster.startAll();
    } catch (error) {
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  get servers(): readonly Address[] {
    return this.nodes.map(({ address }) => address);
  }

  /** Starts those that don't run; resolves when all listen and follow one leader. */
  async startAll(): Promise<void> {
    await Promise.all(this.nodes.filter(({ running }) => !running).map((node) => node.start()));
    await this.roles();
  }

  /** The leader that all running nodes follow, and these. */
  roles(): Promise<Roles> {
    const running = this.nodes.filter((node) => node.running);
    return until('one leader whom all nodes follow', LEADER_TIMEOUT_MS, async () => {
      const all = await Promise.all(running.map((node) => node.status()));
      const at = all.findIndex((status) => status?.role === 'leader');
      const [leader, status] = [running[at], all[at]];
      if (leader === undefined || status === undefined) return undefined;
      if (all.some((other) => other?.leader !== leader.name)) return undefined;
      return { leader, status, followers: running.filter((node) => node !== leader) };
    });
  }

  /** Resolves when all running nodes know the same entries chosen, which are so many. */
  settled(): Promise<number> {
    return until('equal commit indices', LEADER_TIMEOUT_MS, async () => {
      const running = this.nodes.filter((node) => node.running);
      const all = await Promise.all(running.map((node) => node.status()));
      const first = all[0]?.entries.chosen;
      return all.every((status) => status?.entries.chosen === first) ? first : undefined;
    });
  }

  /** Resolves when the leader's application has been sent the whole log, to be awaited while nothing is asked. */
  async replayed(): Promise<void> {
    await until('an application that has replayed the log', REPLAY_TIMEOUT_MS, async () => {
      const { entries } = (await this.roles()).status;
      return entries.applied === entries.chosen ? true : undefined;
    });
  }

  /** Stops all nodes and removes their folders. */
  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end('SIGTERM')));
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** CPU time used so far. The leader and its application must stay the same between two readings. */
export function clusterCpu({ leader, followers, status }: Roles): ClusterCpu {
  return {
    leader: cpu_us(leader.pid),
    followers: followers.reduce((sum, node) => sum + cpu_us(node.pid), 0),
    app: cpu_us(appPid(status)),
  };
}

export function clusterRss({ leader, followers, status }: Roles): ClusterCpu {
  return {
    leader: rss_bytes(leader.pid),
    followers: Math.max(0, ...followers.map((node) => rss_bytes(node.pid))),
    app: rss_bytes(appPid(status)),
  };
}

function appPid({ app }: AgentStatus): number {
  return 'pid' in app && app.pid !== undefined ? app.pid : 0;
}
