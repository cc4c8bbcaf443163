import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The project's folder: programs of every language are started from there. */
export const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

export type Program = 'driver' | 'kvapp' | 'kvclient' | 'printapp';

/** A language that has a client: how its four programs are started. */
export interface Language {
  readonly name: string;
  readonly command: (program: Program) => readonly [string, ...string[]];
  /** Why it can't be tested on this machine; undefined if it can. */
  readonly missing: string | undefined;
}

function whatIsMissing(program: string): string | undefined {
  return spawnSync(program, ['--version']).status === 0 ? undefined : `${program} is missing`;
}

export const TYPESCRIPT: Language = {
  name: 'TypeScript',
  command: (program) => [process.execPath, '--import', 'tsx', `clients/typescript/${program}.ts`],
  missing: undefined,
};

export const PYTHON: Language = {
  name: 'Python',
  command: (program) => ['python3', '-B', `clients/python/${program}.py`],
  missing: whatIsMissing('python3'),
};

export const LANGUAGES: readonly Language[] = [TYPESCRIPT, PYTHON];

/** `describe` for one language, or a skipped one that names what is missing. */
export function describeLanguage(language: Language, body: () => void): void {
  if (language.missing === undefined) describe(language.name, body);
  else describe.skip(`${language.name} (${language.missing})`, body);
}
