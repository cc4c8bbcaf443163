import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { TestNode } from '../../support/cluster.js';

/** Whether system calls can be made to fail here; strace may be missing, or forbidden. */
export const STRACE = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;

/** The memory that a node holds at the moment. */
export function residentBytes(node: TestNode): number {
  const text = readFileSync(`/proc/${node.process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) * 1024;
}

/** How many descriptors a node has open. */
export function descriptors(node: TestNode): number {
  return readdirSync(`/proc/${node.process.pid}/fd`).length;
}
