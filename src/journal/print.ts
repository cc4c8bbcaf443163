import { basename } from 'node:path';
import { formatAddress, type Address } from '../core/address.js';
import { isNoOp, type Decree } from '../core/decree.js';
import type { AgentIndex, Round } from '../core/ids.js';
import type { JournalRecord } from '../core/record.js';
import { EntryIndex } from './entry-index.js';
import { GROUP_HEADER_BYTES, type Members } from './format.js';
import { membersOf, readIdentity, stampOf } from './identity.js';
import { corruption, JournalError } from './journal-error.js';
import { parseRecord } from './record-reader.js';
import { scanJournal, type ScannedGroup, type ScanResult } from './scan.js';
import { disk, type Storage } from './storage.js';

/** What `printJournal` found in a journal. */
export interface Verification {
  /** Whether a node would start from it. */
  readonly ok: boolean;
  readonly segments: number;
  readonly groups: number;
  readonly records: number;
  /** Distinct entries of which an acceptance is held, or the decree learnt. */
  readonly entries: number;
  /** The promise that stands; undefined before the first. */
  readonly promised: { readonly round: Round; readonly owner: Address } | undefined;
  /** Every entry below it is known chosen. */
  readonly committed: number;
  /** What a crash tore off the end, never acknowledged; or what a node that is writing just now hasn't finished. */
  readonly torn: Fault | undefined;
  /** For which a node refuses to start. */
  readonly damage: Fault | undefined;
}

export interface Fault {
  readonly file: string | undefined;
  /** In bytes. */
  readonly offset: number | undefined;
  readonly text: string;
}

/**
 * Yields the journal of `directory` as lines for people: one per group and per record, with its offset in the file,
 * then a summary. Changes nothing, and takes no lock, so that it works while the node runs. Rejects if there is no
 * readable identity; damage further on ends the listing and is reported.
 */
export async function* printJournal(
  directory: string,
  storage: Storage = disk,
): AsyncGenerator<string, Verification> {
  const identity = await readIdentity(directory, storage);
  const tally = new Tally(membersOf(identity));
  yield `journal of ${formatAddress(identity.self)} in ${directory}`;
  const groups = scanJournal(storage, directory, stampOf(identity));
  let result: ScanResult | undefined;
  let damage: Fault | undefined;
  try {
    while (!result) {
      const next = await groups.next();
      if (next.done) result = next.value;
      else yield* tally.lines(next.value);
    }
  } catch (error) {
    if (!(error instanceof JournalError)) throw error;
    damage = { file: error.file, offset: error.offset, text: error.message };
  }
  const verification = tally.verification(result?.torn && faultOf(result.torn), damage);
  yield* summarise(verification);
  return verification;
}

function faultOf({ file, offset, reason }: { file: string; offset: number; reason: string }): Fault {
  return { file, offset, text: reason };
}

/** Counts while it describes. */
class Tally {
  private segment = 0;
  private groups = 0;
  private records = 0;
  private entries = 0;
  private committed = 0;
  private promised: { readonly round: Round; readonly owner: Address } | undefined;
  private readonly index = new EntryIndex();

  constructor(private readonly members: Members) {}

  *lines(group: ScannedGroup): Generator<string> {
    if (group.segment !== this.segment) yield group.file;
    this.segment = group.segment;
    this.groups++;
    const torn = group.torn ? ', torn behind them' : '';
    yield `${place(group.offset)} group ${group.sequence}: ${group.lines.length} records${torn}`;
    const body = group.offset + GROUP_HEADER_BYTES;
    for (const { start, end, text } of group.lines) {
      const parsed = parseRecord(text, this.members);
      if (!parsed.ok) throw corruption(group.file, body + start, parsed.reason);
      const { record } = parsed;
      this.count(record, group.segment, body + start, end - start);
      const source = text.slice(record.verdict.length + 1);
      yield harmless(
        `${place(body + start)}   ${record.verdict.padEnd(9)} ${this.describe(record)}  ${source}`,
      );
    }
  }

  private count(record: JournalRecord, segment: number, offset: number, bytes: number): void {
    this.records++;
    switch (record.verdict) {
      case 'used':
        break;
      case 'promised':
        this.promised = { round: record.round, owner: this.address(record.owner) };
        break;
      case 'accepted':
        this.promised = { round: record.round, owner: this.address(record.owner) };
        this.hold(record, segment, offset, bytes);
        break;
      case 'learnt':
        this.hold(record, segment, offset, bytes);
        break;
      case 'committed':
        this.committed = record.committed;
        break;
    }
  }

  private hold(
    { entry }: JournalRecord & { verdict: 'accepted' | 'learnt' },
    segment: number,
    offset: number,
    bytes: number,
  ): void {
    if (!this.index.get(entry)) this.entries++;
    this.index.set(entry, segment, offset, bytes);
  }

  private describe(record: JournalRecord): string {
    switch (record.verdict) {
      case 'used':
        return `round ${record.round} is spent, for entries from ${record.entry} on`;
      case 'promised':
        return `round ${record.round} to ${this.name(record.owner)}, who asked from entry ${record.entry} on`;
      case 'accepted': {
        const { entry, round, owner, decree } = record;
        return `entry ${entry} at round ${round} from ${this.name(owner)}: ${describeDecree(decree)}`;
      }
      case 'learnt':
        return `entry ${record.entry} from ${this.name(record.peer)}: ${describeDecree(record.decree)}`;
      case 'committed':
        return `every entry below ${record.committed} is chosen`;
    }
  }

  private address(agent: AgentIndex): Address {
    const address = this.members.agents[agent];
    if (!address) throw new RangeError(`there is no agent ${agent}`);
    return address;
  }

  private name(agent: AgentIndex): string {
    return formatAddress(this.address(agent));
  }

  verification(torn: Fault | undefined, damage: Fault | undefined): Verification {
    const { segment, groups, records, entries, promised, committed } = this;
    return { ok: !damage, segments: segment, groups, records, entries, promised, committed, torn, damage };
  }
}

function* summarise(found: Verification): Generator<string> {
  const { segments, groups, records, entries, promised, committed, torn, damage } = found;
  const promise = promised ? `round ${promised.round} to ${formatAddress(promised.owner)}` : 'none';
  yield `${segments} segments, ${groups} groups, ${records} records, ${entries} entries`;
  yield `promised: ${promise}; chosen: every entry below ${committed}`;
  if (torn) {
    const where = `${basename(torn.file ?? '')}, offset ${String(torn.offset)}`;
    yield `unfinished: ${where}: ${torn.text}. A crash tore it, or a node is writing it now; it was never acknowledged.`;
  }
  yield damage ? `DAMAGED: ${harmless(damage.text)}` : 'whole: every checksum is right';
}

/** Width of an offset: segments of up to 9,999,999,999 bytes line up. */
const OFFSET_DIGITS = 10;

function place(offset: number): string {
  return String(offset).padStart(OFFSET_DIGITS);
}

/** Characters of a value that a description shows; the message behind it has all of them. */
const VALUE_PREVIEW_LENGTH = 40;

function describeDecree(decree: Decree): string {
  if (isNoOp(decree)) return 'no-op';
  const { id, no, value } = decree;
  const cut = value.length > VALUE_PREVIEW_LENGTH ? '…' : '';
  return `request ${no} of session ${id}, ${JSON.stringify(value.slice(0, VALUE_PREVIEW_LENGTH))}${cut}`;
}

/** What a terminal might act upon: control characters beyond those that JSON escapes, and marks of direction. */
// eslint-disable-next-line no-control-regex
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function harmless(text: string): string {
  return text.replace(HARMFUL, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
