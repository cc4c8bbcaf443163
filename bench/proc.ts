import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Ticks per second in /proc. */
const TICKS_PER_S = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

const US_PER_S = 1_000_000;

/** CPU time that a process has used, in microseconds; 0 once it is gone. */
export function cpu_us(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th field behind it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * US_PER_S) / TICKS_PER_S;
  } catch {
    return 0;
  }
}

/** Memory of a process that is in RAM, in bytes; 0 once it is gone. */
export function rss_bytes(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

const BLOCK_BYTES = 512;

/** What a folder takes on the disk, in bytes. */
export async function disk_bytes(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) total += (await stat(join(entry.parentPath, entry.name))).blocks * BLOCK_BYTES;
  }
  return total;
}
