import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isOnPath, PROJECT } from '../../support/process.js';

/** The Go program around Porcupine, https://github.com/anishathalye/porcupine. */
const SOURCE = `${PROJECT}test/faults/porcupine`;

/** A first build compiles Go's own library too. */
const BUILD_TIMEOUT_MS = 180_000;

/** For all keys of a history together; a tenth of a second is usual. */
const JUDGING_TIMEOUT_MS = 60_000;

/** What Porcupine says of a history; `illegal` and `unknown` name keys. */
export interface Verdict {
  readonly verdict: 'linearizable' | 'not linearizable' | 'unknown';
  readonly operations: number;
  /** Operations of which nobody knows whether they happened. */
  readonly open: number;
  readonly keys: number;
  readonly illegal: readonly string[];
  readonly unknown: readonly string[];
}

/** The built program, or why there is none. */
type Judge = { readonly path: string } | { readonly missing: string };

/** By this a process that runs a part of the tests is told what the process that started it has found. */
const TOLD = 'PAXOSD_TEST_JUDGE';

let built: Judge | undefined;

function go(folder: string, ...words: readonly string[]): { status: number | null; text: string } {
  // Without cgo no compiler of C is needed; without VCS stamping it doesn't matter who owns the checkout.
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -mod=readonly' };
  const { status, stderr, error } = spawnSync('go', words, {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: BUILD_TIMEOUT_MS,
  });
  return { status, text: error?.message ?? stderr };
}

/**
 * Builds the program, once per run of the tests, into a folder that goes with the process. A machine without Go, or
 * one that can't fetch the module, has no judge; a program that doesn't compile is an error.
 */
function judge(): Judge {
  if (built !== undefined) return built;
  const told = process.env[TOLD];
  if (told !== undefined) return (built = JSON.parse(told) as Judge);
  if (!isOnPath('go')) return (built = { missing: 'no go' });
  const fetched = go(SOURCE, 'mod', 'download');
  if (fetched.status !== 0) {
    process.stderr.write(`Porcupine can't be fetched: ${fetched.text}\n`);
    return (built = { missing: "Porcupine can't be fetched" });
  }
  const folder = mkdtempSync(join(tmpdir(), 'paxosd-judge-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'judge');
  const { status, text } = go(SOURCE, 'build', '-o', path, '.');
  if (status !== 0) throw new Error(`the judge can't be built: ${text}`);
  return (built = { path });
}

/** Why histories can't be judged here, to be named in the titles of tests; undefined if they can. */
export function judgeMissing(): string | undefined {
  const found = judge();
  return 'missing' in found ? found.missing : undefined;
}

/** What to add to the environment of a process that runs a part of the tests, so that it builds nothing itself. */
export function judgeEnvironment(): NodeJS.ProcessEnv {
  return { [TOLD]: JSON.stringify(judge()) };
}

/** `title`, saying that histories aren't judged where that is so. */
export function judgedTitle(title: string): string {
  const missing = judgeMissing();
  return missing === undefined ? title : `${title} (histories are not judged: ${missing})`;
}

/** Has lines of a history judged. Rejects if it isn't readable, or if there is no judge. */
export async function askJudge(lines: readonly string[], timeout_ms = JUDGING_TIMEOUT_MS): Promise<Verdict> {
  const found = judge();
  if ('missing' in found) throw new Error(`nobody can judge: ${found.missing}`);
  const child = spawn(found.path, ['-timeout', `${timeout_ms}ms`], { stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // It may end before it has read everything; its exit code says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`the judge ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Verdict;
}
