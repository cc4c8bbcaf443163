import { spawnSync } from 'node:child_process';
import type { Cluster, TestNode } from '../../support/cluster.js';
import { runToEnd } from '../../support/process.js';

/** Longer than any test needs it; a disk whose test has died goes away by itself. */
const MAX_LIFE_S = 7_200;

/** Why file systems can't be mounted here, to be named in titles; undefined if they can. */
export function whyNoMounts(): string | undefined {
  const tried = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/tmp']);
  return tried.status === 0 ? undefined : 'no right to mount';
}

/** A small file system in the place of a node's data directory, seen by those only that are started under `prefix`. */
export interface SmallDisk {
  /** The command prefix of the node's lives on this disk. */
  readonly prefix: readonly string[];
  /** Changes its size, or what may be done with it, as `mount -o remount` does. */
  remount(options: string): Promise<void>;
}

/** Moves what a node has on its disk to a small one in memory. It lives as long as the cluster. */
export async function moveToSmallDisk(all: Cluster, node: TestNode, size_kib: number): Promise<SmallDisk> {
  const aside = `${node.directory}.aside`;
  const script =
    'mkdir "$2" && mount -t tmpfs -o "size=$3k" none "$2" && cp -a "$1/." "$2" && ' +
    'mount --bind "$2" "$1" && echo mounted && exec sleep "$4"';
  const words = ['-c', script, 'sh', node.directory, aside, String(size_kib), String(MAX_LIFE_S)];
  // A mount namespace of its own: nothing is left behind when this process ends, however it ends.
  const holder = all.run('small disk', ['unshare', '--mount', 'sh', ...words]);
  await holder.until('the small disk', () => (holder.stdout.includes('mounted') ? true : undefined));
  const prefix = ['nsenter', '--mount', '--target', String(holder.pid)];
  return {
    prefix,
    remount: async (options) => {
      const command = [...prefix, 'mount', '-o', `remount,${options}`, aside];
      const { code, stderr } = await runToEnd(command);
      if (code !== 0) throw new Error(`remount of ${aside}: ${stderr}`);
    },
  };
}
