import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { certaintyOf, ERROR_CODES, MAX_VALUE_COST, valueCost } from '../../clients/typescript/index.js';
import { ERROR_CODES as CORE_CODES } from '../../src/core/errors.js';
import { MAX_VALUE_COST as CORE_COST, valueCost as coreCost } from '../../src/core/limits.js';
import { describeLanguage, PROJECT, PYTHON } from './languages.js';

/** Runs a Python expression over the client's module, on JSON from its input, and reads back its JSON. */
function python(expression: string, input: unknown = null): unknown {
  const program = `import json, sys, paxosd_client as p; given = json.load(sys.stdin); print(json.dumps(${expression}))`;
  const output = execFileSync('python3', ['-B', '-c', program], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: `${PROJECT}clients/python` },
  });
  return JSON.parse(output);
}

const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom('"', '\\', '/', '<', '&', '\0', '\u007f', ' ', 'a'),
    fc.string({ unit: 'binary', maxLength: 1 }),
  ),
});

describe('what the clients repeat of the core', () => {
  it('TypeScript has the codes of the core, with their certainties', () => {
    expect(ERROR_CODES).to.deep.equal(CORE_CODES);
  });

  it('takes a code that nobody knows for unknown, whatever its name', () => {
    for (const code of ['of-another-age', '', 'constructor', '__proto__', 'toString']) {
      expect(certaintyOf(code), code).to.equal('unknown');
    }
  });

  it('the README has the codes of the core, with their certainties', () => {
    const readme = readFileSync(`${PROJECT}clients/README.md`, 'utf8');
    const rows = [...readme.matchAll(/^\| `([a-z-]+)`\s*\| (definite|unknown|executed)\s*\|/gm)];
    expect(Object.fromEntries(rows.map(([, code, certainty]) => [code, certainty]))).to.deep.equal(
      CORE_CODES,
    );
  });

  it('TypeScript counts a value’s cost as the core does', () => {
    expect(MAX_VALUE_COST).to.equal(CORE_COST);
    fc.assert(fc.property(text, (value) => valueCost(value) === coreCost(value)));
  });

  describeLanguage(PYTHON, () => {
    it('has the codes of the core, with their certainties', () => {
      expect(python('p.ERROR_CODES')).to.deep.equal(CORE_CODES);
    });

    it('counts a value’s cost as the core does', () => {
      expect(python('p.MAX_VALUE_COST')).to.equal(CORE_COST);
      const values = fc.sample(text, 300);
      expect(python('[p.value_cost(value) for value in given]', values)).to.deep.equal(values.map(coreCost));
    });
  });
});

describe('what the clients need', () => {
  const typescript = `${PROJECT}clients/typescript/`;
  for (const file of readdirSync(typescript)) {
    it(`typescript/${file} imports nothing but node:, split2 and its neighbours`, () => {
      const source = readFileSync(typescript + file, 'utf8');
      const imported = [...source.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)].map(
        (match) => match[1] ?? match[2],
      );
      const allowed = file === 'kvclient.ts' ? /^(node:|split2$|commander$|\.\/)/ : /^(node:|split2$|\.\/)/;
      expect(imported.filter((name) => name === undefined || !allowed.test(name))).to.deep.equal([]);
    });
  }

  describeLanguage(PYTHON, () => {
    it('imports the standard library and its neighbours only, without site-packages', () => {
      for (const module of ['paxosd_client', 'kvapp', 'kvclient', 'printapp', 'driver']) {
        const program = `import sys; sys.path.insert(0, 'clients/python'); import ${module}`;
        execFileSync('python3', ['-I', '-S', '-B', '-c', program], { cwd: PROJECT });
      }
    });
  });
});
