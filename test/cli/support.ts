import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { paxosd, Program, runToEnd, type End } from '../support/process.js';

/** What a command that ended by itself left behind. */
export type Outcome = End & { readonly stdout: string; readonly stderr: string };

export function run(...words: readonly string[]): Promise<Outcome> {
  return runToEnd(paxosd(...words));
}

export function runWith(env: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<Outcome> {
  return runToEnd(paxosd(...words), { env });
}

/** A folder and processes for each test of a suite; both are gone after it. */
export function useWorkshop(): {
  readonly folder: () => string;
  readonly path: (...parts: string[]) => string;
  readonly launch: (words: readonly string[], env?: NodeJS.ProcessEnv) => Program;
} {
  let folder = '';
  let programs: Program[] = [];
  // Whatever ends the tests ends what they started.
  process.once('exit', () => {
    for (const program of programs) program.signal('SIGKILL');
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'paxosd-cli-'));
  });
  afterEach(async () => {
    await Promise.all(programs.map((program) => program.end('SIGTERM')));
    programs = [];
    await rm(folder, { recursive: true, force: true });
  });
  return {
    folder: () => folder,
    path: (...parts) => join(folder, ...parts),
    launch: (words, env = {}) => {
      const program = new Program(words.join(' '), paxosd(...words), { env });
      programs.push(program);
      return program;
    },
  };
}
