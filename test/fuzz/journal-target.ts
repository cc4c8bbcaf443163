import { newAgent, recover as fold } from '../../src/core/agent.js';
import { agentIndex, entry, round } from '../../src/core/ids.js';
import type { JournalRecord } from '../../src/core/record.js';
import { DEFAULT_TIMES } from '../../src/core/state.js';
import { JournalError } from '../../src/journal/journal-error.js';
import { markPath } from '../../src/journal/segment.js';
import type { MemoryStorage } from '../journal/memory-storage.js';
import { accepted, DIRECTORY, learnt, MEMBERS, newDisk, Opened, plainRecord } from '../journal/support.js';
import type { SeededRandom } from '../support/random.js';
import { storedCases } from './corpus.js';
import { applyEdit, drawEdit, type Edit } from './journal-edits.js';
import { Finding, type Outcome, type Target } from './target.js';

/** A journal that is written anew for each case, and what is done to its files. */
interface JournalCase {
  readonly base: number;
  readonly edits: readonly Edit[];
}

/** A disk as a node leaves it, and what its journal holds. */
interface Base {
  readonly storage: MemoryStorage;
  readonly records: readonly JournalRecord[];
}

/** Edits of one case, at most. */
const MAX_EDITS = 6;

const promised = (n: number): JournalRecord => ({
  ...{ verdict: 'promised', round: round(n), owner: agentIndex(0), entry: entry(0) },
});
const used = (n: number): JournalRecord => ({ verdict: 'used', round: round(n), entry: entry(0) });
const committed = (n: number): JournalRecord => ({ verdict: 'committed', committed: entry(n) });

/** Longer than a sector; three of them fill a segment. */
const LONG = 'x'.repeat(620);

const GROUPS: readonly (readonly (readonly JournalRecord[])[])[] = [
  [],
  [
    [promised(1), accepted(0)],
    [accepted(1), committed(1)],
    [accepted(2), accepted(3), committed(3)],
  ],
  [
    [used(1), promised(1)],
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => [accepted(n, `${LONG}${n}`), committed(n)]),
  ],
  [
    [promised(2)],
    [learnt(0), learnt(1)],
    [committed(2)],
    [accepted(2, '"\\\u0000\ud800 é', 2)],
    [used(4), promised(5)],
  ],
];

async function written(groups: readonly (readonly JournalRecord[])[]): Promise<MemoryStorage> {
  const storage = await newDisk();
  const opened = await Opened.on(storage);
  for (const group of groups) await opened.write(...group);
  await opened.journal.close();
  return storage;
}

async function makeBases(): Promise<Base[]> {
  const bases: Base[] = [];
  for (const groups of GROUPS) {
    const storage = await written(groups);
    bases.push({ storage, records: groups.flat() });
    const marked = storage.clone();
    marked.put(markPath(DIRECTORY), Buffer.from('a flush failed\n'));
    bases.push({ storage: marked, records: groups.flat() });
  }
  return bases;
}

let bases: Promise<Base[]> | undefined;

/** How many journals there are to begin with. */
const BASES = 2 * GROUPS.length;

function encode(one: JournalCase): Buffer {
  return Buffer.from(`${JSON.stringify(one)}\n`);
}

function decode(bytes: Buffer): JournalCase {
  return JSON.parse(bytes.toString('utf8')) as JournalCase;
}

/** What opening a journal comes to: its records, or the refusal. */
async function open(storage: MemoryStorage): Promise<JournalRecord[] | JournalError> {
  const agent = newAgent({ ...DEFAULT_TIMES, ...MEMBERS, has_app: false });
  const records: JournalRecord[] = [];
  try {
    const onRecord = (record: JournalRecord): void => {
      records.push(plainRecord(record));
      fold(agent, record);
    };
    const opened = await Opened.on(storage, { onRecord });
    await opened.journal.close();
    return records;
  } catch (error) {
    if (error instanceof JournalError) return error;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Finding('recovery fails with something else than a refusal', text);
  }
}

