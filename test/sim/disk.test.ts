import { expect } from 'chai';
import { DiskFile } from '../../src/sim/disk-file.js';

const SECTOR_BYTES = 512;

/** A file of three sectors of `a`, flushed, over which two sectors of `b` were written. */
function overwritten(): DiskFile {
  const file = new DiskFile();
  file.write(Buffer.alloc(3 * SECTOR_BYTES, 'a'), 0);
  file.beginFlush();
  file.finishFlush();
  file.write(Buffer.alloc(2 * SECTOR_BYTES, 'b'), SECTOR_BYTES);
  return file;
}

/** The bytes in words: which letter how often, in their order. */
function shown(file: DiskFile): string {
  const runs = file.bytes.toString('latin1').match(/(.)\1*/gs) ?? [];
  return runs.map((run) => `${run.length}${run.startsWith('\0') ? '0' : (run[0] ?? '')}`).join(' ');
}

describe('a simulated file', () => {
  it('keeps what was flushed when the power fails, and any part of the rest', () => {
    const none = overwritten();
    none.losePower(() => 0);
    expect(shown(none)).to.equal('1536a');
    const second = overwritten();
    expect(second.uncertain).to.deep.equal([1, 2]);
    second.losePower((sector) => (sector === 2 ? 100 : 0));
    expect(shown(second)).to.equal('1024a 100b 412a');
    const flushed = overwritten();
    flushed.beginFlush();
    flushed.finishFlush();
    flushed.losePower(() => 0);
    expect(shown(flushed)).to.equal('512a 1024b');
  });

  it('shows everything after a kill, and may lose it later', () => {
    const file = overwritten();
    file.beginFlush();
    file.abandonFlush();
    expect(shown(file)).to.equal('512a 1024b');
    file.losePower(() => 0);
    expect(shown(file)).to.equal('1536a');
  });

  it('never writes what a failed flush has dropped, unless it is written anew', () => {
    const file = overwritten();
    file.beginFlush();
    file.failFlush();
    file.beginFlush();
    file.finishFlush();
    expect(shown(file)).to.equal('512a 1024b');
    file.write(Buffer.alloc(SECTOR_BYTES, 'c'), 2 * SECTOR_BYTES);
    file.beginFlush();
    file.finishFlush();
    file.losePower(() => SECTOR_BYTES);
    expect(shown(file)).to.equal('1024a 512c');
  });

  it('has zeros where a new file was never flushed', () => {
    const file = new DiskFile();
    file.write(Buffer.alloc(SECTOR_BYTES + 10, 'a'), 0);
    expect(file.uncertain).to.deep.equal([0, 1]);
    file.losePower((sector) => (sector === 0 ? SECTOR_BYTES : 0));
    expect(shown(file)).to.equal('512a 100');
  });
});
