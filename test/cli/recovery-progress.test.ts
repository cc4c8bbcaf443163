import { expect } from 'chai';
import { PassThrough } from 'node:stream';
import { recoveryProgress } from '../../src/cli/recovery-progress.js';

const MIB = 2 ** 20;

function setUp(isTTY: boolean) {
  const clock = { ms: 1_000 };
  const logged: string[] = [];
  // What cli-progress asks of a terminal beside writing.
  const terminal = Object.assign(new PassThrough(), { isTTY, columns: 80 });
  const progress = recoveryProgress(
    (_level, code, text) => logged.push(`${code}: ${text}`),
    terminal,
    () => clock.ms,
  );
  const drawn = (): string => String(terminal.read() ?? '');
  return { clock, logged, progress, drawn };
}

describe('cli: how far recovery has come', () => {
  it('shows a bar on a terminal once it takes its time, and takes it away', () => {
    const { clock, logged, progress, drawn } = setUp(true);
    progress.on(1 * MIB, 100 * MIB);
    expect(drawn()).to.equal('');
    clock.ms += 600;
    progress.on(25 * MIB, 100 * MIB);
    expect(drawn()).to.match(/reads its journal .* 25 %/);
    progress.on(75 * MIB, 100 * MIB);
    expect(drawn()).to.contain('75 %');
    progress.end();
    drawn();
    progress.on(99 * MIB, 100 * MIB);
    expect(drawn(), 'nothing after the end').to.equal('');
    expect(logged).to.deep.equal([]);
  });

  it('shows nothing of a short recovery', () => {
    const { clock, progress, drawn } = setUp(true);
    clock.ms += 100;
    progress.on(100 * MIB, 100 * MIB);
    progress.end();
    expect(drawn()).to.equal('');
  });

  it('writes a line now and then where there is no terminal', () => {
    const { clock, logged, progress, drawn } = setUp(false);
    for (let percent = 0; percent <= 100; percent++) {
      clock.ms += 100;
      progress.on(percent * MIB, 100 * MIB);
    }
    progress.end();
    expect(logged).to.have.length(5);
    expect(logged[0]).to.equal('recovering: reads its journal: 19 %');
    expect(drawn()).to.equal('');
  });
});
