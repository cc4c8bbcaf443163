import { expect } from 'chai';
import { basename } from 'node:path';
import { codeSpans, readText, section, tableRows } from '../docs/markdown.js';
import { PROJECT, runToEnd } from '../support/process.js';

/** The faults that are to be brought about for real, as docs/proof.md numbers them: from, to. */
const REAL: readonly (readonly [from: number, to: number])[] = [
  [1, 14],
  [17, 18],
  [20, 20],
  [24, 32],
  [35, 41],
  [55, 77],
  [79, 79],
];

/** Whose tests run real processes, sockets and disks. */
const FOLDERS = ['faults', 'integration'];

/** Nothing is run, but everything is loaded. */
const LISTING_TIMEOUT_MS = 60_000;

/** `rows 65 to 72, 77 and 79: …`, `row 5: …`. */
const TITLE = /^rows? (\d+(?:(?:, | and | to )\d+)*): /;

/** The rows that a title names; none if it names none. */
function rowsIn(title: string): number[] {
  const named = TITLE.exec(title)?.[1]?.split(/, | and /) ?? [];
  return named.flatMap((part) => {
    const [from = 0, to = from] = part.split(' to ').map(Number);
    return range(from, to);
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** The files that have tests of each row, such as `faults/disks`. */
async function filesByRow(): Promise<Map<number, Set<string>>> {
  const specs = FOLDERS.map((folder) => `test/${folder}/**/*.test.ts`);
  const words = ['--no-config', '--node-option', 'import=tsx', '--dry-run', '--reporter', 'json', ...specs];
  const mocha = `${PROJECT}node_modules/mocha/bin/mocha.js`;
  const { code, stdout, stderr } = await runToEnd([process.execPath, mocha, ...words], {
    timeout_ms: LISTING_TIMEOUT_MS,
  });
  expect(code, stderr).to.equal(0);
  const found = new Map<number, Set<string>>();
  const { tests } = JSON.parse(stdout) as { tests: { title: string; file: string }[] };
  for (const { title, file } of tests) {
    const [, folder = ''] = /test\/(\w+)\//.exec(file) ?? [];
    for (const row of rowsIn(title)) {
      const files = found.get(row) ?? new Set();
      found.set(row, files.add(`${folder}/${basename(file, '.test.ts')}`));
    }
  }
  return found;
}

describe('faults: the rows', function () {
  this.timeout(LISTING_TIMEOUT_MS);

  it('are read from titles', () => {
    expect(rowsIn('row 5: a title')).to.eql([5]);
    expect(rowsIn('rows 65 to 67, 70 and 79: more')).to.eql([65, 66, 67, 70, 79]);
    expect(rowsIn('nothing of row 5')).to.eql([]);
  });

  it('that are to be real are named by tests, and docs/proof.md names their files', async () => {
    const found = await filesByRow();
    const wanted = REAL.flatMap(([from, to]) => range(from, to));
    expect(
      wanted.filter((row) => !found.has(row)),
      'rows without a test',
    ).to.eql([]);
    const documented = tableRows(section(readText('docs/proof.md'), '## Real faults')).map(
      ([row = '', , files = '']) => [Number(row), codeSpans(files).sort()],
    );
    const expected = [...found].map(([row, files]) => [row, [...files].sort()]);
    expect(documented).to.eql(expected.sort(([a], [b]) => Number(a) - Number(b)));
  });
});
