import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import {
  checkCommand,
  childEnvironment,
  listenerFlags,
  type CommandOptions,
} from '../../src/net/app-command.js';

describe('the --app command (spec.md, "Applications")', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'app-command-'));
    await writeFile(join(folder, 'program'), '#!/bin/sh\n');
    await chmod(join(folder, 'program'), 0o755);
    await writeFile(join(folder, 'text'), 'not to be run\n');
    await chmod(join(folder, 'text'), 0o644);
    await mkdir(join(folder, 'folder'));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  const options = (command: string, more: Partial<CommandOptions> = {}): CommandOptions => ({
    command,
    ownCommands: { kvapp: ['/usr/bin/node', '/somewhere/kvapp.js'] },
    env: { PATH: `/nowhere-at-all:${folder}` },
    ...more,
  });

  const faultOf = async (command: string) => {
    const checked = await checkCommand(options(command));
    return checked.ok ? expect.fail(`${command} was taken`) : checked.text;
  };

  it('splits as a shell would and finds the program on PATH', async () => {
    const command = `program --name "two words" 'it''s' a\\ b "" '{"json":1}'`;
    expect(await checkCommand(options(command))).to.deep.equal({
      ok: true,
      file: join(folder, 'program'),
      args: ['--name', 'two words', 'its', 'a b', '', '{"json":1}'],
    });
  });

  it('takes a path, and runs nothing through a shell', async () => {
    const checked = await checkCommand(options(`${folder}/program $HOME; *`));
    expect(checked).to.deep.equal({ ok: true, file: join(folder, 'program'), args: ['$HOME;', '*'] });
  });

  it('knows its own programs where PATH has none of that name', async () => {
    expect(await checkCommand(options('kvapp --verbose'))).to.deep.equal({
      ok: true,
      file: '/usr/bin/node',
      args: ['/somewhere/kvapp.js', '--verbose'],
    });
    const shadowed = options('program x', { ownCommands: { program: ['/usr/bin/node', 'own.js'] } });
    expect(await checkCommand(shadowed)).to.deep.include({ file: join(folder, 'program') });
    expect(await faultOf('constructor')).to.include('no such program "constructor" on PATH');
  });

  it('looks into its own bin folder last', async () => {
    const own = { env: { PATH: '/nowhere-at-all' }, binFolder: folder };
    expect(await checkCommand(options('program', own))).to.deep.include({ file: join(folder, 'program') });
    const environment = childEnvironment(options('program', own), { address: '127.0.0.1', port: '7' });
    expect(environment).to.deep.equal({
      PATH: `/nowhere-at-all:${folder}`,
      PAXOS_ADDR: '127.0.0.1',
      PAXOS_PORT: '7',
    });
    expect(listenerFlags({ address: '127.0.0.1', port: '7' })).to.deep.equal([
      '-paxos_addr=127.0.0.1',
      '-paxos_port=7',
    ]);
  });

  it('says what is wrong with a command, and what to do', async () => {
    expect(await faultOf('')).to.equal('--app: the command is empty; give a program, such as --app kvapp');
    expect(await faultOf('  ')).to.include('is empty');
    expect(await faultOf('""')).to.include('is empty');
    expect(await faultOf('program "open')).to.equal(
      '--app: a quote or an escape is not finished in: program "open',
    );
    expect(await faultOf('program \\')).to.include('is not finished');
    expect(await faultOf('program \0')).to.equal('--app: the command holds a NUL character');
    expect(await faultOf('missing one')).to.equal(
      '--app: no such program "missing" on PATH; install it, or give its path (./missing)',
    );
    expect(await faultOf(`${folder}/missing`)).to.equal(`--app: no such program ${folder}/missing`);
    expect(await faultOf(`${folder}/folder`)).to.equal(`--app: ${folder}/folder is no file that can be run`);
    expect(await faultOf(`${folder}/text`)).to.equal(
      `--app: ${folder}/text may not be executed; allow it with chmod +x, or name its interpreter first`,
    );
    expect(await faultOf('\u001b[31mred')).to.include('"\\u{1b}[31mred"');
  });
});
