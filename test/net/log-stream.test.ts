import { expect } from 'chai';

import { entry } from '../../src/core/ids.js';
import { MessageType, type AppResponse, type LogResponse, type Message } from '../../src/core/message.js';
import { NO_REQUEST } from '../../src/core/decree.js';
import { AppStream } from '../../src/net/app-stream.js';
import {
  LogStream,
  READ_AHEAD_BYTES,
  SHORT_READ_AHEAD_ENTRIES,
  type StreamSink,
} from '../../src/net/log-stream.js';
import { MemoryLog, responsesOf } from './app-source.js';

/** A reader with room for `room` messages until the test makes more. */
class Sink implements StreamSink {
  readonly got: LogResponse[] = [];
  room = Infinity;
  flushes = 0;
  #listeners: (() => void)[] = [];

  get writable(): boolean {
    return this.room > 0;
  }

  send(message: Message): void {
    if (message.type !== MessageType.LogResponse) throw new Error(`type ${message.type} in a stream`);
    this.got.push(message);
    this.room--;
  }

  flush(): void {
    this.flushes++;
  }

  sendBytes(lines: Buffer): void {
    for (const message of responsesOf(lines)) this.send(message);
  }

  onDrain(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get waiting(): number {
    return this.#listeners.length;
  }

  drain(room: number): void {
    this.room = room;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  get entries(): number[] {
    return this.got.map((message) => message.entry);
  }
}

/** Lets everything that is ready happen, batch after batch. */
async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const failed = (reason: string) => expect.fail(reason);

function open(
  log: MemoryLog,
  kind: 'follower' | 'raw',
  first = 0,
  onFailed: (reason: string) => void = failed,
): { sink: Sink; stream: LogStream } {
  const sink = new Sink();
  const stream = new LogStream({ source: log, sink, first: entry(first), mode: { kind }, onFailed });
  return { sink, stream };
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `value ${i}`);
}

describe('streaming the log', () => {
  it('streams to a raw reader every chosen entry as chosen (spec.md, "Learning and catch-up")', async () => {
    const log = new MemoryLog().add('a').addNoOp().add('again');
    log.skipped.add(2);
    const { sink } = open(log, 'raw');
    await settle();
    const type = MessageType.LogResponse;
    expect(sink.got).to.deep.equal([
      { type, request: { id: 65537, no: 1, noset: false }, entry: 0, value: 'a' },
      { type, request: { id: 0, no: 0, noset: true }, entry: 1, value: '' },
      { type, request: { id: 65537, no: 3, noset: false }, entry: 2, value: 'again' },
    ]);
  });

  it('streams to a follower what is executed, and asks for no answer', async () => {
    const log = new MemoryLog().add('a').addNoOp().add('again', 'b');
    log.skipped.add(2);
    const { sink, stream } = open(log, 'follower');
    await settle();
    expect(sink.entries).to.deep.equal([0, 3]);
    expect(sink.got.map((message) => message.request.noset)).to.deep.equal([true, true]);
    expect(stream.next).to.equal(4);
  });

  it('lets a batch for the application leave at once, and nothing else', async () => {
    const log = new MemoryLog().add(...numbers(3));
    const sink = new Sink();
    const bookkeeping = new AppStream(entry(0), log);
    const mode = { kind: 'app', stream: bookkeeping } as const;
    new LogStream({ source: log, sink, first: entry(0), mode, onFailed: failed });
    const raw = open(log, 'raw');
    await settle();
    expect(sink.entries).to.deep.equal([0, 1, 2]);
    expect(sink.flushes).to.equal(1);
    expect(raw.sink.flushes).to.equal(0);
  });

  it('goes on when more is chosen, and waits for a first entry that is not chosen yet', async () => {
    const log = new MemoryLog().add('a');
    const { sink, stream } = open(log, 'raw', 2);
    await settle();
    stream.wake();
    expect(sink.entries).to.deep.equal([]);
    expect(log.reads).to.deep.equal([]);
    log.add('b', 'c', 'd');
    stream.wake();
    await settle();
    expect(sink.entries).to.deep.equal([2, 3]);
    log.add('e');
    stream.wake();
    await settle();
    expect(sink.entries).to.deep.equal([2, 3, 4]);
  });

  it('never sends what is accepted and not known chosen', async () => {
    const log = new MemoryLog().add('a', 'b', 'only accepted');
    log.unchosen = 1;
    const { sink, stream } = open(log, 'raw');
    await settle();
    expect(sink.entries).to.deep.equal([0, 1]);
    log.unchosen = 0;
    stream.wake();
    await settle();
    expect(sink.entries).to.deep.equal([0, 1, 2]);
  });

  it('reads ahead one bounded batch, and sends nothing to a full buffer', async () => {
    const log = new MemoryLog().add(...numbers(1000));
    const { sink, stream } = open(log, 'follower');
    sink.room = 3;
    await settle();
    stream.wake();
    await settle();
    expect(sink.entries).to.deep.equal([0, 1, 2]);
    expect(stream.stuck).to.equal(true);
    expect(sink.waiting).to.equal(1);
    expect(log.reads).to.deep.equal([
      { first: 0, limit: { entries: SHORT_READ_AHEAD_ENTRIES, bytes: READ_AHEAD_BYTES } },
    ]);
    sink.drain(2);
    expect(sink.entries).to.deep.equal([0, 1, 2, 3, 4]);
    expect(log.reads).to.have.length(1);
    sink.drain(Infinity);
    await settle(100);
    expect(stream.stuck).to.equal(false);
    expect(sink.entries).to.deep.equal(Array.from({ length: 1000 }, (_, i) => i));
  });

  it('sends a raw reader a batch in one piece, and nothing to a full buffer', async () => {
    const log = new MemoryLog().add(...numbers(1000));
    const { sink, stream } = open(log, 'raw');
    sink.room = 0;
    await settle();
    stream.wake();
    expect(sink.entries).to.deep.equal([]);
    expect(stream.stuck).to.equal(true);
    sink.drain(1);
    await settle();
    expect(sink.entries).to.have.length(SHORT_READ_AHEAD_ENTRIES);
    expect(stream.next).to.equal(SHORT_READ_AHEAD_ENTRIES);
    expect(log.reads).to.have.length(1);
    sink.drain(Infinity);
    await settle(100);
    expect(stream.stuck).to.equal(false);
    expect(sink.entries).to.deep.equal(Array.from({ length: 1000 }, (_, i) => i));
  });

  it('leaves turns of the loop to others while a reader far behind catches up', async () => {
    const log = new MemoryLog().add(...numbers(10 * SHORT_READ_AHEAD_ENTRIES));
    const { sink } = open(log, 'raw');
    const seen: number[] = [];
    for (let turn = 0; turn < 12; turn++) {
      seen.push(sink.got.length);
      await settle(1);
    }
    for (let i = 1; i < seen.length; i++)
      expect(seen[i]! - seen[i - 1]!).to.be.at.most(SHORT_READ_AHEAD_ENTRIES);
    await settle(20);
    expect(sink.got).to.have.length(10 * SHORT_READ_AHEAD_ENTRIES);
  });

  it('holds an application at its window until it answers', async () => {
    const log = new MemoryLog().add(...numbers(10));
    const sink = new Sink();
    const bookkeeping = new AppStream(entry(0), log, 2);
    const mode = { kind: 'app', stream: bookkeeping } as const;
    const stream = new LogStream({ source: log, sink, first: entry(0), mode, onFailed: failed });
    await settle();
    expect(sink.entries).to.deep.equal([0, 1]);
    const answer: AppResponse = {
      type: MessageType.AppResponse,
      request: NO_REQUEST,
      entry: entry(0),
      value: '',
    };
    expect(bookkeeping.judge(answer).verdict).to.equal('answered');
    stream.wake();
    await settle();
    expect(sink.entries).to.deep.equal([0, 1, 2]);
    expect(stream.mode).to.equal('app');
  });

  it('sends nothing after it was stopped, also with a read under way', async () => {
    const log = new MemoryLog().add('a', 'b');
    const { sink, stream } = open(log, 'raw');
    expect(log.reads).to.have.length(1);
    stream.stop();
    await settle();
    stream.wake();
    await settle();
    expect(sink.got).to.deep.equal([]);
  });

  it('reports a journal that fails, has a hole or gives nothing, once, and stops', async () => {
    const reasons: string[] = [];
    const log = new MemoryLog().add('a', 'b');
    log.failure = new Error('EIO');
    const { stream } = open(log, 'raw', 0, (reason) => reasons.push(reason));
    await settle();
    stream.wake();
    await settle();
    expect(reasons).to.deep.equal(['EIO']);
    const gives = async (entries: number[]) => {
      const source = new MemoryLog().add('a', 'b', 'c');
      source.read = () => Promise.resolve(entries.map((at) => source.stored(at)));
      open(source, entries.length === 0 ? 'raw' : 'follower', 0, (reason) => reasons.push(reason));
      await settle();
    };
    await gives([]);
    await gives([0, 2]);
    await gives([1]);
    expect(reasons.slice(1)).to.deep.equal([
      'the journal gave no entry 0',
      'the journal gave entry 2 in the place of 1',
      'the journal gave entry 1 in the place of 0',
    ]);
  });
});
