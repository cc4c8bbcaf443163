import { expect } from 'chai';
import type { JournalRecord } from '../../src/core/record.js';
import { writeNewJournal } from '../../src/journal/identity.js';
import { MemoryStorage } from './memory-storage.js';
import {
  accepted,
  DIRECTORY,
  IDENTITY,
  newDisk,
  Opened,
  recover,
  segment,
  SEGMENT_BYTES,
} from './support.js';

/** Records whose size makes several segments, in groups of one to three. */
const GROUPS: JournalRecord[][] = Array.from({ length: 14 }, (_, n) =>
  Array.from({ length: 1 + (n % 3) }, (_, i) => accepted(3 * n + i, 'x'.repeat((n * 53) % 300))),
);
const ALL = GROUPS.flat();

/** Which of the sectors that weren't flushed a crash leaves written. */
const SURVIVORS: [string, (sector: number) => boolean][] = [
  ['none', () => false],
  ['all', () => true],
  ['even ones', (sector) => sector % 2 === 0],
  ['odd ones', (sector) => sector % 2 === 1],
  ['the first', (sector) => sector === 0],
];

interface Life {
  /** Records that were reported durable. */
  promised: number;
}

/** Makes every operation fail from the k-th on: the process is dead. A write that it died in may have got anywhere. */
function dieAt(storage: MemoryStorage, k: number): void {
  let calls = 0;
  storage.before = (call) => {
    calls++;
    if (calls === k && call.operation === 'write') return call.length;
    if (calls >= k) throw new Error('dead');
    return undefined;
  };
}

/** Opens, and appends all groups that aren't there yet, until death. */
async function live(storage: MemoryStorage): Promise<Life> {
  let opened: Opened;
  try {
    opened = await Opened.on(storage);
  } catch {
    return { promised: 0 };
  }
  const { recovered } = opened;
  const life = { promised: recovered.length };
  expect(recovered).to.deep.equal(ALL.slice(0, recovered.length));
  try {
    for (let at = recovered.length; at < ALL.length; at += 2) {
      await opened.write(...ALL.slice(at, at + 2));
      life.promised = Math.min(at + 2, ALL.length);
    }
    await opened.journal.close();
  } catch {
    return life;
  }
  return life;
}

async function callsOf(
  run: (storage: MemoryStorage) => Promise<unknown>,
  from: MemoryStorage,
): Promise<number> {
  const storage = from.clone();
  storage.calls = [];
  await run(storage);
  return storage.calls.length;
}

/** Nothing promised is lost, nothing invented, and recovering again changes nothing. */
async function expectSafe(image: MemoryStorage, promised: number, what: string): Promise<void> {
  const records = await recover(image);
  expect(records.length, what).to.be.at.least(promised);
  expect(records, what).to.deep.equal(ALL.slice(0, records.length));
  const after = image.crash(() => false, false);
  expect(await recover(after), `${what}, again`).to.deep.equal(records);
}

