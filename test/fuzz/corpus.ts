import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../support/process.js';

/** Cases that once failed, one folder per target, and the JSON texts of `json.txt`. */
export const CORPUS = `${PROJECT}test/fuzz/corpus`;

const EXAMPLES = `${PROJECT}schema/examples`;

/** One JSON text, with what a reader that follows RFC 8259 makes of it. */
export interface JsonCase {
  /** `y`: it is JSON. `n`: it isn't. `i`: it is, and readers may set limits to it. */
  readonly verdict: 'y' | 'n' | 'i';
  readonly name: string;
  readonly bytes: Buffer;
}

/** A JSON text of `json.txt`: `\xNN` is a byte, `\n`, `\r`, `\t` and `\\` are what they are elsewhere. */
function unescape(text: string): Buffer {
  const latin1 = Buffer.from(text, 'utf8')
    .toString('latin1')
    .replace(/\\(?:x([0-9a-f]{2})|([nrt\\]))/g, (_all, hex?: string, letter = '') =>
      hex === undefined
        ? ({ n: '\n', r: '\r', t: '\t', '\\': '\\' }[String(letter)] ?? '')
        : String.fromCharCode(parseInt(hex, 16)),
    );
  return Buffer.from(latin1, 'latin1');
}

/** The JSON texts, by the rules of RFC 8259 that they are about. */
export function jsonCases(): JsonCase[] {
  return readFileSync(join(CORPUS, 'json.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [verdict = '', name = '', ...text] = line.split('\t');
      if (!/^[yni]$/.test(verdict)) throw new Error(`json.txt: no verdict in "${line}"`);
      return { verdict: verdict as JsonCase['verdict'], name, bytes: unescape(text.join('\t')) };
    });
}

/** The cases of a target that failed once. */
export function storedCases(target: string): { name: string; bytes: Buffer }[] {
  const folder = join(CORPUS, target);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.sort().map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
}

/** Keeps a case that failed; the tests run it for ever. Returns its file. */
export function storeCase(target: string, bytes: Buffer, corpus = CORPUS): string {
  const name = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  const file = join(corpus, target, `${name}.bin`);
  mkdirSync(join(corpus, target), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}

/** The examples of the schemas, valid and invalid. */
export function exampleTexts(kinds: readonly ('valid' | 'invalid')[] = ['valid', 'invalid']): Buffer[] {
  return readdirSync(EXAMPLES).flatMap((type) =>
    kinds.flatMap((kind) => {
      const folder = join(EXAMPLES, type, kind);
      return readdirSync(folder).map((name) => {
        const text = readFileSync(join(folder, name), 'utf8');
        return Buffer.from(text.trim());
      });
    }),
  );
}

/** What cases for a target that reads messages are made from. */
export function seedsFor(target: string): Buffer[] {
  const embedded = jsonCases().map(({ bytes }) =>
    Buffer.concat([Buffer.from('{"type":7,"request":{"no":1,"value":'), bytes, Buffer.from('}}')]),
  );
  return [...exampleTexts(), ...embedded, ...storedCases(target).map(({ bytes }) => bytes)];
}
