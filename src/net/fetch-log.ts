import { connect, type Socket } from 'node:net';

import { formatAddress, sameAddress, type Address } from '../core/address.js';
import { decreeOf, NO_REQUEST, type Decree } from '../core/decree.js';
import { entry, type Entry } from '../core/ids.js';
import { MESSAGE_NAMES, MessageType, type Message } from '../core/message.js';
import { ChosenLineReader } from '../wire/chosen-line.js';
import { encodeMessage, type Decoded } from '../wire/codec.js';
import { MessageReader } from '../wire/message-reader.js';
import { afterPolling } from './after-polling.js';
import { errorCode } from './listen-error.js';
import { printable } from './logging.js';

/** A peer in the same network answers within milliseconds; one that doesn't is down, and another is asked. */
const CONNECT_TIMEOUT_MS = 1_000;

/** A peer that has an entry sends it at once; one that is silent for this long has no more, or hangs. */
const IDLE_TIMEOUT_MS = 2_000;

/** The largest entry under the worst escaping fits four times. */
const MAX_LINE_BYTES = 256 * 1024;

const NEWLINE = 0x0a;

/** Bytes that are read at once, at most: what some two hundred usual entries take. */
const MOST_READ_BYTES = 64 * 1024;

/** And at least, where that much has come. */
const LEAST_READ_BYTES = 16 * 1024;

/** What is read lies one behind the other in pieces of memory of this size, but for the first: most streams are short. */
const ROOM_BYTES = 256 * 1024;

/**
 * Where a stream is read to. Entries stay where they came, so nothing here is written twice. Left to itself, the
 * platform takes memory for every read, takes some more, clears it, and copies.
 */
class ReadRoom {
  #bytes = Buffer.allocUnsafeSlow(MOST_READ_BYTES);
  #used = 0;

  /** Where to read to next. */
  offer(): Buffer {
    if (this.#bytes.length - this.#used < LEAST_READ_BYTES) {
      this.#bytes = Buffer.allocUnsafeSlow(ROOM_BYTES);
      this.#used = 0;
    }
    return this.#bytes.subarray(this.#used, this.#used + MOST_READ_BYTES);
  }

  /** So many bytes were read there. */
  take(bytes: number): Buffer {
    const chunk = this.#bytes.subarray(this.#used, this.#used + bytes);
    this.#used += bytes;
    return chunk;
  }
}

export interface FetchOptions {
  /** Stands as sender in the request, and is the address connected from: a peer keeps places for its peers. */
  readonly self: Address;
  readonly peer: Address;
  /** The first entry wanted. */
  readonly first: Entry;
  /** Called for each chosen entry, in order and without gaps from `first`. */
  onEntry(entry: Entry, decree: Decree): void;
  /** The stream is over, for this reason; called once, unless it was cancelled. */
  onEnded(reason: string): void;
  readonly connect_timeout_ms?: number;
  readonly idle_timeout_ms?: number;
}

/** A stream of the log that is under way. */
export interface LogFetch {
  /** Ends the stream; nothing is called back after this. */
  cancel(): void;
  /** No entries until `resume`; the peer is slowed down by TCP. */
  pause(): void;
  resume(): void;
}

/**
 * Streams the raw log of a peer from `first` on (spec.md, "Learning and catch-up"): every chosen entry, no-ops
 * included. The stream goes on with what is chosen later until it is cancelled or the peer falls silent.
 */
export function fetchLog(options: FetchOptions): LogFetch {
  return new Fetch(options);
}

