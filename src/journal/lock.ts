import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { hasCode, JournalError } from './journal-error.js';
import { lockPath } from './segment.js';
import { requireRegularFile, unreadable } from './storage.js';

/** The part of fs-native-extensions that is used here; it has no types of its own. */
interface NativeExtensions {
  /** Takes the kernel's exclusive lock on an open file; false if somebody else has it. */
  readonly tryLock: (fd: number) => boolean;
}

const { tryLock } = createRequire(import.meta.url)('fs-native-extensions') as NativeExtensions;

/** The right to use a data directory. The kernel takes it back when the process ends, however it ends. */
export interface Lock {
  release(): Promise<void>;
}

/** A pid has at most seven digits on the systems we run on; what else stands in the file is nobody's business. */
const MAX_PID_BYTES = 16;

/** Takes `directory` for this process; refuses if another one has it. */
export async function lockDirectory(directory: string): Promise<Lock> {
  const path = lockPath(directory);
  await requireRegularFile(path);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags, 0o640).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) throw unreadable(path, error);
    throw new JournalError(
      'missing',
      `${directory} doesn't exist. Make a data directory with "paxosd init".`,
      directory,
    );
  });
  try {
    if (!tryLock(file.fd)) throw await inUse(directory, path, file);
    await file.truncate(0);
    await file.write(`${process.pid}\n`, 0);
  } catch (error) {
    await file.close();
    throw error instanceof JournalError ? error : unreadable(path, error);
  }
  return { release: () => file.close() };
}

async function inUse(directory: string, path: string, file: FileHandle): Promise<JournalError> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_PID_BYTES), 0, MAX_PID_BYTES, 0);
  const pid = /^\d+/.exec(buffer.toString('latin1', 0, bytesRead))?.[0];
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  const message = `${directory} is in use by ${who}. Two nodes can't share a data directory: stop the other one.`;
  return new JournalError('in-use', message, path);
}
