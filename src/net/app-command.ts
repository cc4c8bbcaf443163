import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { split } from 'shlex';
import type { Address } from '../core/address.js';
import { printable } from './logging.js';

export interface CommandOptions {
  /** The `--app` command, as it would be written in a shell. */
  readonly command: string;
  /**
   * Programs that come with paxosd, for `--app kvapp`: name → the words that run it, such as
   * `[process.execPath, '/…/kvapp.js']`. Used when PATH holds no program of that name, as in a checkout.
   */
  readonly ownCommands: Readonly<Record<string, readonly string[]>>;
  /** The folder that holds the launchers of paxosd's programs, if there is one; the last on the child's PATH. */
  readonly binFolder?: string | undefined;
  /** The environment that the child inherits. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A command ready to be run without a shell, or what is wrong with it and what to do. */
export type CheckedCommand =
  | { readonly ok: true; readonly file: string; readonly args: readonly string[] }
  | { readonly ok: false; readonly text: string };

/**
 * Splits an `--app` command as a shell would and finds its program, without running it (spec.md, "Applications").
 * The same check serves for a clear refusal when a node starts and before each start of the application.
 */
export async function checkCommand(options: CommandOptions): Promise<CheckedCommand> {
  const words = splitCommand(options.command);
  if (typeof words === 'string') return refusal(words);
  const [program = '', ...args] = words;
  if (program === '') return refusal('the command is empty; give a program, such as --app kvapp');
  if (program.includes('/')) {
    const fault = await faultOf(resolve(program));
    return fault === undefined ? { ok: true, file: resolve(program), args } : refusal(fault);
  }
  const found = await findOnPath(program, searchPath(options));
  if (found !== undefined) return { ok: true, file: found, args };
  const own = Object.hasOwn(options.ownCommands, program) ? options.ownCommands[program] : undefined;
  const [file, ...ownArgs] = own ?? [];
  if (file !== undefined) return { ok: true, file, args: [...ownArgs, ...args] };
  return refusal(
    `no such program "${printable(program)}" on PATH; install it, or give its path (./${printable(program)})`,
  );
}

/** The environment of an application that is to connect to `listener` (spec.md, "Applications"). */
export function childEnvironment(
  options: CommandOptions,
  listener: Address,
): Record<string, string | undefined> {
  return {
    ...options.env,
    PATH: searchPath(options),
    PAXOS_ADDR: listener.address,
    PAXOS_PORT: listener.port,
  };
}

/** What the application's arguments end with: the flags of the reference implementation. */
export function listenerFlags(listener: Address): readonly string[] {
  return [`-paxos_addr=${listener.address}`, `-paxos_port=${listener.port}`];
}

function refusal(text: string): CheckedCommand {
  return { ok: false, text: `--app: ${text}` };
}

/** The words of a command, or what is wrong with it. */
function splitCommand(command: string): readonly string[] | string {
  if (command.includes('\0')) return 'the command holds a NUL character';
  try {
    return split(command);
  } catch {
    return `a quote or an escape is not finished in: ${printable(command)}`;
  }
}

function searchPath(options: CommandOptions): string {
  const path = options.env['PATH'] ?? '';
  return [path, options.binFolder ?? ''].filter((part) => part !== '').join(delimiter);
}

async function findOnPath(program: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    const file = resolve(join(folder, program));
    if ((await faultOf(file)) === undefined) return file;
  }
  return undefined;
}

/** Why `file` can't be run, as far as can be told without running it; undefined if nothing speaks against it. */
async function faultOf(file: string): Promise<string | undefined> {
  try {
    const found = await stat(file);
    if (!found.isFile()) return `${printable(file)} is no file that can be run`;
  } catch {
    return `no such program ${printable(file)}`;
  }
  try {
    await access(file, constants.X_OK);
    return undefined;
  } catch {
    return `${printable(file)} may not be executed; allow it with chmod +x, or name its interpreter first`;
  }
}
