import { expect } from 'chai';
import fc from 'fast-check';
import { EntryPages } from '../../src/core/entry-pages.js';
import { entry, type Entry } from '../../src/core/ids.js';

/** What may be done to it, and its counterpart on one of the platform's maps. */
type Action = readonly ['set' | 'delete' | 'get', Entry];

const near = fc.nat(40).map(entry);
/** Among them some on both sides of where pages end, in many pages, and some beyond 32 bits. */
const far = fc
  .tuple(near, fc.constantFrom(0, 1_000, 2_040, 10_220, 2 ** 20, 2 ** 32, 2 ** 33, 2 ** 52))
  .map(([a, b]) => entry(a + b));

const action: fc.Arbitrary<Action> = fc.tuple(
  fc.constantFrom('set', 'set', 'set', 'delete', 'delete', 'get'),
  fc.oneof(near, far),
);

interface Value {
  readonly i: number;
}

function sorted(map: ReadonlyMap<Entry, Value>): [Entry, Value][] {
  return [...map].sort(([a], [b]) => a - b);
}

/** Does the same to both, and compares what they say. */
function act(map: EntryPages<Value>, model: Map<Entry, Value>, [what, where]: Action, value: Value): void {
  switch (what) {
    case 'set':
      map.set(where, value);
      model.set(where, value);
      break;
    case 'delete':
      expect(map.delete(where)).to.equal(model.delete(where));
      break;
    case 'get':
      expect(map.get(where)).to.equal(model.get(where));
  }
  expect(map.has(where)).to.equal(model.has(where));
  expect(map.size).to.equal(model.size);
}

describe('pages of entries', () => {
  it('do what a Map does, in the order of the log', () => {
    const property = fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const map = new EntryPages<Value>();
      const model = new Map<Entry, Value>();
      actions.forEach((one, i) => act(map, model, one, { i }));
      expect([...map]).to.eql(sorted(model));
      expect(map.keys()).to.eql(sorted(model).map(([where]) => where));
      expect(map.values()).to.eql(sorted(model).map(([, value]) => value));
      expect([...new EntryPages(map)]).to.eql([...map]);
      expect(JSON.stringify(map)).to.equal(JSON.stringify(sorted(model)));
    });
    fc.assert(property, { numRuns: 300 });
  });

  it('slide along the log in two places far from each other, and keep nothing that was deleted', () => {
    const map = new EntryPages<Value>();
    const FAR = 2 ** 20;
    for (let i = 0; i < 50_000; i++) {
      map.set(entry(i), { i }).set(entry(FAR + i), { i: -i });
      if (i >= 4_096) expect(map.delete(entry(i - 4_096))).to.equal(true);
      expect(map.get(entry(FAR + i))).to.eql({ i: -i });
    }
    expect(map.size).to.equal(50_000 + 4_096);
    expect(map.keys()[0]).to.equal(50_000 - 4_096);
    expect(map.get(entry(49_999))).to.eql({ i: 49_999 });
    for (let i = 0; i < 50_000; i++) expect(map.delete(entry(FAR + i))).to.equal(true);
    expect(map.size).to.equal(4_096);
    expect(map.has(entry(FAR))).to.equal(false);
  });
});
