import { expect } from 'chai';

import { filesBelow, importsOf, roomOf, type Import } from './source-files.js';

/**
 * Which rooms a room may look into: arrows point down only (docs/architecture.md). Nobody looks into `cli`, and `top`
 * is the package's entrance, which the commands go through like everybody.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: ['core'],
  journal: ['core', 'wire'],
  net: ['core', 'wire'],
  server: ['core', 'wire', 'journal', 'net'],
  sim: ['core', 'wire', 'journal', 'net', 'server'],
  top: ['core', 'wire', 'journal', 'net', 'server'],
  cli: ['core', 'wire', 'journal', 'net', 'sim', 'server', 'top'],
};

function violations(file: string, imports: readonly Import[]): string[] {
  const room = roomOf(file);
  const allowed = room === undefined ? undefined : MAY_IMPORT[room];
  if (room === undefined || allowed === undefined) return [`${file} stands in no known room`];
  return imports
    .filter(({ target, is_local }) => {
      if (!is_local) return room === 'core';
      const other = roomOf(target);
      return other === undefined ? !isOwnData(target) : other !== room && !allowed.includes(other);
    })
    .map(({ target }) => `${file} imports ${target}`);
}

/** The package's own description and the schemas are data, not rooms. */
function isOwnData(target: string): boolean {
  return target === 'package.json' || target.startsWith('schema/');
}

/** The first circle found among imports of values, as the files along it. */
function findCircle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const next of edges.get(file) ?? []) {
      const circle = visit(next);
      if (circle !== undefined) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const circle = visit(file);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

function valueEdges(files: readonly string[]): Map<string, string[]> {
  const values = ({ is_local, is_type_only }: Import): boolean => is_local && !is_type_only;
  return new Map(
    files.map((file) => [
      file,
      importsOf(file)
        .filter(values)
        .map(({ target }) => target),
    ]),
  );
}

describe('house, imports (docs/architecture.md)', () => {
  const sources = filesBelow('src', '.ts');

  it('are read as they are written', () => {
    const text = `
      import './a.js';
      import type { B } from './b.js';
      import { type C, type D } from '../wire/c.js';
      import E, { type F } from './e.js';
      import { type G, h } from './g.js';
      import * as i from 'node:fs';
      export { j } from './j.js';
      export type { K } from './k.js';
      type L = import('./l.js').L;
      const m = await import('./m.js');
    `;
    const read = importsOf('src/core/x.ts', text).map(({ target, is_type_only }) => [target, is_type_only]);
    expect(read).to.deep.equal([
      ['src/core/a.ts', false],
      ['src/core/b.ts', true],
      ['src/wire/c.ts', true],
      ['src/core/e.ts', false],
      ['src/core/g.ts', false],
      ['node:fs', false],
      ['src/core/j.ts', false],
      ['src/core/k.ts', true],
      ['src/core/l.ts', true],
      ['src/core/m.ts', false],
    ]);
  });

  it('that go back are found', () => {
    const up = importsOf('src/wire/x.ts', `import type { A } from '../journal/journal.js';`);
    expect(violations('src/wire/x.ts', up)).to.deep.equal(['src/wire/x.ts imports src/journal/journal.ts']);
    const out = importsOf('src/core/x.ts', `import { readFileSync } from 'node:fs';`);
    expect(violations('src/core/x.ts', out)).to.deep.equal(['src/core/x.ts imports node:fs']);
    expect(violations('src/attic/x.ts', [])).to.deep.equal(['src/attic/x.ts stands in no known room']);
  });

  it('go down only, and the core imports nothing but itself', () => {
    expect(sources).to.include('src/core/agent.ts');
    expect(sources.flatMap((file) => violations(file, importsOf(file)))).to.deep.equal([]);
  });

  it('that run in a circle are found', () => {
    const circle = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', []],
      ['d', ['b']],
    ]);
    expect(findCircle(circle)).to.deep.equal(['b', 'd', 'b']);
  });

  it('of values never run in a circle', () => {
    expect(findCircle(valueEdges(sources))).to.equal(undefined);
  });

  it('of the TypeScript client stay out of src', () => {
    const files = filesBelow('clients/typescript', '.ts');
    expect(files).to.not.be.empty;
    const inner = files.flatMap((file) =>
      importsOf(file).filter(({ is_local, target }) => is_local && !target.startsWith('clients/typescript/')),
    );
    expect(inner.map(({ target }) => target)).to.deep.equal([]);
  });
});