describe('crashes of the journal (spec.md, "Durability")', () => {
  it('loses nothing durable at any step of writing and changing segments', async () => {
    const fresh = await newDisk();
    const steps = await callsOf(live, fresh);
    expect(steps).to.be.above(80);
    for (let k = 1; k <= steps; k++) {
      for (const [name, keep] of SURVIVORS) {
        const storage = fresh.clone();
        dieAt(storage, k);
        const { promised } = await live(storage);
        for (const names of [false, true]) {
          await expectSafe(storage.crash(keep, names), promised, `step ${k}, sectors kept: ${name}`);
        }
      }
    }
  });

  it('loses nothing at any step of recovering from a torn tail, and then of going on', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    for (let at = 0; at < 20; at += 4) await opened.write(...ALL.slice(at, at + 4));
    await opened.journal.close();
    const torn = storage.clone();
    const last = torn
      .paths()
      .filter((path) => path.endsWith('.log') && torn.bytes(path)[0] !== 0)
      .pop()!;
    const bytes = torn.bytes(last);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    bytes.fill(0, end - 30);
    const kept = (await recover(torn.clone())).length;
    expect(kept).to.equal(19);
    const durable = torn.clone();
    const steps = await callsOf(live, durable);
    for (let k = 1; k <= steps; k++) {
      for (const [name, keep] of SURVIVORS) {
        const dying = durable.clone();
        dieAt(dying, k);
        const { promised } = await live(dying);
        for (const names of [false, true]) {
          const image = dying.crash(keep, names);
          await expectSafe(image, Math.max(promised, kept), `step ${k}, sectors kept: ${name}`);
        }
      }
    }
  });

  it('survives crashes in recovery, again and again', async () => {
    let storage = await newDisk();
    let promised = 0;
    for (let k = 1; promised < ALL.length; k++) {
      dieAt(storage, 8 + k);
      promised = Math.max(promised, (await live(storage)).promised);
      storage = storage.crash((sector) => (sector + k) % 2 === 0, k % 2 === 0);
      await expectSafe(storage.clone(), promised, `life ${k}`);
    }
    expect(await recover(storage)).to.deep.equal(ALL);
  });

  it('loses nothing when the process is killed at any step, and the power fails later', async () => {
    const fresh = await newDisk();
    const steps = await callsOf(live, fresh);
    for (let k = 1; k <= steps; k++) {
      const storage = fresh.clone();
      dieAt(storage, k);
      await live(storage);
      storage.before = () => undefined;
      expect((await live(storage)).promised, `step ${k}`).to.equal(ALL.length);
      await expectSafe(
        storage.crash(() => false, false),
        ALL.length,
        `step ${k}`,
      );
    }
  });

  it('makes durable again what a failed flush may have lost without leaving a mark', async () => {
    for (const change of [false, true]) {
      const storage = await newDisk();
      const opened = await Opened.on(storage);
      let n = 0;
      await opened.write(accepted(n++));
      storage.before = (call) => {
        const wanted = call.operation === 'datasync' && (!change || call.path === segment(2));
        if (wanted || call.operation === 'replace') throw new Error('EIO');
        return undefined;
      };
      while (opened.failures.length === 0) await opened.write(accepted(n++)).catch(() => undefined);
      await opened.journal.close();
      storage.before = () => undefined;
      expect(await recover(storage)).to.have.length(n);
      expect(await recover(storage.crash(() => false, false))).to.have.length(n);
    }
  });

  it('makes a segment anew that was torn while it was begun', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    let n = 0;
    await opened.write(accepted(n++, 'x'.repeat(1000)));
    storage.before = (call) => {
      if (call.operation === 'datasync' && call.path === segment(2)) throw new Error('dead');
      return undefined;
    };
    await opened.write(accepted(n++, 'x'.repeat(1200))).catch(() => undefined);
    expect(opened.failures).to.have.length(1);
    await opened.journal.close();
    const image = storage.crash((sector) => sector > 0, true);
    image.put('/data/failed', undefined);
    expect(
      image
        .bytes(segment(2))
        .subarray(0, 512)
        .every((byte) => byte === 0),
    ).to.equal(true);
    expect(image.bytes(segment(2)).some((byte) => byte !== 0)).to.equal(true);
    const next = await Opened.on(image);
    expect(next.recovered).to.have.length(n - 1);
    expect(next.notes).to.include('journal-torn').and.not.to.include('journal-copied');
    await next.write(accepted(n - 1, 'y'.repeat(800)));
    expect(next.journal.size().begun).to.equal(2);
    await next.journal.close();
    const last = await Opened.on(image);
    expect(last.recovered).to.have.length(n);
    expect(last.notes).not.to.include('journal-torn');
    await last.journal.close();
  });

  it('relies on no name that an earlier life gave and a power failure could take back', async () => {
    const storage = await newDisk();
    storage.before = (call) => {
      if (
        call.operation === 'syncDirectory' &&
        call.path.endsWith('journal') &&
        storage.paths().includes(segment(2))
      ) {
        throw new Error('killed');
      }
      return undefined;
    };
    await (await Opened.on(storage)).journal.close();
    expect(storage.paths()).to.include(segment(2));
    storage.before = (call) => {
      if (call.operation === 'write' && call.path.endsWith('.new')) throw new Error('ENOSPC');
      return undefined;
    };
    const opened = await Opened.on(storage);
    let n = 0;
    while (opened.journal.size().begun < 2) await opened.write(accepted(n++));
    await opened.journal.close();
    expect(await recover(storage.crash(() => false, false))).to.have.length(n);
  });

  it('makes the journal durable before the identity that vouches for it', async () => {
    const storage = new MemoryStorage();
    await writeNewJournal(storage, DIRECTORY, IDENTITY, SEGMENT_BYTES);
    const steps = storage.calls.map(({ operation, path }) => `${operation} ${path}`);
    const order = [
      `sync ${segment(1)}.new`,
      `rename ${segment(1)}`,
      `syncDirectory ${DIRECTORY}/journal`,
      `syncDirectory ${DIRECTORY}`,
      `replace ${DIRECTORY}/identity.json`,
      `syncDirectory ${DIRECTORY}`,
    ];
    expect(steps.filter((step) => order.includes(step))).to.deep.equal(order);
  });

  it('flushes what an earlier life wrote and didn’t flush before it hands it out', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    await opened.write(accepted(0));
    /* The process is killed between write and flush: the system still has the bytes. */
    storage.before = (call) => {
      if (call.operation === 'datasync') throw new Error('killed');
      return undefined;
    };
    opened.journal.append(accepted(1));
    await opened.durableUpTo(2).catch(() => undefined);
    storage.put('/data/failed', undefined);
    storage.before = () => undefined;
    expect(await recover(storage)).to.deep.equal([accepted(0), accepted(1)]);
    const image = storage.crash(() => false, false);
    expect(await recover(image)).to.deep.equal([accepted(0), accepted(1)]);
  });

  it('prepares the next segment before it is needed', async () => {
    const storage = await newDisk();
    const opened = await Opened.on(storage);
    let n = 0;
    while (opened.journal.size().begun < 3) {
      await opened.write(accepted(n++));
      /* The change itself is one write and one flush: whatever it depends on is durable. */
      const image = storage.crash(() => false, false);
      expect((await recover(image)).length).to.equal(n);
    }
    await opened.journal.close();
    const sizes = storage.paths().filter((path) => path.endsWith('.log'));
    for (const path of sizes) expect(storage.bytes(path).length).to.equal(SEGMENT_BYTES);
  });
});
