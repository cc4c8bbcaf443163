import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { VERSION } from '../src/index.js';
import { PROJECT } from './paths.js';
import type { Table } from './report.js';

const GIB = 2 ** 30;

/** Where, and with which versions, a run was made. */
export function machineTable(folder: string): Table {
  const all = cpus();
  const models = [...new Set(all.map(({ model }) => model.trim()))];
  return {
    headings: ['', ''],
    rows: [
      ['processors', `${all.length} × ${models.join(', ')}`],
      ['memory', `${(totalmem() / GIB).toFixed(1)} GiB`],
      ['system', `Linux ${release()}`],
      ["file system of the nodes' data", fileSystem(folder)],
      ['Node', process.version],
      ['paxosd', `${VERSION}, commit ${commit()}`],
    ],
  };
}

function output(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, {
      cwd: PROJECT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return undefined;
  }
}

function fileSystem(folder: string): string {
  const line = output('stat', ['--file-system', '--format=%T', folder]);
  return line?.trim() ?? 'unknown';
}

/** What was measured, by name; with a word if files that count differ from it. */
function commit(): string {
  const name = output('git', ['rev-parse', '--short=12', 'HEAD'])?.trim();
  if (name === undefined) return 'unknown';
  const changed = output('git', [
    'status',
    '--porcelain',
    '--',
    'src',
    'clients',
    'bench/*.ts',
    'package.json',
  ]);
  return changed === '' ? name : `${name}, with changes`;
}
