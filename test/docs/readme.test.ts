import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { createProgram } from '../../src/cli/program.js';
import { codeBlocks, codeSpans, readText, section, tableRows } from './markdown.js';

const run = promisify(execFile);
const readme = readText('README.md');

/** A flag as it is written, with its default if one is given: `--idle-ms <ms>` → `300000`. */
type Flags = Record<string, string>;

/** The options in the text of a `--help`, without `--help` itself and `--version`. */
function flagsInHelp(help: string): Flags {
  const options = /^Options:\n((?: .*\n)+)/m.exec(help)?.[1] ?? '';
  const items = options.split(/\n(?= {2}-)/).map((item) => item.replaceAll(/\s+/g, ' ').trim());
  return Object.fromEntries(
    items
      .filter((item) => item.startsWith('--'))
      .map((item) => {
        const flag = /^--[\w-]+(?: <[^>]+>)?/.exec(item)?.[0] ?? item;
        return [flag, /\(default: ([^)]*)\)/.exec(item)?.[1] ?? ''];
      }),
  );
}

/** The flags in the tables of the README under a heading. */
function flagsInReadme(heading: string): Flags {
  const rows = tableRows(section(readme, heading));
  return Object.fromEntries(
    rows.map(([flag = '', ...rest]) => [codeSpans(flag)[0] ?? flag, rest.length > 1 ? (rest[0] ?? '') : '']),
  );
}

/** What the README says where the help names no default. */
const NO_DEFAULT = new Set(['', 'off', 'none', 'nowhere']);

function withoutTrivialDefaults(flags: Flags): Flags {
  return Object.fromEntries(
    Object.entries(flags).map(([flag, value]) => [flag, NO_DEFAULT.has(value) ? '' : value]),
  );
}

function helpOf(command: string): string {
  const found = createProgram().commands.find((each) => each.name() === command);
  if (found === undefined) throw new Error(`there is no command ${command}`);
  return found.helpInformation();
}

const SECTIONS: Readonly<Record<string, readonly string[]>> = {
  init: ['### `paxosd init`'],
  start: ['### `paxosd start`', '### Flags of a node'],
  cluster: ['### `paxosd cluster`', '### Flags of a node'],
  status: ['### `paxosd status HOST:PORT…`'],
  done: ['### `paxosd done HOST:PORT…`'],
  journal: ['### `paxosd journal DIR`'],
  bench: ['### `paxosd bench HOST:PORT…`'],
};

describe('README.md', () => {
  for (const [command, headings] of Object.entries(SECTIONS)) {
    it(`lists the flags of paxosd ${command} with their defaults`, () => {
      const documented = Object.assign({}, ...headings.map(flagsInReadme)) as Flags;
      const helped = flagsInHelp(helpOf(command));
      expect(Object.keys(helped)).to.not.be.empty;
      expect(withoutTrivialDefaults(documented)).to.deep.equal(helped);
    });
  }

  it('leaves out no command', () => {
    const commands = createProgram().commands.map((command) => command.name());
    expect(Object.keys(SECTIONS).sort()).to.deep.equal(commands.sort());
  });

  it('lists the flags of kvclient with their defaults', async () => {
    const script = ['--import', 'tsx', 'clients/typescript/kvclient.ts', '--help'];
    const { stdout } = await run(process.execPath, script);
    const documented = flagsInReadme('### `kvclient SERVERS put KEY VALUE… | get KEY`');
    expect(withoutTrivialDefaults(documented)).to.deep.equal(flagsInHelp(stdout));
  });

  it('shows an application in at most twenty lines that answers as it should', async () => {
    const [app = ''] = codeBlocks(readme, 'python');
    expect(app.split('\n').filter((line) => line.trim() !== '')).to.have.length.within(5, 20);
    const folder = await mkdtemp(join(tmpdir(), 'paxosd-readme-'));
    try {
      await writeFile(join(folder, 'jobs.py'), app);
      const ask = `
import jobs
def answer(value):
    try: return jobs.handle(value, None)
    except jobs.AppError as error: return "refused: %s" % error
for value in ["add a b", "add c", "take", "take", "take", "", "add"]: print(answer(value))
`;
      const PYTHONPATH = `${resolve('clients/python')}:${folder}`;
      const { stdout } = await run('python3', ['-B', '-c', ask], { env: { ...process.env, PYTHONPATH } });
      const refusal = 'refused: say: add JOB, or take';
      expect(stdout.trimEnd().split('\n')).to.deep.equal([
        '1 waiting',
        '2 waiting',
        'a b',
        'c',
        'refused: nothing to do',
        refusal,
        refusal,
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
