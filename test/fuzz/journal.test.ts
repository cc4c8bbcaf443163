import { expect } from 'chai';
import fc from 'fast-check';
import type { JournalRecord } from '../../src/core/record.js';
import { JournalError } from '../../src/journal/journal-error.js';
import type { MemoryStorage } from '../journal/memory-storage.js';
import { diskWith, Opened, RECORDS } from '../journal/support.js';
import { SeededRandom } from '../support/random.js';
import { applyEdit, drawEdit } from './journal-edits.js';
import { journal } from './journal-target.js';

const TIMEOUT_MS = 60_000;
const SEED = Number(process.env['SEED'] ?? 1);

/** Records that fit into the short segments of tests. */
const FITTING = RECORDS.filter((record) => JSON.stringify(record).length < 800);

async function recovered(storage: MemoryStorage): Promise<JournalRecord[] | undefined> {
  try {
    const opened = await Opened.on(storage);
    await opened.journal.close();
    return opened.recovered;
  } catch (error) {
    expect(error).to.be.instanceOf(JournalError);
    return undefined;
  }
}

describe(`fuzz: damaged journals (SEED=${SEED})`, function () {
  this.timeout(TIMEOUT_MS);

  it('of any records boot with a beginning of them, twice the same, or are refused', async () => {
    let booted = 0;
    const groups = fc.array(fc.array(FITTING, { minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(groups, fc.nat(), fc.integer({ min: 0, max: 3 }), async (written, seed, edits) => {
        const storage = await diskWith(...written);
        const random = new SeededRandom(seed);
        for (let i = 0; i < edits; i++) {
          const edit = drawEdit(random);
          if (edit.op !== 'forge') applyEdit(storage, edit);
        }
        const once = await recovered(storage);
        if (once === undefined) return;
        booted++;
        expect(once).to.deep.equal(written.flat().slice(0, once.length));
        expect(await recovered(storage)).to.deep.equal(once);
      }),
      { numRuns: 300, seed: SEED },
    );
    expect(booted).to.be.above(30);
  });

  it('whose files have changed places are refused', async () => {
    const strange = Buffer.from('{"base":2,"edits":[{"op":"swap","file":1,"from":0}]}');
    const { codes } = await journal.run(strange);
    expect(codes[0]).to.match(/^refused/);
  });
});
