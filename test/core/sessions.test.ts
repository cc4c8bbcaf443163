import { expect } from 'chai';
import fc from 'fast-check';

import { clientId, entry, requestNumber } from '../../src/core/ids.js';
import { MAX_NUMBERS_PER_SESSION, MAX_SESSIONS } from '../../src/core/limits.js';
import {
  foldRequest,
  isForgotten,
  newSessionTable,
  recall,
  type SessionTable,
} from '../../src/core/sessions.js';

const fold = (table: SessionTable, id: number, no: number, e: number) =>
  foldRequest(table, clientId(id), requestNumber(no), entry(e));
const look = (table: SessionTable, id: number, no: number) => recall(table, clientId(id), requestNumber(no));

describe('core, sessions (spec.md, "Exactly once")', () => {
  it('remember where a request was executed', () => {
    const table = newSessionTable();
    expect(look(table, 1, 1)).to.deep.equal({ kind: 'new' });
    expect(fold(table, 1, 1, 0)).to.deep.equal({ kind: 'new' });
    expect(look(table, 1, 1)).to.deep.equal({ kind: 'executed', entry: 0 });
    expect(fold(table, 1, 1, 5), 'a second entry is skipped').to.deep.equal({ kind: 'executed', entry: 0 });
    expect(look(table, 1, 1)).to.deep.equal({ kind: 'executed', entry: 0 });
  });

  it('tell one client’s numbers from another’s (faults 57)', () => {
    const table = newSessionTable();
    fold(table, 1, 1, 0);
    expect(look(table, 2, 1)).to.deep.equal({ kind: 'new' });
  });

  it('take number 0, gaps, and numbers that descend', () => {
    const table = newSessionTable();
    for (const [e, no] of [1000, 0, 999, 5, 2 ** 53 - 1].entries()) {
      expect(fold(table, 1, no, e), String(no)).to.deep.equal({ kind: 'new' });
    }
    for (const [e, no] of [1000, 0, 999, 5, 2 ** 53 - 1].entries()) {
      expect(look(table, 1, no)).to.deep.equal({ kind: 'executed', entry: e });
    }
  });

  it('forget the lowest numbers of a session, and never execute anything at or below them again', () => {
    const table = newSessionTable();
    for (let no = 0; no <= MAX_NUMBERS_PER_SESSION; no++) fold(table, 1, 2 * no, no);
    expect(look(table, 1, 0)).to.deep.equal({ kind: 'forgotten' });
    expect(look(table, 1, 1), 'a gap above the floor').to.deep.equal({ kind: 'new' });
    expect(fold(table, 1, 0, 999)).to.deep.equal({ kind: 'forgotten' });
    expect(look(table, 1, 2)).to.deep.equal({ kind: 'executed', entry: 1 });
  });

  it('execute a number below all that are kept once, and then know no more than that', () => {
    const table = newSessionTable();
    for (let no = 1; no <= MAX_NUMBERS_PER_SESSION; no++) fold(table, 1, 1000 + no, no);
    expect(fold(table, 1, 7, 999)).to.deep.equal({ kind: 'new' });
    expect(look(table, 1, 7)).to.deep.equal({ kind: 'forgotten' });
    expect(look(table, 1, 8)).to.deep.equal({ kind: 'new' });
    expect(look(table, 1, 1001)).to.deep.equal({ kind: 'executed', entry: 1 });
  });

  it('go when they are the longest without an execution', () => {
    const table = newSessionTable();
    for (let id = 1; id <= MAX_SESSIONS; id++) fold(table, id, 1, id);
    fold(table, 1, 2, 9999);
    fold(table, MAX_SESSIONS + 1, 1, 10_000);
    expect(isForgotten(table, clientId(2)), 'the oldest').to.equal(true);
    expect(table.floor).to.equal(2);
    expect(isForgotten(table, clientId(1)), 'it lies below the floor, and is in the table').to.equal(false);
    expect(look(table, 1, 3)).to.deep.equal({ kind: 'new' });
    expect(look(table, 2, 77)).to.deep.equal({ kind: 'forgotten' });
    expect(isForgotten(table, clientId(MAX_SESSIONS + 9)), 'never seen, above the floor').to.equal(false);
  });

  it('never lower the floor', () => {
    const table = newSessionTable();
    for (let id = 2 * MAX_SESSIONS; id > 0; id--) fold(table, id, 1, id);
    expect(table.floor).to.equal(2 * MAX_SESSIONS);
    expect(table.sessions.size).to.equal(MAX_SESSIONS);
  });

  it('stay in the order of their last executions, whoever follows whom', () => {
    const requests = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.boolean()), { maxLength: 60 });
    fc.assert(
      fc.property(requests, (all) => {
        const table = newSessionTable();
        let order: number[] = [];
        for (const [e, [id, again]] of all.entries()) {
          const { kind } = fold(table, id, again ? 0 : e + 1, e);
          if (kind === 'new') order = [...order.filter((one) => one !== id), id];
          expect([...table.sessions.keys()]).to.eql(order);
        }
      }),
    );
  });

  it('execute each request at most once, whatever comes in whatever order', () => {
    const requests = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 600 })), {
      maxLength: 3000,
      size: 'max',
    });
    fc.assert(
      fc.property(requests, (all) => {
        const table = newSessionTable();
        const executed = new Set<string>();
        for (const [e, [id, no]] of all.entries()) {
          const before = look(table, id, no);
          const verdict = fold(table, id, no, e);
          expect(verdict).to.deep.equal(before);
          if (verdict.kind !== 'new') continue;
          expect(executed.has(`${id}/${no}`)).to.equal(false);
          executed.add(`${id}/${no}`);
        }
      }),
      { numRuns: 20 },
    );
  });
});
