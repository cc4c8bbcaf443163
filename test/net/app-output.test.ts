import { PassThrough } from 'node:stream';
import { once } from 'node:events';

import { expect } from 'chai';

import { showOutput } from '../../src/net/app-output.js';

async function shown(...chunks: (string | Buffer)[]): Promise<string[]> {
  const stream = new PassThrough();
  const lines: string[] = [];
  showOutput(stream, 'stdout', (_level, _code, text) => lines.push(text));
  const closed = once(stream, 'close');
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await closed;
  return lines;
}

describe("an application's output in the log", () => {
  it('comes line by line with a prefix, however it is cut into chunks', async () => {
    const euro = Buffer.from('€');
    expect(await shown('one\ntw', 'o\r\n\nthree\t3')).to.deep.equal([
      'app | one',
      'app | two',
      'app | ',
      'app | three    3',
    ]);
    expect(await shown(euro.subarray(0, 1), euro.subarray(1))).to.deep.equal(['app | €']);
    expect(await shown()).to.deep.equal([]);
  });

  it('cannot move the cursor or fake a line', async () => {
    expect(await shown('\u001b[2Jgone\u0007\rfake\u2028line\n')).to.deep.equal([
      'app | \\u{1b}[2Jgone\\u{7}\\u{d}fake\\u{2028}line',
    ]);
  });

  it('is cut to a length', async () => {
    const [first, second, ...rest] = await shown('x'.repeat(999), 'x'.repeat(500_000), '\nshort\n');
    expect(first).to.equal(`app | ${'x'.repeat(1000)}…`);
    expect(second).to.equal('app | short');
    expect(rest).to.deep.equal([]);
    expect(await shown('y'.repeat(1000))).to.deep.equal([`app | ${'y'.repeat(1000)}`]);
  });

  it('is shown at a limited rate, and what is not shown is counted', async () => {
    const lines = await shown('flood\n'.repeat(50_000));
    expect(lines.length).to.be.within(200, 2000);
    const held_back = lines
      .map((line) => /^(\d+) lines of the application's stdout were not shown$/.exec(line)?.[1])
      .reduce((sum, count) => sum + Number(count ?? 0), 0);
    expect(held_back + lines.filter((line) => line === 'app | flood').length).to.equal(50_000);
  });
});
