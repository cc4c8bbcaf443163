import { constants, close, fdatasync, fstat, fsync, open, read, write, writeSync } from 'node:fs';
import { lstat, mkdir, readdir, rename, unlink } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import writeFileAtomic from 'write-file-atomic';
import { describeError, hasCode, JournalError } from './journal-error.js';

/**
 * The file operations that the journal needs, so that tests can fail each of them and keep apart what is durable.
 * Everything rejects with the system's error.
 */
export interface Storage {
  /** Opens a regular file; refuses anything else in its place. `create`: makes it anew, and it must not exist. */
  open(path: string, mode: OpenMode): Promise<StorageFile>;
  /** Names of what is in a directory. */
  list(directory: string): Promise<string[]>;
  makeDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Replaces a small file as a whole; its bytes are durable then, its name once the directory is synced. */
  replace(path: string, text: string): Promise<void>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Lets others have the disk for a while; absent: nothing is ever held back for them. */
  rest?(ms: number): Promise<void>;
}

export type OpenMode = 'read' | 'write' | 'create';

export interface StorageFile {
  /** In bytes, when it was opened. */
  readonly size: number;
  /** Fills as much of `buffer` as there is from `offset` on; returns how many bytes. */
  read(buffer: Uint8Array, offset: number): Promise<number>;
  /** Writes at `offset`; returns how many bytes were taken. */
  write(buffer: Uint8Array, offset: number): Promise<number>;
  /**
   * Writes at `offset` within the caller's turn; returns how many bytes were taken, or throws. For a group of records:
   * the system's memory takes it in less time than handing it to another thread and back would cost.
   */
  writeNow(buffer: Uint8Array, offset: number): number;
  /** Makes the bytes durable, and what is needed to read them back. */
  datasync(): Promise<void>;
  /** Makes bytes and all metadata durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

const system = {
  open: promisify(open),
  fstat: promisify(fstat),
  read: promisify(read),
  write: promisify(write),
  fdatasync: promisify(fdatasync),
  fsync: promisify(fsync),
  close: promisify(close),
};

/** A symbolic link is refused, and a FIFO doesn't make the open wait for its other end. */
const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK;

const OPEN_FLAGS: Record<OpenMode, number> = {
  read: constants.O_RDONLY | SAFELY,
  write: constants.O_RDWR | SAFELY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | SAFELY,
};

/** What clients wrote is for the node's own user and group. */
const FILE_MODE = 0o640;

/** Refuses whatever isn't a regular file, or nothing, at `path`. */
export async function requireRegularFile(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (!stats || stats.isFile()) return;
  const kinds: [boolean, string][] = [
    [stats.isSymbolicLink(), 'a symbolic link'],
    [stats.isDirectory(), 'a directory'],
    [stats.isFIFO(), 'a FIFO'],
  ];
  const kind = kinds.find(([is]) => is)?.[1] ?? 'a device or socket';
  throw new JournalError(
    'not-a-file',
    `${path} is ${kind}, and should be a regular file. Put the file itself there.`,
    path,
  );
}

class DiskFile implements StorageFile {
  constructor(
    private readonly fd: number,
    readonly size: number,
  ) {}

  async read(buffer: Uint8Array, offset: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await system.read(this.fd, buffer, done, buffer.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(buffer: Uint8Array, offset: number): Promise<number> {
    const { bytesWritten } = await system.write(this.fd, buffer, 0, buffer.length, offset);
    return bytesWritten;
  }

  writeNow(buffer: Uint8Array, offset: number): number {
    return writeSync(this.fd, buffer, 0, buffer.length, offset);
  }

  datasync(): Promise<void> {
    return system.fdatasync(this.fd);
  }

  sync(): Promise<void> {
    return system.fsync(this.fd);
  }

  close(): Promise<void> {
    return system.close(this.fd);
  }
}

/** The real disk. */
export const disk: Storage = {
  async open(path, mode) {
    if (mode !== 'create') await requireRegularFile(path);
    const fd = await system.open(path, OPEN_FLAGS[mode], FILE_MODE);
    const { size } = await system.fstat(fd);
    return new DiskFile(fd, size);
  },
  list: (directory) => readdir(directory),
  async makeDirectory(path) {
    await mkdir(path);
  },
  rename,
  remove: unlink,
  async replace(path, text) {
    await requireRegularFile(path);
    await writeFileAtomic(path, text, { mode: FILE_MODE });
  },
  async syncDirectory(path) {
    const fd = await system.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await system.fsync(fd);
    } finally {
      await system.close(fd);
    }
  },
  rest: (ms) => setTimeout(ms),
};

/** Writes all of `bytes`, or throws: a short write is never made up for, as what it left can't be known. */
export async function writeWhole(file: StorageFile, bytes: Uint8Array, offset: number): Promise<void> {
  requireWhole(await file.write(bytes, offset), bytes);
}

/** As `writeWhole`, within the caller's turn. */
export function writeWholeNow(file: StorageFile, bytes: Uint8Array, offset: number): void {
  requireWhole(file.writeNow(bytes, offset), bytes);
}

function requireWhole(written: number, bytes: Uint8Array): void {
  if (written === bytes.length) return;
  throw new Error(`short write: ${written} of ${bytes.length} bytes were taken (is the disk full?)`);
}

/** Reads a small file as text; undefined if there is none. Refuses one larger than `max_bytes`. */
export async function readSmallFile(
  storage: Storage,
  path: string,
  max_bytes: number,
): Promise<string | undefined> {
  const file = await storage.open(path, 'read').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    if (error instanceof JournalError) throw error;
    throw unreadable(path, error);
  });
  if (!file) return undefined;
  try {
    const bytes = Buffer.alloc(Math.min(file.size, max_bytes + 1));
    const length = await file.read(bytes, 0).catch((error: unknown) => {
      throw unreadable(path, error);
    });
    if (length > max_bytes) {
      throw new JournalError('corrupt', `${path} is larger than the ${max_bytes} bytes it can have.`, path);
    }
    return bytes.toString('utf8', 0, length);
  } finally {
    await file.close();
  }
}

/** The system doesn't let us: its words, and where. */
export function unreadable(path: string, error: unknown): JournalError {
  const what = `${path} can't be read: ${describeError(error)}. Check the disk, the path and the permissions.`;
  return new JournalError('unreadable', what, path);
}
