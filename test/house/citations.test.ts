import { expect } from 'chai';

import { filesBelow, read } from './source-files.js';

/** The headings of a document, without their numbers. */
function headings(text: string): Set<string> {
  const found = new Set<string>();
  for (const [, title] of text.matchAll(/^#+ +(?:\d+(?:\.\d+)* +)?(.+?) *$/gm)) found.add(title ?? '');
  return found;
}

/** The headings of spec.md that a text cites, as in: spec.md, "Rounds" and "Acceptors". */
function citations(text: string): string[] {
  const joined = text.replace(/\n\s*(?:\*|\/\/|#)?\s*/g, ' ');
  return [...joined.matchAll(/spec\.md, ("[^"]+"(?:(?:,| and|, and) "[^"]+")*)/g)].flatMap(
    ([, titles = '']) => [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => title),
  );
}

describe('house, citations', () => {
  it('are read over line ends, several at a time', () => {
    const text = ` * It is so (spec.md,\n   * "Learning\n   * and catch-up" and "Rounds"), and so (spec.md, "Limits").`;
    expect(citations(text)).to.deep.equal(['Learning and catch-up', 'Rounds', 'Limits']);
    expect([...headings('# The title\n\n## 7 Rounds \ntext\n### On Prepare(e, r)\n')]).to.deep.equal([
      'The title',
      'Rounds',
      'On Prepare(e, r)',
    ]);
  });

  it('of spec.md name headings that are there', () => {
    const known = headings(read('spec.md'));
    const files = ['src', 'test', 'clients'].flatMap((folder) =>
      filesBelow(folder, '.ts', '.py', '.txt', '.md'),
    );
    const wrong = files
      .filter((file) => file !== 'test/house/citations.test.ts')
      .flatMap((file) => citations(read(file)).map((title) => ({ file, title })))
      .filter(({ title }) => !known.has(title));
    expect(wrong).to.deep.equal([]);
  });

  it('are many: the branch that implements a clause says so', () => {
    const cited = new Set(filesBelow('src', '.ts').flatMap((file) => citations(read(file))));
    expect([...cited]).to.include.members([
      'Rounds',
      'Acceptors',
      'Candidates and reigns',
      'Durability',
      'Clients',
    ]);
  });
});
