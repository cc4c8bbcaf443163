import { realpathSync } from 'node:fs';
import { basename, delimiter, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The built command itself, to be run by `process.execPath`. */
export const SCRIPT = fileURLToPath(new URL('./paxosd.js', import.meta.url));

/** A command as it can be pasted into a shell. */
export function commandLine(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What to type in this folder to run paxosd as it runs now. */
export function ownCommand(): string[] {
  const script = process.argv[1] ?? SCRIPT;
  if (basename(script) === 'paxosd') return isOnPath('paxosd', script) ? ['paxosd'] : [nearby(script)];
  return [isOnPath('node', process.execPath) ? 'node' : process.execPath, nearby(script)];
}

/** A path as short as it gets: relative if it lies below the current folder. */
function nearby(path: string): string {
  const short = relative('', path);
  if (short === '' || short.startsWith('..') || isAbsolute(short)) return path;
  return short.includes('/') ? short : `./${short}`;
}

/** Whether typing `name` runs `path`. */
function isOnPath(name: string, path: string): boolean {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = realPath(join(folder, name));
    if (found !== undefined) return found === realPath(path);
  }
  return false;
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
