import { dirname } from 'node:path';
import type { OpenMode, Storage, StorageFile } from '../../src/journal/storage.js';

/** One file operation, before it is carried out. */
export interface Call {
  readonly operation:
    | 'open'
    | 'list'
    | 'makeDirectory'
    | 'rename'
    | 'remove'
    | 'replace'
    | 'syncDirectory'
    | 'read'
    | 'write'
    | 'datasync'
    | 'sync';
  readonly path: string;
  readonly length: number;
}

interface Inode {
  current: Buffer;
  durable: Buffer;
  /** Sectors that the next sync will write. */
  dirty: Set<number>;
}

const SECTOR_BYTES = 512;

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** Puts as many of `bytes` as are taken into a file, not durable yet. */
function put(inode: Inode, bytes: Buffer, offset: number, length = bytes.length): number {
  const end = offset + length;
  if (end > inode.current.length) {
    inode.current = Buffer.concat([inode.current, Buffer.alloc(end - inode.current.length)]);
  }
  bytes.copy(inode.current, offset, 0, length);
  for (let at = offset - (offset % SECTOR_BYTES); at < end; at += SECTOR_BYTES) inode.dirty.add(at);
  return length;
}

/**
 * A disk in memory that keeps apart what programs see and what a crash would leave: bytes become durable by a sync of
 * their file, names by a sync of their directory. As on Linux, a sync that fails leaves the bytes readable and takes
 * them for written, so that no later sync brings them to the disk.
 */
export class MemoryStorage implements Storage {
  /** Called before each operation: throws to fail it, waits to delay it; a number cuts a write short. */
  before: (call: Call) => Promise<number | undefined> | number | undefined = () => undefined;
  calls: Call[] = [];
  private names = new Map<string, Inode>();
  private durable_names = new Map<string, Inode>();
  private directories = new Set<string>();

  async open(path: string, mode: OpenMode): Promise<StorageFile> {
    await this.call('open', path);
    let inode = this.names.get(path);
    if (mode === 'create') {
      if (inode) throw systemError('EEXIST', path);
      inode = { current: Buffer.alloc(0), durable: Buffer.alloc(0), dirty: new Set() };
      this.names.set(path, inode);
    }
    if (!inode) throw systemError('ENOENT', path);
    return this.file(path, inode);
  }

  async list(directory: string): Promise<string[]> {
    await this.call('list', directory);
    if (!this.directories.has(directory)) throw systemError('ENOENT', directory);
    return this.namesIn(this.names, directory).map((path) => path.slice(directory.length + 1));
  }

  async makeDirectory(path: string): Promise<void> {
    await this.call('makeDirectory', path);
    this.directories.add(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.call('rename', to);
    const inode = this.names.get(from);
    if (!inode) throw systemError('ENOENT', from);
    this.names.delete(from);
    this.names.set(to, inode);
  }

  async remove(path: string): Promise<void> {
    await this.call('remove', path);
    if (!this.names.delete(path)) throw systemError('ENOENT', path);
  }

  async replace(path: string, text: string): Promise<void> {
    await this.call('replace', path);
    this.names.set(path, { current: Buffer.from(text), durable: Buffer.from(text), dirty: new Set() });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.call('syncDirectory', path);
    for (const name of this.namesIn(this.durable_names, path)) this.durable_names.delete(name);
    for (const name of this.namesIn(this.names, path)) this.durable_names.set(name, this.names.get(name)!);
  }

  /** The bytes of a file as programs see them, to be looked at or damaged. */
  bytes(path: string): Buffer {
    const inode = this.names.get(path);
    if (!inode) throw systemError('ENOENT', path);
    return inode.current;
  }

  /** Puts a file there, durably; `undefined` takes it away. */
  put(path: string, bytes: Buffer | undefined): void {
    if (bytes) {
      const inode = { current: Buffer.from(bytes), durable: Buffer.from(bytes), dirty: new Set<number>() };
      this.names.set(path, inode);
      this.durable_names.set(path, inode);
    } else {
      this.names.delete(path);
      this.durable_names.delete(path);
    }
  }

  paths(): string[] {
    return [...this.names.keys()].sort();
  }

  /** A second disk with the same files, all of them durable. */
  clone(): MemoryStorage {
    return this.copy(this.names, ({ current }) => Buffer.from(current));
  }

  /**
   * The disk that a crash leaves. `keepSector` says which of the sectors that were written and not synced got there,
   * `keepNames` whether the names that weren't synced did.
   */
  crash(keepSector: (sector: number) => boolean, keepNames: boolean): MemoryStorage {
    return this.copy(keepNames ? this.names : this.durable_names, ({ current, durable }) => {
      const bytes = Buffer.alloc(Math.max(durable.length, current.length));
      durable.copy(bytes);
      for (let at = 0; at < current.length; at += SECTOR_BYTES) {
        if (keepSector(at / SECTOR_BYTES)) current.copy(bytes, at, at, at + SECTOR_BYTES);
      }
      return bytes;
    });
  }

  private copy(names: Map<string, Inode>, content: (inode: Inode) => Buffer): MemoryStorage {
    const copy = new MemoryStorage();
    for (const [path, inode] of names) copy.put(path, content(inode));
    copy.directories = new Set(this.directories);
    return copy;
  }

  private namesIn(names: Map<string, Inode>, directory: string): string[] {
    return [...names.keys()].filter((path) => dirname(path) === directory);
  }

  private async call(operation: Call['operation'], path: string, length = 0): Promise<number | undefined> {
    const call = { operation, path, length };
    this.calls.push(call);
    return this.before(call);
  }

  /** As `call`, for what can't be delayed. */
  private callNow(operation: Call['operation'], path: string, length: number): number | undefined {
    const call = { operation, path, length };
    this.calls.push(call);
    const answer = this.before(call);
    return answer instanceof Promise ? undefined : answer;
  }

  private file(path: string, inode: Inode): StorageFile {
    return {
      size: inode.current.length,
      read: async (buffer, offset) => {
        await this.call('read', path, buffer.length);
        return inode.current.copy(buffer, 0, offset, offset + buffer.length);
      },
      write: async (buffer, offset) => {
        const bytes = Buffer.from(buffer);
        return put(inode, bytes, offset, await this.call('write', path, bytes.length));
      },
      writeNow: (buffer, offset) =>
        put(inode, Buffer.from(buffer), offset, this.callNow('write', path, buffer.length)),
      datasync: () => this.flush('datasync', path, inode),
      sync: () => this.flush('sync', path, inode),
      close: () => Promise.resolve(),
    };
  }

  private async flush(operation: 'datasync' | 'sync', path: string, inode: Inode): Promise<void> {
    const dirty = [...inode.dirty];
    try {
      await this.call(operation, path);
    } finally {
      inode.dirty.clear();
    }
    if (inode.durable.length < inode.current.length) {
      const missing = Buffer.alloc(inode.current.length - inode.durable.length);
      inode.durable = Buffer.concat([inode.durable, missing]);
    }
    for (const at of dirty) inode.current.copy(inode.durable, at, at, at + SECTOR_BYTES);
  }
}
