import { expect } from 'chai';
import fc from 'fast-check';
import type { Address } from '../../src/core/address.js';
import type { Decree } from '../../src/core/decree.js';
import { agentIndex, clientId, entry, requestNumber, round, type Position } from '../../src/core/ids.js';
import type { JournalRecord } from '../../src/core/record.js';
import { writeNewJournal, type Identity } from '../../src/journal/identity.js';
import { JournalError } from '../../src/journal/journal-error.js';
import { openJournal, type Journal, type JournalOptions } from '../../src/journal/journal.js';
import { segmentPath } from '../../src/journal/segment.js';
import { MemoryStorage } from './memory-storage.js';

export const AGENTS: readonly Address[] = [
  { address: '127.0.0.1', port: '7001' },
  { address: '127.0.0.1', port: '7002' },
  { address: '127.0.0.1', port: '7003' },
];
export const SELF = AGENTS[1]!;
export const MEMBERS = { agents: AGENTS, self: agentIndex(1) };
export const IDENTITY: Identity = { self: SELF, agents: AGENTS, journal: '0123456789abcdef0123456789abcdef' };
export const DIRECTORY = '/data';

/** Small, so that a few records fill it. */
export const SEGMENT_BYTES = 2048;

export function decree(value: string, id = 65537, no = 1): Decree {
  return { id: clientId(id), no: requestNumber(no), noset: false, value };
}

export function accepted(n: number, value = `value ${n}`, at = 1): JournalRecord {
  return {
    verdict: 'accepted',
    entry: entry(n),
    round: round(at),
    owner: agentIndex(0),
    decree: decree(value),
  };
}

export function learnt(n: number, value = `learnt ${n}`): JournalRecord {
  return { verdict: 'learnt', entry: entry(n), peer: agentIndex(2), decree: decree(value) };
}

const VALUES = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '\0', '\u2028', '"\\/\n\r', '𝄞', '\ud800', '\u007f\u009b', 'x'.repeat(3000)),
);
const ENTRIES = fc.nat().map(entry);
const ROUNDS = fc.nat({ max: 2 ** 37 - 1 }).map(round);
const INDICES = fc.nat({ max: AGENTS.length - 1 }).map(agentIndex);
const DECREES: fc.Arbitrary<Decree> = fc.record({
  id: fc.nat({ max: 2 ** 50 }).map(clientId),
  no: fc.maxSafeNat().map(requestNumber),
  noset: fc.boolean(),
  value: VALUES,
});

export const RECORDS: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record({ verdict: fc.constant('used' as const), round: ROUNDS, entry: ENTRIES }),
  fc.record({ verdict: fc.constant('promised' as const), round: ROUNDS, owner: INDICES, entry: ENTRIES }),
  fc.record({
    verdict: fc.constant('accepted' as const),
    entry: ENTRIES,
    round: ROUNDS,
    owner: INDICES,
    decree: DECREES,
  }),
  fc.record({ verdict: fc.constant('learnt' as const), entry: ENTRIES, peer: INDICES, decree: DECREES }),
  fc.record({ verdict: fc.constant('committed' as const), committed: ENTRIES }),
);

/** A record whose decree has plain fields, however it was kept. */
export function plainRecord(record: JournalRecord): JournalRecord {
  if (!('decree' in record)) return record;
  const { id, no, noset, value } = record.decree;
  return { ...record, decree: { id, no, noset, value } };
}

/** A disk with a new member's data directory. */
export async function newDisk(segment_bytes = SEGMENT_BYTES): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  await writeNewJournal(storage, DIRECTORY, IDENTITY, segment_bytes);
  storage.calls = [];
  return storage;
}

/** A journal that has been opened, with all that it reported. */
export class Opened {
  readonly recovered: JournalRecord[] = [];
  readonly durable: Position[] = [];
  readonly failures: Error[] = [];
  readonly notes: string[] = [];
  private waiting: { position: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  journal!: Journal;

  static async on(storage: MemoryStorage, options: Partial<JournalOptions> = {}): Promise<Opened> {
    const opened = new Opened();
    opened.journal = await openJournal({
      directory: DIRECTORY,
      agents: AGENTS,
      storage,
      segment_bytes: SEGMENT_BYTES,
      onRecord: (record) => opened.recovered.push(plainRecord(record)),
      onDurable: (position) => opened.onDurable(position),
      onFailure: (error) => opened.onFailure(error),
      log: (_level, code) => opened.notes.push(code),
      ...options,
    });
    return opened;
  }

  /** Appends, and waits until all of it is durable; rejects when the journal fails. */
  async write(...records: JournalRecord[]): Promise<void> {
    for (const record of records) this.journal.append(record);
    await this.durableUpTo(this.journal.appended);
  }

  durableUpTo(position: number): Promise<void> {
    if (this.journal.durable >= position) return Promise.resolve();
    const [failure] = this.failures;
    if (failure) return Promise.reject(failure);
    return new Promise((resolve, reject) => this.waiting.push({ position, resolve, reject }));
  }

  private onDurable(position: Position): void {
    this.durable.push(position);
    for (const waiter of this.waiting) if (waiter.position <= position) waiter.resolve();
    this.waiting = this.waiting.filter((waiter) => waiter.position > position);
  }

  private onFailure(error: Error): void {
    this.failures.push(error);
    for (const waiter of this.waiting) waiter.reject(error);
    this.waiting = [];
  }
}

/** What a journal on this disk hands out; the disk is left as recovery leaves it. */
export async function recover(storage: MemoryStorage): Promise<JournalRecord[]> {
  const opened = await Opened.on(storage);
  await opened.journal.close();
  return opened.recovered;
}

/** A disk that was written to and closed properly, each list of records a group. */
export async function diskWith(...groups: JournalRecord[][]): Promise<MemoryStorage> {
  const storage = await newDisk();
  const opened = await Opened.on(storage);
  for (const group of groups) await opened.write(...group);
  await opened.journal.close();
  return storage;
}

export async function refusal(promise: Promise<unknown>): Promise<JournalError> {
  const error = await promise.then(
    () => undefined,
    (why: unknown) => why,
  );
  expect(error).to.be.instanceOf(JournalError);
  return error as JournalError;
}

export const segment = (number: number): string => segmentPath(DIRECTORY, number);

/** Where the bytes of a segment end and its zeros begin. */
export function endOf(bytes: Buffer): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}
