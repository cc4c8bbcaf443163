import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { codeBlocks, readText } from '../docs/markdown.js';
import { freePorts } from '../support/cluster-ports.js';

/** The package as somebody gets it who installs it: packed, and installed into an empty project. */

const run = promisify(execFile);

/** Packing builds, and installing unpacks some dozens of packages. */
const INSTALL_TIMEOUT_MS = 180_000;

/** The compiler reads the declarations of Node and of the package. */
const COMPILE_TIMEOUT_MS = 60_000;

/** Resolves once a line of the node's log has a code; rejects if the node ends before. */
async function logged(node: ChildProcess, code: string): Promise<void> {
  if (node.stderr === null) throw new Error('the log is not piped');
  const seen: string[] = [];
  for await (const line of createInterface({ input: node.stderr })) {
    seen.push(line);
    if (line.includes(`"code":"${code}"`)) return;
  }
  throw new Error(`the node ended before "${code}":\n${seen.join('\n')}`);
}

describe('the package', () => {
  let folder: string;
  let files: string[];
  const bin = (name: string): string => join(folder, 'node_modules', '.bin', name);

  before(async function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    folder = await mkdtemp(join(tmpdir(), 'paxosd-package-'));
    // Packing builds first (prepare), so that what is packed is what the sources say.
    const packed = await run('npm', ['pack', '--silent', '--pack-destination', folder]);
    const tarball = packed.stdout.trim().split('\n').at(-1) ?? '';
    const listing = await run('tar', ['-tzf', join(folder, tarball)]);
    files = listing.stdout
      .trim()
      .split('\n')
      .map((path) => path.replace(/^package\//, ''));
    await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}');
    const install = ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', [...install, join(folder, tarball)], { cwd: folder });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it('holds what is needed', () => {
    expect(files).to.include.members([
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'spec.md',
      'schema/envelope.json',
      'docs/architecture.md',
      'clients/README.md',
      'clients/python/paxosd_client.py',
      'dist/src/index.d.ts',
      'dist/clients/typescript/index.d.ts',
    ]);
  });

  it('holds no sources, tests or leftovers', () => {
    const sources = files.filter((path) => /\.map$|__pycache__/.test(path) || /(?<!\.d)\.ts$/.test(path));
    expect(sources).to.deep.equal([]);
    expect(files.filter((path) => /(^|\/)test\//.test(path))).to.deep.equal([]);
    const built = files.filter((path) => path.startsWith('dist/') && path.endsWith('.js'));
    const orphans = built.filter((path) => !existsSync(path.replace(/^dist\//, '').replace(/\.js$/, '.ts')));
    expect(orphans, 'their sources are gone: remove dist and build again').to.deep.equal([]);
  });

  it('has commands that run', async () => {
    const { version } = JSON.parse(readText('package.json')) as { version: string };
    expect((await run(bin('paxosd'), ['--version'])).stdout.trim()).to.equal(version);
    expect((await run(bin('kvclient'), ['--help'])).stdout).to.match(/^Usage: kvclient/);
    const env = { PATH: process.env['PATH'] };
    const lost = await run(bin('kvapp'), [], { env }).catch((error: unknown) => error);
    expect(lost).to.include({ code: 1 });
    expect(lost).to.have.property('stderr').that.includes('where is the node?');
  });

  it('runs a node with its application, and its client puts and gets', async () => {
    const data = join(folder, 'node');
    const address = `127.0.0.1:${String((await freePorts(1))[0])}`;
    await run(bin('paxosd'), ['init', '--listen', address, '--data-dir', data]);
    const start = ['start', '--data-dir', data, '--app', 'kvapp', '--log-format', 'json'];
    const node = spawn(bin('paxosd'), start, { stdio: ['ignore', 'ignore', 'pipe'] });
    const exit = once(node, 'exit');
    try {
      await logged(node, 'started');
      const put = await run(bin('kvclient'), [address, 'put', 'greeting', 'hello', 'world']);
      expect(put.stdout).to.equal('hello world\n');
      const got = await run(bin('kvclient'), [address, 'get', 'greeting']);
      expect(got.stdout).to.equal('hello world\n');
      const done = await run(bin('paxosd'), ['done', address]);
      expect(done.stdout).to.equal(`${address} stops\n`);
      expect(await exit).to.deep.equal([0, null]);
    } finally {
      node.kill('SIGKILL');
      await exit;
    }
  });

  it('exports the agent, the client and the schemas', async () => {
    const script = `
      import { createAgent, initialise } from 'paxosd';
      import { Client, runApp } from 'paxosd/client';
      import schema from 'paxosd/schema/envelope.json' with { type: 'json' };
      const kinds = [createAgent, initialise, Client, runApp, schema].map((each) => typeof each);
      console.log(kinds.join(' '));
    `;
    await writeFile(join(folder, 'imports.js'), script);
    const { stdout } = await run(process.execPath, ['--no-warnings', 'imports.js'], { cwd: folder });
    expect(stdout.trim()).to.equal('function function function function object');
  });

  it('has types under which the examples of README.md compile', async function () {
    this.timeout(COMPILE_TIMEOUT_MS);
    const project = join(folder, 'examples');
    await mkdir(project);
    const examples = codeBlocks(readText('README.md'), 'ts');
    expect(examples).to.have.length(2);
    await Promise.all(examples.map((text, i) => writeFile(join(project, `example-${i}.ts`), text)));
    const wrong = `import { Client } from 'paxosd/client';\nexport const no: number = new Client({ servers: '1' });\n`;
    await writeFile(join(project, 'wrong.ts'), wrong);
    await writeFile(join(project, 'package.json'), '{"type":"module"}');
    await mkdir(join(project, 'node_modules', '@types'), { recursive: true });
    for (const name of ['@types/node', 'undici-types']) {
      await symlink(resolve('node_modules', name), join(project, 'node_modules', name));
    }
    const compilerOptions = {
      strict: true,
      module: 'nodenext',
      target: 'es2023',
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
    };
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const compiler = resolve('node_modules', 'typescript', 'bin', 'tsc');
    const outcome = await run(process.execPath, [compiler, '-p', project]).catch((error: unknown) => error);
    // The wrong one proves that the types were found, and aren't "any".
    const { stdout } = outcome as { stdout: string };
    expect(stdout.trim().split('\n')).to.have.length(1);
    expect(stdout).to.match(/wrong\.ts\(2,14\): error TS2322/);
  });
});
