import { createSocket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, LOOPBACK } from '../support/cluster-ports.js';
import { paxosd, Program, runToEnd, type End } from '../support/process.js';

/** What a command that ended by itself left behind. */
export type Outcome = End & { readonly stdout: string; readonly stderr: string };

export function run(...words: readonly string[]): Promise<Outcome> {
  return runToEnd(paxosd(...words));
}

export function runWith(env: NodeJS.ProcessEnv, ...words: readonly string[]): Promise<Outcome> {
  return runToEnd(paxosd(...words), { env });
}

/** The first of `count` consecutive ports that were all free a moment ago, for UDP and TCP. */
export async function freeRange(count: number): Promise<number> {
  for (;;) {
    const [first = 0] = await freePorts(1);
    const ports = Array.from({ length: count }, (_, i) => first + i);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return first;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const udp = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, LOOPBACK, resolve);
    });
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject).bind(port, LOOPBACK, resolve);
    });
    return true;
  } catch {
    return false;
  } finally {
    server.close();
    udp.close();
  }
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
