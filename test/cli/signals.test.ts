import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { onStopSignals } from '../../src/cli/signals.js';
import { PROJECT } from '../support/process.js';

const run = promisify(execFile);

/** Replaces a small file, as a node does with its identity and its marks, and then gets the signal of a full limit. */
function program(file: string, first: string): string {
  return `
    import writeFileAtomic from 'write-file-atomic';
    import { surviveFileSizeLimit } from './dist/src/cli/signals.js';
    ${first}
    await writeFileAtomic(${JSON.stringify(file)}, 'small');
    process.kill(process.pid, 'SIGXFSZ');
    setTimeout(() => console.log('lives'), 50);
  `;
}

describe('cli: signals', function () {
  this.timeout(30_000);
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'paxosd-signals-'));
  });

  after(() => rm(directory, { recursive: true }));

  function end(first: string): Promise<{ stdout: string; signal?: string }> {
    const text = program(join(directory, 'file'), first);
    return run(process.execPath, ['--input-type=module', '--eval', text], { cwd: PROJECT }).catch(
      (error: unknown) => error as { stdout: string; signal: string },
    );
  }

  it('survive the signal of a file size limit, also after a file was replaced', async () => {
    expect((await end('surviveFileSizeLimit();')).stdout).to.equal('lives\n');
  });

  it('would not, if nobody listened to it', async () => {
    const { stdout, signal } = await end('');
    expect({ stdout, signal }).to.eql({ stdout: '', signal: 'SIGXFSZ' });
  });

  it('tell one wish to stop, which may arrive twice, from a second one', () => {
    let now_ms = 0;
    const handlers: ((signal: string) => void)[] = [];
    const seen: string[] = [];
    onStopSignals(
      (signal) => seen.push(signal),
      () => seen.push('force'),
      { on: (_signal, handle) => handlers.push(handle) },
      () => now_ms,
    );
    handlers[0]!('SIGINT');
    now_ms = 499;
    handlers[1]!('SIGTERM');
    expect(seen).to.eql(['SIGINT']);
    now_ms = 501;
    handlers[0]!('SIGINT');
    expect(seen).to.eql(['SIGINT', 'force']);
  });
});
