import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { anchors, codeSpans, linkTargets, markdownFiles, readText, section, tableRows } from './markdown.js';

/** Why a link of `file` leads nowhere; undefined if it leads somewhere, or out of the project. */
function faultOf(file: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = '', anchor] = target.split('#');
  const full = path === '' ? file : join(dirname(file), path);
  if (!existsSync(full)) return `${file}: ${target} does not exist`;
  if (anchor === undefined || anchors(readText(full)).has(anchor)) return undefined;
  return `${file}: ${target} names no heading`;
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => entry.name);
}

describe('the documents', () => {
  it('are there', () => {
    expect(markdownFiles()).to.include.members([
      'README.md',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'spec.md',
      'docs/architecture.md',
      'clients/README.md',
    ]);
  });

  for (const file of markdownFiles()) {
    it(`${file} links to what exists`, () => {
      const faults = linkTargets(readText(file)).map((target) => faultOf(file, target));
      expect(faults.filter((fault) => fault !== undefined)).to.deep.equal([]);
    });
  }

  for (const file of ['README.md', 'CONTRIBUTING.md', 'docs/architecture.md']) {
    it(`${file} names source files that exist`, () => {
      const names = new Set([...filesBelow('src'), ...filesBelow('clients'), ...filesBelow('test')]);
      const spans = codeSpans(readText(file));
      const paths = spans.filter((span) => /^(src|clients|schema|test|docs)\/[\w./-]+$/.test(span));
      expect(paths.filter((path) => !existsSync(path))).to.deep.equal([]);
      const bare = spans.filter((span) => /^[\w-]+\.ts$/.test(span));
      expect(bare.filter((name) => !names.has(basename(name)))).to.deep.equal([]);
    });
  }

  it('docs/architecture.md accounts for every dependency', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, object>;
    const { dependencies = {}, devDependencies = {} } = manifest;
    const rows = tableRows(section(readText('docs/architecture.md'), '## Dependencies'));
    const named = rows.flatMap(([packages = '']) => codeSpans(packages));
    const all = [...Object.keys(dependencies), ...Object.keys(devDependencies)];
    const untyped = all.filter((name) => !name.startsWith('@types/'));
    expect(named.filter((name) => name !== '@types/*').sort()).to.deep.equal(untyped.sort());
  });
});
