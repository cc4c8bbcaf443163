import { expect } from 'chai';
import fc from 'fast-check';
import { literalOf, rememberLiteral } from '../../src/wire/literals.js';

/** A literal of the value in which some characters are escaped though they needn't be. */
function wordy(value: string): string {
  const inner = JSON.stringify(value).slice(1, -1);
  return `"${inner.replaceAll('/', '\\/').replaceAll('a', '\\u0061')}"`;
}

const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('a', '/', '"', '\\', '\n', 'é', '\ud800') }),
  fc.nat(3000).map((length) => 'x'.repeat(length)),
);

describe('wire: literals that are kept', () => {
  it('are what JSON.stringify writes, whatever a value was read from', () => {
    const property = fc.property(fc.array(value, { maxLength: 50 }), (values) => {
      for (const one of values) rememberLiteral(one, wordy(one));
      for (const one of values) rememberLiteral(one, JSON.stringify(one));
      for (const one of [...values, ...values]) expect(literalOf(one)).to.equal(JSON.stringify(one));
      for (const one of values) rememberLiteral(one, wordy(one));
      for (const one of values) expect(literalOf(one)).to.equal(JSON.stringify(one));
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('take the place of one another without being mixed up', () => {
    const values = Array.from(
      { length: 20_000 },
      (_, i) => `{"op":"put","key":"k${i % 100}","value":"${i}"}`,
    );
    for (const one of values) rememberLiteral(one, JSON.stringify(one));
    for (const one of values) expect(literalOf(one)).to.equal(JSON.stringify(one));
  });
});
