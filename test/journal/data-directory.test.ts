import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { expect } from 'chai';
import type { Address } from '../../src/core/address.js';
import { entry } from '../../src/core/ids.js';
import type { JournalRecord } from '../../src/core/record.js';
import { encodeIdentity, initialise, membersOf, readIdentity } from '../../src/journal/identity.js';
import { openJournal, type Journal } from '../../src/journal/journal.js';
import { lockDirectory } from '../../src/journal/lock.js';
import { identityPath, journalPath, lockPath, segmentPath } from '../../src/journal/segment.js';
import { accepted, AGENTS, IDENTITY, refusal, SELF } from './support.js';

const SMALL = 4096;

let base = '';
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'paxosd-journal-'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

const member = async (): Promise<string> => {
  const directory = join(base, 'data');
  await initialise(directory, { self: SELF, agents: AGENTS, segment_bytes: SMALL });
  return directory;
};

const silent = (): void => undefined;

function open(directory: string, agents = AGENTS, recovered: JournalRecord[] = []): Promise<Journal> {
  const onRecord = (record: JournalRecord): void => void recovered.push(record);
  const events = { onRecord, onDurable: silent, onFailure: silent, log: silent };
  return openJournal({ directory, agents, segment_bytes: SMALL, ...events });
}

describe('a member’s data directory (spec.md, "Durability")', () => {
  it('is made with all that a start needs, parents included', async () => {
    const directory = join(base, 'a', 'b', 'data');
    const agents = [...AGENTS].reverse();
    await initialise(directory, { self: SELF, agents });
    const identity = await readIdentity(directory);
    expect(identity).to.deep.include({ self: SELF, agents: AGENTS });
    expect(identity.journal).to.match(/^[0-9a-f]{32}$/);
    expect(membersOf(identity).self).to.equal(1);
    const journal = await open(directory, agents);
    journal.append(accepted(0));
    await journal.close();
    const recovered: JournalRecord[] = [];
    const again = await open(directory, agents, recovered);
    expect(recovered).to.deep.equal([accepted(0)]);
    expect((await again.read(entry(0))).entry).to.equal(0);
    await again.close();
  });

  it('draws another journal id for every one', async () => {
    const first = await readIdentity(await member());
    await initialise(join(base, 'other'), { self: SELF, agents: AGENTS, segment_bytes: SMALL });
    expect((await readIdentity(join(base, 'other'))).journal).not.to.equal(first.journal);
  });

  it('is never made where anything is', async () => {
    const directory = await member();
    const before = await readFile(identityPath(directory), 'utf8');
    const again = await refusal(initialise(directory, { self: SELF, agents: AGENTS }));
    expect(again.code).to.equal('not-empty');
    expect(again.message).to.include('identity.json, journal').and.to.include('paxosd start');
    expect(await readFile(identityPath(directory), 'utf8')).to.equal(before);
    const full = join(base, 'full');
    await mkdir(full);
    for (let n = 0; n < 8; n++) await writeFile(join(full, `file${n}`), '');
    const other = await refusal(initialise(full, { self: SELF, agents: AGENTS }));
    expect(other.message)
      .to.include('file0, file1, file2, file3, file4, …')
      .and.to.include('empty directory');
    const file = await refusal(initialise(join(full, 'file0'), { self: SELF, agents: AGENTS }));
    expect(file.code).to.equal('not-a-file');
  });

  it('is made in an empty directory, and on a new file system', async () => {
    const directory = join(base, 'disk');
    await mkdir(join(directory, 'lost+found'), { recursive: true });
    await initialise(directory, { self: SELF, agents: AGENTS, segment_bytes: SMALL });
    await (await open(directory)).close();
  });

  it('isn’t made for a cluster that can’t be', async () => {
    const rejects = async (self: Address, agents: readonly Address[], text: string): Promise<void> => {
      const error = await initialise(join(base, 'x'), { self, agents }).catch((why: unknown) => why as Error);
      expect(error?.message).to.include(text);
    };
    await rejects({ address: '9.9.9.9', port: '1' }, AGENTS, 'not among the agents');
    await rejects(SELF, [...AGENTS, AGENTS[0]!], 'named twice');
    const many = Array.from({ length: 32 }, (_, n) => ({ address: '127.0.0.1', port: String(7000 + n) }));
    await rejects(SELF, many, 'at most 31');
  });

  it('is refused without an identity, and never taken for one that hasn’t voted', async () => {
    for (const directory of [base, join(base, 'nowhere')]) {
      const error = await refusal(open(directory));
      expect(error).to.include({ code: 'missing', file: identityPath(directory) });
      expect(error.message).to.include('paxosd init').and.to.include('must not vote');
    }
    const directory = await member();
    await rm(journalPath(directory), { recursive: true });
    expect((await refusal(open(directory))).message).to.match(/journal is missing/);
    await mkdir(journalPath(directory));
    expect((await refusal(open(directory))).message).to.match(/holds no segment/);
  });

  it('is refused if its identity has any byte changed, or is cut', async () => {
    const directory = await member();
    const path = identityPath(directory);
    const text = await readFile(path);
    for (let at = 0; at < text.length - 1; at++) {
      const changed = Buffer.from(text);
      changed[at]! ^= 1;
      await writeFile(path, changed);
      const error = await readIdentity(directory).catch((why: unknown) => why as Error);
      /* A blank that becomes another blank changes nothing. */
      if (error instanceof Error) expect(error.message).to.match(/is damaged|is of another release/);
      else expect(String.fromCharCode(text[at]!)).to.match(/\s/);
    }
    for (const cut of [
      Buffer.alloc(0),
      Buffer.alloc(200),
      text.subarray(0, 100),
      Buffer.from('[]'),
      Buffer.from('7'),
    ]) {
      await writeFile(path, cut);
      expect(await refusal(readIdentity(directory))).to.include({ code: 'corrupt', file: path });
    }
    await writeFile(path, Buffer.alloc(1024 * 1024));
    expect((await refusal(readIdentity(directory))).message).to.include('larger than');
  });

  it('is refused if another release with other constants made it', async () => {
    const directory = await member();
    const { crc32 } = await import('node:zlib');
    const rewrite = async (change: (body: Record<string, unknown>) => void): Promise<string> => {
      const { checksum, ...body } = JSON.parse(encodeIdentity(IDENTITY)) as Record<string, unknown>;
      expect(checksum).to.equal(crc32(JSON.stringify(body)).toString(16).padStart(8, '0'));
      change(body);
      const sum = crc32(JSON.stringify(body)).toString(16).padStart(8, '0');
      await writeFile(identityPath(directory), JSON.stringify({ ...body, checksum: sum }));
      return (await refusal(readIdentity(directory))).message;
    };
    const constants = (JSON.parse(encodeIdentity(IDENTITY)) as { constants: Record<string, number> })
      .constants;
    expect(Object.keys(constants)).to.have.members([
      'ACCEPT_WINDOW_ENTRIES',
      'MAX_VALUE_COST',
      'MAX_SESSIONS',
      'MAX_NUMBERS_PER_SESSION',
    ]);
    for (const name of Object.keys(constants)) {
      const message = await rewrite((body) => (body['constants'] = { ...constants, [name]: 7 }));
      expect(message).to.include(`its ${name} is 7`).and.to.include('another release');
    }
    expect(await rewrite((body) => delete body['constants'])).to.include('is undefined');
    expect(await rewrite((body) => (body['version'] = 2))).to.include('of format 2');
    expect(await rewrite((body) => (body['agents'] = ['x']))).to.include('make no sense');
    expect(await rewrite((body) => (body['self'] = '1.2.3.4:5'))).to.include('make no sense');
    expect(await rewrite((body) => delete body['journal'])).to.include('names no journal');
  });

  it('is refused for another cluster', async () => {
    const directory = await member();
    for (const agents of [
      AGENTS.slice(0, 2),
      [...AGENTS.slice(0, 2), { address: '127.0.0.1', port: '7004' }],
    ]) {
      const error = await refusal(open(directory, agents));
      expect(error).to.include({ code: 'foreign', file: identityPath(directory) });
      expect(error.message).to.include('127.0.0.1:7001, 127.0.0.1:7002, 127.0.0.1:7003');
    }
  });

  it('is refused where a file is a link, a FIFO or a directory', async () => {
    const makers: [string, (path: string) => Promise<unknown>][] = [
      ['a symbolic link', (path) => symlink('/dev/null', path)],
      ['a FIFO', (path) => promisify(execFile)('mkfifo', [path])],
      ['a directory', (path) => mkdir(path)],
    ];
    for (const [kind, make] of makers) {
      const directory = join(base, kind.replaceAll(' ', '-'));
      await initialise(directory, { self: SELF, agents: AGENTS, segment_bytes: SMALL });
      const replace = async (path: string, use: () => Promise<unknown>): Promise<void> => {
        const text = await readFile(path).catch(() => undefined);
        await rm(path, { force: true });
        await make(path);
        const error = await refusal(use());
        expect(error).to.include({ code: 'not-a-file', file: path });
        expect(error.message).to.include(kind);
        await rm(path, { recursive: true });
        if (text) await writeFile(path, text);
      };
      await replace(identityPath(directory), () => open(directory));
      await replace(segmentPath(directory, 1), () => open(directory));
      await replace(lockPath(directory), () => lockDirectory(directory));
      await (await open(directory)).close();
    }
  });

  it('is refused if its only segment was emptied', async () => {
    const directory = await member();
    await truncate(segmentPath(directory, 1), 0);
    expect(await refusal(open(directory))).to.include({ code: 'corrupt', file: segmentPath(directory, 1) });
  });
});

