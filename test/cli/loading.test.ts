import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { freePorts } from '../support/cluster-ports.js';
import { run, runWith, useWorkshop } from './support.js';

/**
 * Says at the end which packages the process has loaded, for those that are loaded by `require`, or turned into it; and
 * before that, when it has all schemas.
 */
const PROBE = `const SCHEMAS = ${readdirSync(new URL('../../schema/', import.meta.url)).filter((file) => file.endsWith('.json')).length};
const watch = setInterval(() => {
  if (Object.keys(require.cache).filter((file) => /schema\\/[^/]+[.]json$/.test(file)).length < SCHEMAS) return;
  clearInterval(watch);
  require('node:fs').writeSync(2, 'has all schemas\\n');
}, 20).unref();
process.on('exit', () => {
  const packages = Object.keys(require.cache).map((file) => /.*node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(file)?.[1]);
  require('node:fs').writeSync(2, 'loaded: ' + [...new Set(packages)].join(' ') + '\\n');
});`;

function loaded(stderr: string): string[] {
  return /^loaded: (.*)$/m.exec(stderr)?.[1]?.split(' ') ?? [];
}

describe('what a command loads', function () {
  this.timeout(60_000);
  const { path, launch } = useWorkshop();
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    await writeFile(path('probe.cjs'), PROBE);
    env = { NODE_OPTIONS: `--require=${path('probe.cjs')}` };
  });

  it('leaves out the validators, which take longer than all the rest, where no message is read', async () => {
    const packages = loaded((await runWith(env, '--version')).stderr);
    expect(packages).to.include('commander');
    for (const name of ['ajv', 'pino-pretty', 'cli-progress']) expect(packages).not.to.include(name);
  });

  it('has the validators on a node right after its start, before a message needs them', async () => {
    const [port = 0] = await freePorts(1);
    await run('init', '--listen', `127.0.0.1:${port}`, '--data-dir', path('node'));
    const node = launch(['start', '--data-dir', path('node'), '--log-format', 'json'], env);
    await node.until('all schemas', () => (node.stderr.includes('has all schemas') ? true : undefined));
    await node.end('SIGTERM');
    expect(loaded(node.stderr)).to.include('ajv');
  });
});
