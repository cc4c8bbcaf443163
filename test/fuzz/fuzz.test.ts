import { expect } from 'chai';
import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { anyMessage } from '../wire/arbitraries.js';
import { encodeMessage } from '../../src/wire/codec.js';
import { storedCases } from './corpus.js';
import { fuzz, isFlat, type Report } from './fuzzer.js';
import { mutateBytes, smallerBytes } from './mutate.js';
import { checkText } from './oracle.js';
import { Finding, type Target } from './target.js';
import { TARGETS } from './targets.js';
import { SeededRandom } from '../support/random.js';

/** Cases that the tests run: some seconds. `npm run fuzz` runs as many as one likes. */
const CASES = 6_000;

/** Longer than they take on a busy machine. */
const TIMEOUT_MS = 120_000;

const SEED = Number(process.env['SEED'] ?? 1);

/** A reader with a mistake: it can't bear a certain pair of bytes. */
const MISTAKEN: Target = {
  name: 'mistaken',
  weight: 1,
  seeds: [Buffer.from('{"type":11,"request":{"id":7}}')],
  mutate: mutateBytes,
  smaller: smallerBytes,
  run(bytes) {
    if (bytes.includes('7}}}')) throw new Finding('three braces', bytes.toString());
    return { codes: ['taken'], signature: String(bytes.length % 50), isTaken: true };
  },
};

function samples(...rss_mib: readonly number[]): Report['samples'] {
  return rss_mib.map((mib, cases) => ({
    cases,
    rss_bytes: mib * 1024 * 1024,
    heap_bytes: 0,
    descriptors: 20,
  }));
}

describe(`fuzz: mutated bytes (rows 65 to 73; SEED=${SEED})`, function () {
  this.timeout(TIMEOUT_MS);

  for (const target of TARGETS) {
    const stored = storedCases(target.name);
    for (const { name, bytes } of stored) {
      it(`${target.name}: ${name}, which failed once`, async () => {
        await target.run(bytes);
      });
    }

    it(`${target.name}: what cases are made from is in order`, async () => {
      for (const seed of target.seeds) await target.run(seed);
    });
  }

  it('all of them take or refuse whatever comes', async () => {
    const report = await fuzz(TARGETS, { cases: CASES, seed: SEED });
    expect(report.failure, report.failure?.file).to.equal(undefined);
    const codes = [...report.codes.keys()];
    expect(codes).to.include.members([
      ...['datagram: accepted', 'datagram: malformed', 'datagram: not valid UTF-8'],
      ...['stream: accepted', 'stream: malformed', 'journal: booted: whole', 'journal: refused: corrupt'],
    ]);
  });

  it('the same seed makes the same cases', async () => {
    const wire = TARGETS.filter(({ name }) => name === 'datagram' || name === 'stream');
    const runs = [];
    for (const seed of [7, 7, 8]) runs.push((await fuzz(wire, { cases: 500, seed })).codes);
    expect([...runs[0]!]).to.deep.equal([...runs[1]!]);
    expect([...runs[0]!]).to.not.deep.equal([...runs[2]!]);
  });

  it('a mistake is found, made small, and kept', async () => {
    const corpus = mkdtempSync(join(tmpdir(), 'paxosd-corpus-'));
    try {
      const { failure } = await fuzz([MISTAKEN], { cases: 100_000, seed: SEED, corpus });
      expect(failure).to.include({ target: 'mistaken', kind: 'three braces' });
      expect(readFileSync(failure!.file, 'utf8')).to.equal('7}}}');
    } finally {
      rmSync(corpus, { recursive: true });
    }
  });

  it('memory that grows is noticed', () => {
    const report = { kept: 0, cases: 4, took_ms: 1, codes: new Map(), failure: undefined };
    expect(isFlat({ ...report, samples: samples(100, 120, 125, 118, 122) })).to.equal(true);
    expect(isFlat({ ...report, samples: samples(100, 120, 160, 200, 240) })).to.equal(false);
    const [first, ...rest] = samples(100, 120, 120, 120);
    const leaking = [first!, ...rest.map((one, i) => ({ ...one, descriptors: 20 + i }))];
    expect(isFlat({ ...report, samples: leaking })).to.equal(false);
  });

  it('any message survives any mutation, or is refused', () => {
    fc.assert(
      fc.property(anyMessage, anyMessage, fc.nat(), (one, other, seed) => {
        const [bytes, others] = [one, other].map((message) =>
          Buffer.from(encodeMessage(message, { address: '10.0.0.1', port: '7001' })),
        );
        const mutated = mutateBytes(bytes!, others!, new SeededRandom(seed));
        for (const text of mutated.toString('utf8').split('\n')) checkText(text);
      }),
      { numRuns: 2_000, seed: SEED },
    );
  });
});
