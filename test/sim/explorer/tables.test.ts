import { expect } from 'chai';
import fc from 'fast-check';
import { PairMap } from '../../../src/sim/explorer/pair-map.js';
import { StateTable } from '../../../src/sim/explorer/state-table.js';

const small = fc.nat({ max: 40 });

describe('explorer: tables', () => {
  it('a pair map does as a Map of pairs does, while it grows', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(small, small, fc.nat()), { maxLength: 3000 }), (writes) => {
        const map = new PairMap(8);
        const model = new Map<string, number>();
        for (const [a, b, value] of writes) {
          map.set(a, b, value);
          model.set(`${a}/${b}`, value);
        }
        expect(map.size).to.equal(model.size);
        for (let a = 0; a <= 40; a++) {
          for (let b = 0; b <= 40; b++) expect(map.get(a, b)).to.equal(model.get(`${a}/${b}`) ?? -1);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('a state table keeps each state once, with its first parent, while it grows', () => {
    const table = new StateTable(3, 4);
    const read = new Int32Array(3);
    for (let n = 0; n < 5000; n++) expect(table.add(Int32Array.of(n % 7, n, n >> 3), n - 1)).to.equal(true);
    for (let n = 0; n < 5000; n++) {
      expect(table.add(Int32Array.of(n % 7, n, n >> 3), 77)).to.equal(false);
      table.read(n, read);
      expect([...read]).to.deep.equal([n % 7, n, n >> 3]);
      expect(table.parent(n)).to.equal(n - 1);
    }
    expect(table.size).to.equal(5000);
  });
});
