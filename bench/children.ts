import type { ChildProcess } from 'node:child_process';

const running = new Set<ChildProcess>();

/** However the bench ends, none of its processes is left over. */
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Has a process ended with the bench at the latest. */
export function endWithBench<T extends ChildProcess>(child: T): T {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}
