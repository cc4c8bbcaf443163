import { fdatasync, fsyncSync, openSync, writeSync } from 'node:fs';

/** As a segment of a node's journal; written round and round, since nobody ever reads it. */
const FILE_BYTES = 16 * 1024 * 1024;

const FILL_BYTES = 1024 * 1024;

/** A file of zeros that is written over, each write made durable. */
export class LogFile {
  readonly #file: number;
  #end = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'w');
    const zeros = Buffer.alloc(FILL_BYTES);
    for (let at = 0; at < FILE_BYTES; at += FILL_BYTES) writeSync(this.#file, zeros, 0, FILL_BYTES, at);
    fsyncSync(this.#file);
  }

  append(bytes: Buffer, onDurable: () => void): void {
    if (this.#end + bytes.length > FILE_BYTES) this.#end = 0;
    writeSync(this.#file, bytes, 0, bytes.length, this.#end);
    this.#end += bytes.length;
    fdatasync(this.#file, (error) => {
      if (error !== null) throw error;
      onDurable();
    });
  }
}
