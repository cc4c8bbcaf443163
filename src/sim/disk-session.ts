import type { OpenMode, Storage, StorageFile } from '../journal/storage.js';
import type { Disk } from './disk.js';
import { DiskFile } from './disk-file.js';

/** What fails: a flush, a write, or the whole length of a write. */
export type DiskFault = 'flush' | 'write' | 'short write';

/** The machine around a disk: time passes there, things fail, and processes die. */
export interface DiskHost {
  /** Calls back once a flush that begins now is over; 0 or more virtual milliseconds later. */
  flush(over: () => void): void;
  /** Hands a result to the process, now or when it runs again. */
  arrive(happens: () => void): void;
  /** Whether the next operation of this kind fails. */
  fails(kind: 'flush' | 'write'): DiskFault | undefined;
  /** The process dies in the midst of this operation. */
  die(): void;
}

/** A host where flushing takes no time and nothing fails. */
export const CALM_HOST: DiskHost = {
  flush: (over) => over(),
  arrive: (happens) => happens(),
  fails: () => undefined,
  die: () => undefined,
};

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

/** One process's use of a disk: what the shipped journal calls. Nothing returns any more once the process is dead. */
export class DiskSession implements Storage {
  dead = false;
  /** The process dies at the operation after so many. */
  dies_after: number | undefined;
  /** Of `dies_after`: the part of a write that it dies in which still is carried out. */
  dies_at_share = 0;

  constructor(
    private readonly disk: Disk,
    private readonly host: DiskHost,
  ) {}

  /** Whether an operation may begin; otherwise the process is dead, perhaps from now on. */
  #admits(onDeath?: () => void): boolean {
    if (this.dead) return false;
    if (this.dies_after === undefined || this.dies_after-- > 0) return true;
    this.dies_after = undefined;
    onDeath?.();
    this.host.die();
    return false;
  }

  /** Carries out what takes no time. */
  #at_once<T>(act: () => T): Promise<T> {
    if (!this.#admits()) return never();
    try {
      return Promise.resolve(act());
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  open(path: string, mode: OpenMode): Promise<StorageFile> {
    return this.#at_once(() => {
      const known = this.disk.find(path);
      if (mode === 'create' && known !== undefined) throw systemError('EEXIST', path);
      if (mode !== 'create' && known === undefined) throw systemError('ENOENT', path);
      const file = known ?? new DiskFile();
      this.disk.put(path, file);
      return this.#handle(path, file);
    });
  }

  #handle(path: string, file: DiskFile): StorageFile {
    const flush = (): Promise<void> => this.#flush(path, file);
    return {
      size: file.length,
      read: (buffer, offset) =>
        this.#at_once(() => file.bytes.copy(buffer, 0, offset, offset + buffer.length)),
      write: async (buffer, offset) => {
        const length = this.#write(path, file, buffer, offset);
        return this.dead ? never() : length;
      },
      writeNow: (buffer, offset) => this.#write(path, file, buffer, offset),
      datasync: flush,
      sync: flush,
      close: () => this.#at_once(() => undefined),
    };
  }

  /** What a process that dies in it is told is never heard: nothing of what follows is admitted. */
  #write(path: string, file: DiskFile, bytes: Uint8Array, offset: number): number {
    const taken = Math.floor(bytes.length * this.dies_at_share);
    if (!this.#admits(() => file.write(bytes.subarray(0, taken), offset))) return bytes.length;
    const fault = this.host.fails('write');
    if (fault === 'write') throw systemError('EIO', path);
    const length = fault === 'short write' ? bytes.length >> 1 : bytes.length;
    file.write(bytes.subarray(0, length), offset);
    return length;
  }

  #flush(path: string, file: DiskFile): Promise<void> {
    if (!this.#admits()) return never();
    const fault = this.host.fails('flush');
    file.beginFlush();
    return new Promise((resolve, reject) => {
      this.host.flush(() => {
        if (this.dead) return;
        if (fault === undefined) file.finishFlush();
        else file.failFlush();
        this.host.arrive(fault === undefined ? resolve : () => reject(systemError('EIO', path)));
      });
    });
  }

  list(directory: string): Promise<string[]> {
    return this.#at_once(() => {
      const names = this.disk.list(directory);
      if (names === undefined) throw systemError('ENOENT', directory);
      return names;
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#at_once(() => this.disk.makeDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#at_once(() => {
      const file = this.disk.find(from);
      if (file === undefined) throw systemError('ENOENT', from);
      this.disk.remove(from);
      this.disk.put(to, file);
    });
  }

  remove(path: string): Promise<void> {
    return this.#at_once(() => {
      if (!this.disk.remove(path)) throw systemError('ENOENT', path);
    });
  }

  replace(path: string, text: string): Promise<void> {
    if (!this.#admits()) return never();
    if (this.host.fails('write') !== undefined) return Promise.reject(systemError('ENOSPC', path));
    const file = new DiskFile();
    file.write(Buffer.from(text), 0);
    file.beginFlush();
    file.finishFlush();
    this.disk.put(path, file);
    return Promise.resolve();
  }

  syncDirectory(path: string): Promise<void> {
    if (!this.#admits()) return never();
    return new Promise((resolve) => {
      this.host.flush(() => {
        if (this.dead) return;
        this.disk.syncDirectory(path);
        this.host.arrive(resolve);
      });
    });
  }
}
