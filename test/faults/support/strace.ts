import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Cluster, TestNode } from '../../support/cluster.js';
import type { Program } from '../../support/process.js';

/** Whether a process's system calls can be interfered with here; strace may be missing, or forbidden. */
export const STRACE = spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', 'true']).status === 0;

/** For titles of suites that lose tests without it. */
export function tracedTitle(title: string): string {
  return STRACE ? title : `${title} (partly skipped: no strace)`;
}

/**
 * strace counts calls per thread. With a single thread for the disk the n-th call is the n-th of the node; set with
 * `env` in whatever starts the node.
 */
export const ONE_DISK_THREAD = { UV_THREADPOOL_SIZE: '1' } as const;

/** A command prefix under which a node is started with faults in some of its calls; see strace's `inject`. */
export function under(calls: string, how: string): string[] {
  return [...tracing(calls), '-o', '/dev/null', '-e', `inject=${calls}:${how}`];
}

/** A command prefix under which a node's calls are written to a file. */
export function recording(calls: string, file: string): string[] {
  return [...tracing(calls), '-o', file];
}

function tracing(calls: string): string[] {
  const env = Object.entries(ONE_DISK_THREAD).map(([name, value]) => `${name}=${value}`);
  // With -D the node is our child, not the tracer's: signals and exit codes are its own. With --seccomp-bpf strace
  // would be faster, and lose count of the calls.
  return ['env', ...env, 'strace', '-D', '-f', '-qq', '-e', `trace=${calls}`];
}

/** How often the thread that made it most made each call, by its name. */
export async function countCalls(file: string): Promise<Map<string, number>> {
  const perThread = new Map<string, number>();
  for (const line of (await readFile(file, 'latin1')).split('\n')) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (call === undefined) continue;
    const key = `${thread ?? ''} ${call}`;
    perThread.set(key, (perThread.get(key) ?? 0) + 1);
  }
  const most = new Map<string, number>();
  for (const [key, count] of perThread) {
    const call = key.slice(key.indexOf(' ') + 1);
    most.set(call, Math.max(count, most.get(call) ?? 0));
  }
  return most;
}

/** Interferes with a running node's calls until the returned process is ended. */
export async function tamper(all: Cluster, node: TestNode, calls: string, how: string): Promise<Program> {
  const words = ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${calls}:${how}`];
  const strace = all.run('strace', ['strace', ...words, '-p', String(node.process.pid)]);
  await strace.until('its hold of the node', () => /attached/.test(strace.stderr) || undefined);
  return strace;
}

/** Some of the numbers 1 to `last`, spread evenly, the first and the last among them; all if there are fewer. */
export function spread(last: number, count: number): number[] {
  if (last <= count) return Array.from({ length: last }, (_, i) => i + 1);
  if (count === 1) return [Math.ceil(last / 2)];
  const step = (last - 1) / (count - 1);
  return Array.from({ length: count }, (_, i) => 1 + Math.round(i * step));
}
