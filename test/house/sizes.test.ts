import { expect } from 'chai';

import { filesBelow, read } from './source-files.js';

/** A file that grows past this is hiding a second thing. Blank lines and comments count: they are read, too. */
const MAX_FILE_LINES = 500;

/** Files that are longer for a reason. */
const LONGER: ReadonlyMap<string, string> = new Map([
  ['clients/python/paxosd_client.py', 'one file on purpose: it is copied beside the program that uses it'],
]);

describe('house, sizes', () => {
  it('of files stay within reach of a reader', () => {
    const files = ['src', 'test', 'clients'].flatMap((folder) =>
      filesBelow(folder, '.ts', '.js', '.mjs', '.py'),
    );
    expect(files.length).to.be.above(50);
    const long = files
      .map((file) => ({ file, lines: read(file).split('\n').length }))
      .filter(({ file, lines }) => lines > MAX_FILE_LINES && !LONGER.has(file));
    expect(long).to.deep.equal([]);
  });
});
