import { expect } from 'chai';
import { ERROR_CODES } from '../../src/core/errors.js';
import * as limits from '../../src/core/limits.js';
import { CLIENT_IDS_PER_ROUND } from '../../src/core/message.js';
import { MAX_OPEN_REQUESTS } from '../../src/net/intake.js';
import { codeSpans, readText, section, tableRows } from './markdown.js';

const spec = readText('spec.md');

/** Reads `65,507`, `W = 4096`, `2^37` and `16 Mi`. */
function numberIn(cell: string): number {
  const text = cell.replace(/^\w = /, '').replaceAll(',', '');
  const match = /^(\d+)(?:\^(\d+)| (Mi))?$/.exec(text);
  if (match === null) throw new Error(`"${cell}" is no number`);
  const [, digits, exponent, unit] = match;
  return Number(digits) ** Number(exponent ?? 1) * (unit === 'Mi' ? 2 ** 20 : 1);
}

describe('spec.md and the code', () => {
  it('list the same errors with the same certainty (spec.md, "Errors")', () => {
    const rows = tableRows(section(spec, '## 13 Errors'));
    const table = new Map(rows.map(([code = '', certainty]) => [codeSpans(code)[0], certainty]));
    expect(Object.fromEntries(table)).to.deep.equal(ERROR_CODES);
    expect(rows).to.have.length(Object.keys(ERROR_CODES).length);
  });

  it('give every limit the same value (spec.md, "Limits")', () => {
    const constants = new Map<string, unknown>(
      Object.entries({ ...limits, CLIENT_IDS_PER_ROUND, MAX_OPEN_REQUESTS }),
    );
    const sections = ['### Constants of the format', '### Bounds on memory and effort'];
    const rows = sections.flatMap((heading) => tableRows(section(spec, heading)));
    expect(rows).to.not.be.empty;
    for (const [cell = '', value = ''] of rows) {
      const name = codeSpans(cell)[0] ?? cell;
      expect(constants.get(name), name).to.equal(numberIn(value));
    }
  });
});
