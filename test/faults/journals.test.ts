import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { cp, mkdir, open, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { JournalRecord } from '../../src/core/record.js';
import { JournalError } from '../../src/index.js';
import { SECTOR_BYTES } from '../../src/journal/format.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { useClusters, useSharedCluster } from '../support/cluster-hooks.js';
import { endOf, lastSegment, overwrite, segments } from '../support/journal-files.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { agentsOf, fill, onCopy, recoverOn } from './support/real-journal.js';
import { moveToSmallDisk, whyNoMounts } from './support/small-disk.js';
import { spread } from './support/strace.js';

/** Small: a copy of it is made for every byte that is damaged. */
const SEGMENT_BYTES = 16 * 1024;
const REQUESTS = 25;

/** Bytes of the last record at which something is done to it. */
const MAX_BYTES = deep(24, Infinity);

/** Damaged bytes before the last record, one after the other. */
const DAMAGES = deep(60, 5_000);

const GARBAGE_BYTES = deep(64, 1024) * 1024 * 1024;
const GARBAGE_CHUNK_BYTES = 1024 * 1024;
const MANY_RECORDS = deep(100_000, 10_000_000);
/** For whatever such a journal is; beside it an entry's place in the files is kept. */
const MAX_RESIDENT_MIB = 350;
const BYTES_PER_ENTRY = 64;
/** Longer than the longest of these recoveries. */
const RECOVERY_TIMEOUT_MS = deep(60_000, 20 * 60_000);

const NO_MOUNTS = whyNoMounts();
const title = 'faults: journals';

describe(NO_MOUNTS === undefined ? title : `${title} (partly skipped: ${NO_MOUNTS})`, function () {
  this.timeout(FAULTS_TIMEOUT_MS);

  describe('of a member that was killed, while the two others go on', () => {
    const cluster = useSharedCluster(() => ({ nodes: 3, segment_bytes: SEGMENT_BYTES }));
    let node: TestNode;
    let saved: string;
    /** Of the time before its death, when it had fewer entries. */
    let older: string;
    let file: string;
    let records: JournalRecord[];
    /** Where the last record begins, and where it ends. */
    let last: { start: number; end: number };
    let requests = 0;

    const client = (): ReturnType<Cluster['client']> => cluster().client();

    before(async function () {
      this.timeout(FAULTS_TIMEOUT_MS);
      const { follower } = await cluster().roles();
      node = follower;
      for (let i = 0; i < REQUESTS; i++) await client().request(`before ${i}`);
      await cluster().settled();
      await node.kill();
      older = `${node.directory}.older`;
      await cp(node.directory, older, { recursive: true });
      await node.start();
      for (let i = 0; i < REQUESTS; i++) await client().request(`later ${i}`);
      await cluster().settled();
      await node.kill();
      saved = `${node.directory}.saved`;
      await cp(node.directory, saved, { recursive: true });
      file = await lastSegment(node);
      const end = await endOf(file);
      const start = (await readFile(file)).lastIndexOf('\n', end - 2) + 1;
      last = { start, end };
      records = await onCopy(node.directory, (copy) => recoverOn(copy, agentsOf(cluster())));
      expect(records.length).to.be.above(2 * REQUESTS);
    });

    /** The two others are there, and the directory is as it was. */
    afterEach(async function () {
      this.timeout(FAULTS_TIMEOUT_MS);
      if (node.running) await node.kill();
      const value = `request ${requests++}`;
      expect((await client().request(value)).value).to.equal(value);
      await rm(node.directory, { recursive: true, force: true });
      await cp(saved, node.directory, { recursive: true });
    });

    /** What recovery makes of the journal once `damage` was done to its last file. */
    function recovered(damage: (path: string) => Promise<void>): Promise<JournalRecord[] | JournalError> {
      return onCopy(node.directory, async (copy) => {
        await damage(join(copy, 'journal', basename(file)));
        return recoverOn(copy, agentsOf(cluster())).catch((error: unknown) => {
          if (error instanceof JournalError) return error;
          throw error;
        });
      });
    }

    /** Offsets of bytes of the last record: of some in the short form, of each in the deep one. */
    function bytesOfLast(): number[] {
      return spread(last.end - last.start, MAX_BYTES).map((n) => last.start + n - 1);
    }

    /** It boots, catches up, and has the same log as the others. */
    async function expectBack(): Promise<void> {
      await node.start();
      const count = await cluster().settled(cluster().nodes, 2 * REQUESTS);
      const [first, ...others] = await Promise.all(cluster().nodes.map((one) => cluster().log(one, count)));
      for (const log of others) expect(log).to.eql(first);
    }

    async function expectRefused(...words: readonly string[]): Promise<void> {
      const { code, text } = await node.refusal();
      expect(code, text).to.equal(1);
      for (const word of words) expect(text).to.contain(word);
    }

    it('row 35: the last record is cut at any byte: it is dropped, and nothing else', async () => {
      for (const end of bytesOfLast()) {
        const found = await recovered((path) => truncate(path, end));
        expect(found, `cut at ${end}`).to.eql(records.slice(0, -1));
      }
      await truncate(file, last.end - 2);
      await expectBack();
      expect(node.process.log('journal-torn')).to.have.length(1);
    });

    it('row 36: a bit is flipped at any byte of the last record: refused, with file and offset', async () => {
      const bytes = await readFile(file);
      for (const at of bytesOfLast()) {
        const flipped = Uint8Array.of(bytes[at]! ^ (1 << (at % 8)));
        const found = await recovered((path) => overwrite(path, at, flipped));
        expect(found, `flipped at ${at}`).to.be.instanceOf(JournalError);
        expect((found as JournalError).message)
          .to.contain(basename(file))
          .and.match(/offset \d+/);
      }
      await overwrite(file, last.start + 3, Uint8Array.of(bytes[last.start + 3]! ^ 1));
      await expectRefused(file, 'offset');
    });

    it('row 36: the last sector is zeroed: what a crash can leave is cut; the others still have it', async () => {
      const sector = Math.floor((last.end - 1) / SECTOR_BYTES) * SECTOR_BYTES;
      const found = await recovered((path) => overwrite(path, sector, new Uint8Array(SECTOR_BYTES)));
      if (!(found instanceof JournalError)) {
        expect(found.length).to.be.below(records.length);
        expect(found).to.eql(records.slice(0, found.length));
      } else
        expect(found.message)
          .to.contain(basename(file))
          .and.match(/offset \d+/);
      await overwrite(file, sector, new Uint8Array(SECTOR_BYTES));
      if (found instanceof JournalError) await expectRefused(file, 'offset');
      else await expectBack();
    });

    it(`row 37: damage at any of ${DAMAGES} bytes before the last group: refused, with file and offset`, async () => {
      const bytes = await readFile(file);
      const group = bytes.lastIndexOf(' group ', last.start) - 8;
      for (const at of spread(group, DAMAGES)) {
        const found = await recovered((path) =>
          overwrite(path, at - 1, Uint8Array.of(bytes[at - 1]! ^ 0x15)),
        );
        expect(found, `damage at ${at - 1}`).to.be.instanceOf(JournalError);
        expect((found as JournalError).message).to.contain(basename(file));
      }
      await overwrite(file, Math.floor(group / 2), 'damage');
      await expectRefused(file, 'offset');
    });

    it("row 38: another node's whole directory is refused while that one runs", async () => {
      const [other] = cluster().running;
      await rm(node.directory, { recursive: true });
      await cp(other!.directory, node.directory, { recursive: true });
      await expectRefused(other!.name);
    });

    it("row 38: another node's journal under its own identity is refused", async () => {
      const [other] = cluster().running;
      await rm(join(node.directory, 'journal'), { recursive: true });
      await cp(join(other!.directory, 'journal'), join(node.directory, 'journal'), { recursive: true });
      await expectRefused(node.directory, other!.name);
    });

    it('row 38: an old backup of its own can be told by nobody: with the two others intact nothing is lost', async () => {
      await rm(node.directory, { recursive: true });
      await cp(older, node.directory, { recursive: true });
      await expectBack();
    });

    it('row 38: emptied files of its journal are refused', async () => {
      for (const path of await segments(node)) await truncate(path, 0);
      await expectRefused(join(node.directory, 'journal'));
    });

    it('row 39: an empty directory in the place of its own is refused, and stays empty of any vote', async () => {
      await rm(node.directory, { recursive: true });
      await mkdir(node.directory);
      await expectRefused(node.directory, 'paxosd init');
    });

    it('row 40: zeros behind its end, however many, are taken; a file of NULs alone is refused', async () => {
      const { size } = await stat(file);
      await truncate(file, size + GARBAGE_BYTES);
      await expectBack();
      await node.kill();
      await rm(node.directory, { recursive: true });
      await cp(saved, node.directory, { recursive: true });
      await writeFile(file, new Uint8Array(SEGMENT_BYTES));
      await expectRefused(file);
    });

    it('row 40: much garbage behind its end is refused with the offset, in bounded memory', async () => {
      const chunk = Buffer.alloc(GARBAGE_CHUNK_BYTES, 'garbage ');
      const handle = await open(file, 'r+');
      for (let at = 0; at < GARBAGE_BYTES; at += chunk.length) {
        await handle.write(chunk, 0, chunk.length, last.end + at);
      }
      await handle.close();
      const program = node.launchUnder(['env', `NODE_OPTIONS=--max-old-space-size=64`]);
      expect((await program.over('its refusal', RECOVERY_TIMEOUT_MS)).code, program.stderr).to.equal(1);
      expect(program.stderr)
        .to.contain(file)
        .and.match(/offset \d+/);
    });

    it('row 41: directories, FIFOs and links in the place of the journal and of its files are refused', async () => {
      const journal = join(node.directory, 'journal');
      const fifo = (path: string): unknown => execFileSync('mkfifo', [path]);
      const linkToItself = (path: string): unknown => symlink(path, path);
      const linkToSaved = (path: string): unknown => symlink(path.replace(node.directory, saved), path);
      const identity = join(node.directory, 'identity.json');
      // A link in the place of the journal's directory may be where an operator keeps it.
      const cases: [string, string, (path: string) => unknown][] = [
        ['a FIFO', journal, fifo],
        ['a link to itself', journal, linkToItself],
        ['a link to its saved self', file, linkToSaved],
        ['a link to its saved self', identity, linkToSaved],
        ['a directory', identity, (path) => mkdir(path)],
      ];
      for (const [what, path, make] of cases) {
        await rename(path, `${path}.aside`);
        await make(path);
        const { code, text } = await node.refusal();
        expect(code, `${what} at ${path}: ${text}`).to.equal(1);
        expect(text, what).to.contain(path);
        await rm(path, { recursive: true });
        await rename(`${path}.aside`, path);
      }
      await expectBack();
    });
  });

  describe('on other disks', () => {
    const cluster = useClusters();
    const mounted = NO_MOUNTS === undefined ? it : it.skip;

    mounted(
      'row 41: a read-only file system is refused, and taken when it can be written again',
      async () => {
        const all = await cluster({ nodes: 3, segment_bytes: SEGMENT_BYTES });
        const { follower } = await all.roles();
        await all.client().request('before');
        await all.settled();
        await follower.kill();
        const disk = await moveToSmallDisk(all, follower, 1024);
        await disk.remount('ro');
        const program = follower.launchUnder(disk.prefix);
        expect((await program.over('its refusal')).code, program.stderr).to.equal(1);
        expect(program.stderr).to.contain('EROFS').and.contain(follower.directory);
        expect((await all.client().request('without it')).value).to.equal('without it');
        await disk.remount('rw');
        await follower.launchUnder(disk.prefix).logged('started');
        await all.settled(all.nodes, 2);
      },
    );

    it(`row 40: ${MANY_RECORDS} entries are recovered in bounded memory`, async () => {
      const all = await cluster({ nodes: 1, starting: [] });
      const [node] = all.nodes as [TestNode];
      await fill(all, node, MANY_RECORDS);
      await node.launch().until('its start', () => node.process.log('started')[0], RECOVERY_TIMEOUT_MS);
      const peak = await readFile(`/proc/${node.process.pid}/status`, 'latin1');
      const peak_mib = Number(/VmHWM:\s+(\d+) kB/.exec(peak)?.[1]) / 1024;
      expect(peak_mib).to.be.below(MAX_RESIDENT_MIB + (MANY_RECORDS * BYTES_PER_ENTRY) / 1024 / 1024);
      expect((await all.client().query(MANY_RECORDS - 1)).value).to.equal(`value ${MANY_RECORDS - 1}`);
      expect((await all.client().request('goes on')).value).to.equal('goes on');
    });
  });
});