/** All files, as one text. */
function snapshot(storage: MemoryStorage): string {
  return storage
    .paths()
    .map((path) => `${path}\n${storage.bytes(path).toString('latin1')}`)
    .join('\n');
}

/** A refusal names the file, and the place in it if that is what is wrong. */
function checkRefusal({ code, file, offset, message }: JournalError): Outcome {
  const isNamed = file !== undefined && message.includes(file);
  const isPlaced = code !== 'corrupt' || offset === undefined || message.includes(`offset ${offset}`);
  const hasPlace = code !== 'corrupt' || offset !== undefined || !/\.log$/.test(file ?? '');
  if (!isNamed || !isPlaced || !hasPlace) throw new Finding('a refusal that does not say where', message);
  return {
    codes: [`refused: ${code}`],
    signature: message.replace(/[0-9a-f]+/g, '#').slice(0, 160),
    isTaken: false,
  };
}

function startsWith(records: readonly JournalRecord[], found: readonly JournalRecord[]): boolean {
  return JSON.stringify(records.slice(0, found.length)) === JSON.stringify(found);
}

async function run(bytes: Buffer): Promise<Outcome> {
  const { base, edits } = decode(bytes);
  bases ??= makeBases();
  const { storage: original, records } = (await bases)[base % BASES]!;
  const storage = original.clone();
  for (const edit of edits) applyEdit(storage, edit);
  const before = snapshot(storage);
  const once = await open(storage);
  if (once instanceof JournalError) {
    if (snapshot(storage) !== before) throw new Finding('a refused journal is changed', once.message);
    return checkRefusal(once);
  }
  const isForged = edits.some(({ op }) => op === 'forge');
  if (!isForged && !startsWith(records, once)) {
    throw new Finding('what is recovered was never written so', JSON.stringify(once));
  }
  const after = snapshot(storage);
  const twice = await open(storage);
  if (twice instanceof JournalError) throw new Finding('a journal is refused the second time', twice.message);
  const isSame = JSON.stringify(once) === JSON.stringify(twice) && snapshot(storage) === after;
  if (!isSame) throw new Finding('recovering twice is not recovering once', JSON.stringify({ once, twice }));
  const kept = isForged ? 'forged' : once.length === records.length ? 'whole' : 'cut';
  return { codes: [`booted: ${kept}`], signature: `booted ${base} ${kept} ${once.length}`, isTaken: true };
}

function mutate(one: Buffer, other: Buffer, random: SeededRandom): Buffer {
  const { base, edits } = decode(one);
  const kept = random.chance(0.5) ? edits.slice(0, random.below(edits.length + 1)) : [];
  const borrowed = random.chance(0.2) ? decode(other).edits.slice(0, 1) : [];
  const fresh = Array.from({ length: 1 + Math.floor(random.next() ** 2 * 3) }, () => drawEdit(random));
  const at = random.chance(0.3) ? random.below(BASES) : base;
  return encode({ base: at, edits: [...kept, ...borrowed, ...fresh].slice(-MAX_EDITS) });
}

/** Without an edit, or with smaller numbers in one. */
function* smaller(bytes: Buffer): Generator<Buffer> {
  const { base, edits } = decode(bytes);
  for (const [i, edit] of edits.entries()) {
    const others = (one?: Edit): Edit[] => edits.flatMap((each, k) => (k !== i ? [each] : one ? [one] : []));
    yield encode({ base, edits: others() });
    for (const [name, n] of Object.entries(edit)) {
      if (typeof n !== 'number' || n < 2) continue;
      for (const less of [Math.floor(n / 2), n - 1])
        yield encode({ base, edits: others({ ...edit, [name]: less }) });
    }
  }
}

/** What a node makes of its own data directory when it starts. */
export const journal: Target = {
  name: 'journal',
  weight: 0.4,
  seeds: [
    ...Array.from({ length: BASES }, (_, base) => encode({ base, edits: [] })),
    ...storedCases('journal').map(({ bytes }) => bytes),
  ],
  mutate,
  run,
  smaller,
};
