import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestNode } from './cluster.js';

/** The files of a node's journal, in order. */
export async function segments(node: TestNode): Promise<string[]> {
  const folder = join(node.directory, 'journal');
  return (await readdir(folder)).sort().map((name) => join(folder, name));
}

/** The offset behind the last byte that was written. */
export async function endOf(file: string): Promise<number> {
  const bytes = await readFile(file);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

/** The last file with records: the one after it is only prepared. */
export async function lastSegment(node: TestNode): Promise<string> {
  for (const file of (await segments(node)).reverse()) if ((await endOf(file)) > 0) return file;
  throw new Error(`${node.directory} holds no journal`);
}

/** Damages a file in place. */
export async function overwrite(file: string, offset: number, bytes: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(Buffer.from(bytes), 0, undefined, offset);
  await handle.close();
}
