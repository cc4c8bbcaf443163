import { join } from 'node:path';
import { packageFolder } from '../src/server/version.js';

/** The folder of the package. */
export const PROJECT = packageFolder();

/** The built command: what is measured is what is shipped. */
export const PAXOSD = join(PROJECT, 'dist', 'src', 'cli', 'paxosd.js');

/** The built key-value application. */
export const KV_APP = join(PROJECT, 'dist', 'clients', 'typescript', 'kvapp.js');

/** A built program of the bench, to be run as a process of its own. */
export function benchProgram(name: string): string {
  return join(PROJECT, 'dist', 'bench', `${name}.js`);
}

export const LOOPBACK = '127.0.0.1';
