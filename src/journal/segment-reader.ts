import { isZero } from './format.js';
import { hasCode, JournalError, RESTORE_ADVICE } from './journal-error.js';
import { unreadable, type Storage, type StorageFile } from './storage.js';

/** Bytes read at a time, so that small groups share a read. */
const WINDOW_BYTES = 256 * 1024;

/** Reads a segment through one window of bounded size. */
export class SegmentReader {
  private window: Buffer = Buffer.alloc(0);
  private window_at = 0;

  private constructor(
    readonly path: string,
    private readonly file: StorageFile,
  ) {}

  static async open(storage: Storage, path: string): Promise<SegmentReader> {
    const file = await storage.open(path, 'read').catch((error: unknown) => {
      if (error instanceof JournalError) throw error;
      if (!hasCode(error, 'ENOENT')) throw unreadable(path, error);
      throw new JournalError('missing', `${path} is missing. ${RESTORE_ADVICE}`, path);
    });
    return new SegmentReader(path, file);
  }

  get size(): number {
    return this.file.size;
  }

  /** The bytes from `offset` on, `length` of them or as many as the file has. */
  async view(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.size);
    if (end <= offset) return Buffer.alloc(0);
    if (offset < this.window_at || end > this.window_at + this.window.length) {
      this.window = await this.read(offset, Math.min(Math.max(length, WINDOW_BYTES), this.size - offset));
      this.window_at = offset;
    }
    return this.window.subarray(offset - this.window_at, Math.max(0, end - this.window_at));
  }

  /**
   * Whether the file no longer holds what `view` showed of this stretch: the node that owns the journal is writing
   * while it is being read. What is viewed next is read afresh.
   */
  async changed(offset: number, length: number): Promise<boolean> {
    const before = Buffer.from(await this.view(offset, length));
    this.window = Buffer.alloc(0);
    this.window_at = 0;
    return !before.equals(await this.view(offset, length));
  }

  /** The offset of the first byte from `offset` on that isn't zero; undefined if there is none. */
  async firstNonZero(offset: number): Promise<number | undefined> {
    for (let at = offset; at < this.size; at += WINDOW_BYTES) {
      const bytes = await this.read(at, Math.min(WINDOW_BYTES, this.size - at));
      if (!isZero(bytes)) return at + bytes.findIndex((byte) => byte !== 0);
    }
    return undefined;
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    const count = await this.file.read(bytes, offset).catch((error: unknown) => {
      throw unreadable(`${this.path}, offset ${offset},`, error);
    });
    return bytes.subarray(0, count);
  }
}