describe('the lock of a data directory (spec.md, "Durability")', () => {
  it('is refused to a second holder, which is told who has it, and free again when released', async () => {
    const directory = await member();
    const lock = await lockDirectory(directory);
    const error = await refusal(lockDirectory(directory));
    expect(error).to.include({ code: 'in-use', file: lockPath(directory) });
    expect(error.message).to.include(`in use by process ${process.pid}`);
    await lock.release();
    await (await lockDirectory(directory)).release();
  });

  it('is held by another process until that one dies, however it dies', async () => {
    const directory = await member();
    const module = new URL('../../src/journal/lock.ts', import.meta.url).href;
    const script = `
      const { lockDirectory } = await import(${JSON.stringify(module)});
      await lockDirectory(${JSON.stringify(directory)});
      console.log('locked');
      process.stdin.resume();
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    try {
      await once(child.stdout, 'data');
      const error = await refusal(lockDirectory(directory));
      expect(error.message).to.include(`in use by process ${String(child.pid)}`);
    } finally {
      child.kill('SIGKILL');
    }
    await exited;
    await (await lockDirectory(directory)).release();
  });

  it('says so when nobody’s name is in the file', async () => {
    const directory = await member();
    const lock = await lockDirectory(directory);
    await truncate(lockPath(directory), 0);
    expect((await refusal(lockDirectory(directory))).message).to.include('in use by another process');
    await lock.release();
  });

  it('needs a directory', async () => {
    const error = await refusal(lockDirectory(join(base, 'nowhere')));
    expect(error.message).to.include("doesn't exist").and.to.include('paxosd init');
  });
});
