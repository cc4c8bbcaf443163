import { GroupBuilder } from '../../src/journal/format.js';
import type { MemoryStorage } from '../journal/memory-storage.js';
import { SeededRandom } from '../support/random.js';
import { mutateBytes } from './mutate.js';

/**
 * Something that is done to the files of a journal. `file` is counted among the paths, `at` is a place in the file;
 * both are taken modulo what there is, so that every number means something.
 */
export type Edit =
  | { readonly op: 'flip'; readonly file: number; readonly at: number; readonly bit: number }
  | { readonly op: 'put'; readonly file: number; readonly at: number; readonly text: string }
  | { readonly op: 'insert'; readonly file: number; readonly at: number; readonly text: string }
  | { readonly op: 'zero'; readonly file: number; readonly at: number; readonly length: number }
  | { readonly op: 'remove'; readonly file: number; readonly at: number; readonly length: number }
  | { readonly op: 'cut'; readonly file: number; readonly at: number }
  | { readonly op: 'grow'; readonly file: number; readonly length: number; readonly byte: number }
  | {
      readonly op: 'copy';
      readonly file: number;
      readonly at: number;
      readonly from: number;
      readonly from_at: number;
      readonly length: number;
    }
  | { readonly op: 'swap'; readonly file: number; readonly from: number }
  | { readonly op: 'lose'; readonly file: number }
  /** The text of one record becomes another, and all checksums are right again. */
  | { readonly op: 'forge'; readonly file: number; readonly at: number; readonly seed: number };

const OPS = [
  'flip',
  'put',
  'insert',
  'zero',
  'remove',
  'cut',
  'grow',
  'copy',
  'swap',
  'lose',
  'forge',
] as const;

/** Places and lengths that sectors and segments make likely to matter. */
const LENGTHS = [1, 2, 8, 9, 10, 47, 56, 100, 511, 512, 513, 1024, 2048];

const MAX_AT = 4_096;
const MAX_FILES = 16;

/** Bytes that stand where they have a meaning. */
const TEXTS = ['\n', ' ', '0', '\0', 'group ', 'f'.repeat(8), 'accepted {}', '\0'.repeat(64), '}', 'é'];

export function drawEdit(random: SeededRandom): Edit {
  const [file, from] = [random.below(MAX_FILES), random.below(MAX_FILES)];
  const [at, from_at] = [random.below(MAX_AT), random.below(MAX_AT)];
  const length = random.pick(LENGTHS);
  const op = random.pick(OPS);
  switch (op) {
    case 'flip':
      return { op, file, at, bit: random.below(8) };
    case 'put':
    case 'insert':
      return { op, file, at, text: random.pick(TEXTS) };
    case 'zero':
    case 'remove':
      return { op, file, at, length };
    case 'cut':
      return { op, file, at };
    case 'grow':
      return { op, file, length, byte: random.chance(0.5) ? 0 : random.below(256) };
    case 'copy':
      return { op, file, at, from, from_at, length };
    case 'swap':
      return { op, file, from };
    case 'lose':
      return { op, file };
    case 'forge':
      return { op, file, at, seed: random.below(2 ** 31) };
  }
}

export function applyEdit(storage: MemoryStorage, edit: Edit): void {
  const paths = storage.paths();
  const path = paths[edit.file % Math.max(1, paths.length)];
  if (path === undefined) return;
  const bytes = Buffer.from(storage.bytes(path));
  const other = 'from' in edit ? paths[edit.from % paths.length]! : path;
  if (edit.op === 'swap') {
    storage.put(path, Buffer.from(storage.bytes(other)));
    storage.put(other, bytes);
  } else storage.put(path, edited(edit, bytes, storage.bytes(other)));
}

function edited(edit: Exclude<Edit, { op: 'swap' }>, bytes: Buffer, other: Buffer): Buffer | undefined {
  const at = 'at' in edit ? edit.at % (bytes.length + 1) : 0;
  switch (edit.op) {
    case 'flip':
      if (at < bytes.length) bytes[at] = bytes[at]! ^ (1 << edit.bit);
      return bytes;
    case 'put':
      bytes.write(edit.text, at);
      return bytes;
    case 'insert':
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(edit.text), bytes.subarray(at)]);
    case 'zero':
      return bytes.fill(0, at, Math.min(bytes.length, at + edit.length));
    case 'remove':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + edit.length))]);
    case 'cut':
      return Buffer.from(bytes.subarray(0, at));
    case 'grow':
      return Buffer.concat([bytes, Buffer.alloc(edit.length, edit.byte)]);
    case 'copy':
      other.copy(
        bytes,
        at,
        edit.from_at % (other.length + 1),
        (edit.from_at % (other.length + 1)) + edit.length,
      );
      return bytes;
    case 'lose':
      return undefined;
    case 'forge':
      return forged(bytes, edit.at, edit.seed);
  }
}

const LINE = /^[0-9a-f]{8} (.*)$/su;
const GROUP = /^group (\d{15}) \d{8} \d{6}$/;

/** The bytes of a segment in which the text of its record number `which` is mutated; as they were if there is none. */
function forged(bytes: Buffer, which: number, seed: number): Buffer {
  const text = bytes.toString('utf8').replace(/\0+$/, '');
  const [header = '', ...lines] = text.split('\n');
  const records = lines.filter((line) => LINE.test(line) && !GROUP.test(line.slice(9)));
  const chosen = records[which % Math.max(1, records.length)];
  if (chosen === undefined || !text.startsWith(header)) return bytes;
  const random = new SeededRandom(seed);
  const original = Buffer.from(chosen.slice(9));
  const mutated = mutateBytes(original, Buffer.from(random.pick(records).slice(9)), random);
  const put = mutated
    .toString('utf8')
    .replace(/[\n\0]/g, '')
    .slice(0, MAX_AT);
  return rebuilt(header, lines, chosen, put, bytes.length);
}

function rebuilt(
  header: string,
  lines: readonly string[],
  chosen: string,
  put: string,
  length: number,
): Buffer {
  const parts = [Buffer.from(`${header}\n`)];
  let group: GroupBuilder | undefined;
  let sequence = 0;
  const finish = (): void => {
    if (group !== undefined && group.records > 0) parts.push(Buffer.from(group.finish(sequence)));
  };
  for (const line of lines) {
    const text = LINE.exec(line)?.[1];
    if (text === undefined) continue;
    const begins = GROUP.exec(text)?.[1];
    if (begins !== undefined) {
      finish();
      [group, sequence] = [new GroupBuilder(), Number(begins)];
    } else {
      const said = line === chosen ? put : text;
      group?.append(said);
    }
  }
  finish();
  const whole = Buffer.concat(parts);
  return Buffer.concat([whole, Buffer.alloc(Math.max(0, length - whole.length))]);
}