class Fetch implements LogFetch {
  readonly #options: FetchOptions;
  readonly #socket: Socket;
  /** What has arrived and nobody has looked at; there is more than one only while the stream is paused. */
  #chunks: Buffer[] = [];
  /** Where the rest of the first begins. */
  #at = 0;
  /** Reads what is as usual, and that is nearly everything. */
  readonly #lines: ChosenLineReader;
  /** Reads all else: a line that two chunks share, and what needs a closer look. */
  readonly #input: MessageReader;
  #input_over = false;
  /** The reader knows that it is over. */
  #ended = false;
  #next: Entry;
  #over = false;
  #connected = false;
  #paused = false;
  #timer: NodeJS.Timeout | undefined;
  /** Counts signs of life, so that a time-out can tell whether one came while it was being judged. */
  #signs = 0;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.#next = options.first;
    this.#lines = new ChosenLineReader(options.peer);
    this.#input = new MessageReader({ max_line_bytes: MAX_LINE_BYTES });
    const { peer, self } = options;
    const room = new ReadRoom();
    this.#socket = connect({
      host: peer.address,
      port: Number(peer.port),
      localAddress: self.address,
      noDelay: true,
      onread: {
        buffer: () => room.offer(),
        callback: (bytes) => {
          this.#receiveChunk(room.take(bytes));
          // A stream that was paused before it was connected reads once nevertheless.
          return !this.#paused;
        },
      },
    });
    this.#listen();
    this.#wait(options.connect_timeout_ms ?? CONNECT_TIMEOUT_MS, 'no connection');
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#input.clear();
    this.#chunks = [];
    this.#socket.destroy();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#over) return;
    this.#signs++;
    this.#socket.resume();
    this.#handleInput();
  }

  #listen(): void {
    this.#socket.on('error', (error) => this.#end(`the connection failed (${errorCode(error)})`));
    // After an orderly end the reader may still hold entries; its own end comes when they are handled.
    this.#socket.once('close', () => {
      if (!this.#socket.readableEnded) this.#end('the connection was lost');
    });
    this.#socket.once('connect', () => {
      this.#connected = true;
      const hello: Message = {
        type: MessageType.ClientApp,
        request: { ...NO_REQUEST, noset: true },
        entry: this.#options.first,
      };
      this.#socket.write(`${encodeMessage(hello, this.#options.self)}\n`);
      this.#wait(this.#options.idle_timeout_ms ?? IDLE_TIMEOUT_MS, 'nothing came');
    });
    this.#socket.once('end', () => {
      this.#input_over = true;
      this.#handleInput();
    });
    this.#socket.resume();
  }

  #receiveChunk(chunk: Buffer): void {
    this.#signs++;
    this.#chunks.push(chunk);
    this.#handleInput();
  }

  /** Handles what has arrived, until whoever gets it asks for a pause. */
  #handleInput(): void {
    while (!this.#paused && !this.#over) {
      const taken = this.#input.take();
      if (taken !== undefined) this.#receive(taken.decoded);
      else if (!this.#readOn()) return;
    }
  }

  /** Reads a line, or gives it to the reader that reads any; false when nothing is left. */
  #readOn(): boolean {
    const [chunk] = this.#chunks;
    if (chunk === undefined) return this.#readEnd();
    const line = this.#input.isBetween ? this.#lines.read(chunk, this.#at) : undefined;
    if (line === undefined) this.#putLine(chunk);
    else {
      this.#at = line.end + 1;
      this.#take(line.entry, line);
    }
    if (this.#at === chunk.length) {
      this.#chunks.shift();
      this.#at = 0;
    }
    return true;
  }

  #putLine(chunk: Buffer): void {
    const newline = chunk.indexOf(NEWLINE, this.#at);
    const end = newline < 0 ? chunk.length : newline + 1;
    this.#input.put(chunk.subarray(this.#at, end));
    this.#at = end;
  }

  /** What the end of the stream completes may still be an entry. */
  #readEnd(): boolean {
    if (!this.#input_over) return false;
    if (this.#ended) this.#end('the peer ended the stream');
    this.#ended = true;
    this.#input.end();
    return true;
  }

  #receive(decoded: Decoded): void {
    if (!decoded.ok) {
      this.#end(`the peer sent what can't be read (${decoded.code}: ${decoded.text})`);
      return;
    }
    const { peer } = this.#options;
    if (decoded.from !== undefined && !sameAddress(decoded.from, peer))
      this.#end(`${formatAddress(decoded.from)} answers where ${formatAddress(peer)} should`);
    else this.#handle(decoded.message);
  }

  #handle(message: Message): void {
    if (message.type === MessageType.LogResponse)
      this.#take(message.entry, decreeOf(message.request, message.value));
    else if (message.type === MessageType.Error) this.#end(`the peer refused (${message.error})`);
    else if (message.type !== MessageType.Empty)
      this.#end(`the peer sent ${MESSAGE_NAMES[message.type] ?? 'a message'} where LogResponse was due`);
  }

  #take(at: Entry, decree: Decree): void {
    if (at !== this.#next) {
      this.#end(`the peer sent entry ${at} where ${this.#next} was due`);
      return;
    }
    this.#next = entry(at + 1);
    this.#options.onEntry(at, decree);
  }

  /** Ends the stream unless there is a sign of life in every `timeout_ms`. A paused stream is not silent. */
  #wait(timeout_ms: number, what: string): void {
    clearTimeout(this.#timer);
    const signs = this.#signs;
    this.#timer = setTimeout(() => {
      afterPolling(() => {
        if (this.#over) return;
        const excused = this.#connected && this.#paused;
        if (this.#signs !== signs || excused) this.#wait(timeout_ms, what);
        else this.#end(`${what} for ${timeout_ms} ms`);
      });
    }, timeout_ms);
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.cancel();
    this.#options.onEnded(printable(reason));
  }
}
