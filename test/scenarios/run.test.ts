import { expect } from 'chai';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Scenario } from '../support/scenario.js';

/**
 * Runs the scenarios beside this file: each is a text of prose, commands (`> …`) and, indented under each command, what
 * it brought about. `REWRITE=1` writes down what happens now; read the difference before you keep it.
 */

const FOLDER = import.meta.dirname;

/** The text as it would read if everything under each command were written down afresh. */
function replay(text: string): string {
  const scenario = new Scenario();
  const lines: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('  ')) continue;
    lines.push(line);
    if (!line.startsWith('> ')) continue;
    try {
      lines.push(...scenario.run(line.slice(2)).map((shown) => `  ${shown}`));
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(`line ${index + 1}, "${line}": ${what}`, { cause: error });
    }
  }
  return lines.join('\n');
}

describe('scenarios', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

  it('are there', () => {
    expect(names).to.not.be.empty;
  });

  for (const name of names) {
    it(name.replace(/\.txt$/, '').replaceAll('-', ' '), () => {
      const file = join(FOLDER, name);
      const text = readFileSync(file, 'utf8');
      const replayed = replay(text);
      if (process.env['REWRITE'] !== undefined && replayed !== text) writeFileSync(file, replayed);
      else expect(replayed).to.equal(text);
    });
  }
});
