import { crc32 } from 'node:zlib';
import { formatAddress, sameAddress, type Address } from '../core/address.js';
import { NO_REQUEST, type Request } from '../core/decree.js';
import { entry, type AgentIndex } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import type { JournalRecord } from '../core/record.js';
import { ChosenLine } from '../wire/chosen-line.js';
import { encodeMessage } from '../wire/encode.js';
import { ProposalLine } from '../wire/proposal-line.js';

/**
 * The text of the journal, as functions of strings and bytes (spec.md, "Durability"). A segment is
 *
 *     <crc> paxosd-journal 1 segment <number> group <first sequence> of <host:port> journal <id>
 *     <crc> group <sequence> <bytes> <records>
 *     <crc> <verdict> <message>
 *     …
 *
 * and zeros to its end. A checksum is the CRC-32 of the rest of its line, as eight hexadecimal digits.
 */
export const FORMAT_VERSION = 1;

/** The agents of the cluster, and which of them writes this journal: what turns indices into addresses and back. */
export interface Members {
  readonly agents: readonly Address[];
  readonly self: AgentIndex;
}

/** Whose journal a segment belongs to. */
export interface Stamp {
  readonly node: Address;
  /** Drawn once, when the journal was initialised. */
  readonly journal: string;
}

/** Eight digits and a space in front of every line's text, a newline behind it. */
export const LINE_OVERHEAD_BYTES = 10;
export const CHECKSUM_BYTES = 9;
const NEWLINE = 0x0a;
const CLOSING_BRACE = 0x7d;

/** Digits of a sequence number: enough for 30,000 years of 1,000 groups a second. */
const SEQUENCE_DIGITS = 15;
const BYTES_DIGITS = 8;
const RECORDS_DIGITS = 6;

/** A group's header is of fixed width, so that a group that lost its tail keeps its records where they are. */
export const GROUP_HEADER_BYTES =
  LINE_OVERHEAD_BYTES + 'group '.length + SEQUENCE_DIGITS + 1 + BYTES_DIGITS + 1 + RECORDS_DIGITS;

/** The longest segment header: well below a sector, so that it is written whole or not at all. */
export const MAX_SEGMENT_HEADER_BYTES = 256;

/** What a disk writes as one: it is there as a whole after a crash, or not at all. */
export const SECTOR_BYTES = 512;

/** Records of one group, in bytes: bounds the memory of recovery and the time that one write takes. */
export const MAX_GROUP_BYTES = 1024 * 1024;

/** One record's line in bytes: far above the largest message that the wire admits. */
export const MAX_RECORD_BYTES = 512 * 1024;

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function digits(n: number, width: number): string {
  return String(n).padStart(width, '0');
}

/** A whole line, with checksum and newline. Its text is ASCII. */
function line(text: string): Buffer {
  return Buffer.from(`${checksum(text)} ${text}\n`, 'latin1');
}

const SPACE = 0x20;
const HEX_DIGITS = Buffer.from('0123456789abcdef');

/** Puts the checksum of the text between `start` + CHECKSUM_BYTES and `end` in front of it, with its space. */
function writeChecksum(bytes: Buffer, start: number, end: number): void {
  let rest = crc32(bytes.subarray(start + CHECKSUM_BYTES, end));
  for (let i = CHECKSUM_BYTES - 2; i >= 0; i--) {
    bytes[start + i] = HEX_DIGITS[rest & 15] ?? 0;
    rest >>>= 4;
  }
  bytes[start + CHECKSUM_BYTES - 1] = SPACE;
}

function hasChecksum(bytes: Buffer, start: number, end: number): boolean {
  if (bytes[start + CHECKSUM_BYTES - 1] !== SPACE) return false;
  let rest = crc32(bytes.subarray(start + CHECKSUM_BYTES, end));
  for (let i = CHECKSUM_BYTES - 2; i >= 0; i--) {
    if (bytes[start + i] !== HEX_DIGITS[rest & 15]) return false;
    rest >>>= 4;
  }
  return true;
}

/** The text of a line, if the bytes from `start` to `end` are one line with a right checksum. */
export function textOfLine(bytes: Buffer, start = 0, end = bytes.length): string | undefined {
  return isLine(bytes, start, end) ? bytes.toString('utf8', start + CHECKSUM_BYTES, end - 1) : undefined;
}

/** Whether the bytes from `start` to `end` are one line with a right checksum. */
export function isLine(bytes: Buffer, start: number, end: number): boolean {
  if (end > bytes.length || end - start < LINE_OVERHEAD_BYTES || bytes[end - 1] !== NEWLINE) return false;
  return hasChecksum(bytes, start, end - 1);
}

/** The header line of segment `number`, whose first group will be `first`. */
export function segmentHeader(stamp: Stamp, number: number, first: number): Buffer {
  const place = `segment ${digits(number, 10)} group ${digits(first, SEQUENCE_DIGITS)}`;
  const owner = `of ${formatAddress(stamp.node)} journal ${stamp.journal}`;
  return line(`paxosd-journal ${FORMAT_VERSION} ${place} ${owner}`);
}

const SEGMENT_HEADER = /^paxosd-journal (\d+) segment (\d+) group (\d+) of (\S+) journal (\S+)$/;

/** How the beginning of a segment differs from the header that was expected. */
export type HeaderDifference =
  /** It is no whole header at all, so that it may have been torn. */
  | { readonly kind: 'damaged' }
  /** It is a header of this journal, and groups before its first one are missing. */
  | { readonly kind: 'groups-missing'; readonly first: number }
  | { readonly kind: 'foreign'; readonly reason: string };

export function differenceOfHeader(
  bytes: Buffer,
  stamp: Stamp,
  number: number,
  first: number,
): HeaderDifference {
  const end = bytes.indexOf(NEWLINE);
  const text = end < 0 ? undefined : textOfLine(bytes.subarray(0, end + 1));
  if (text === undefined) return { kind: 'damaged' };
  const parts = SEGMENT_HEADER.exec(text);
  const reason = parts ? reasonOfDifference(parts, stamp, number) : 'it begins with no segment header';
  if (reason !== undefined) return { kind: 'foreign', reason };
  const found = Number(parts?.[3]);
  if (found > first) return { kind: 'groups-missing', first: found };
  return { kind: 'foreign', reason: `it begins with group ${found}, and group ${first} was expected` };
}

function reasonOfDifference(parts: RegExpExecArray, stamp: Stamp, number: number): string | undefined {
  const [, version, segment, , node, journal] = parts;
  if (Number(version) !== FORMAT_VERSION) {
    return `it is of format ${String(version)}, and this program knows format ${FORMAT_VERSION}`;
  }
  if (node !== formatAddress(stamp.node)) return `it belongs to the node ${String(node)}`;
  if (journal !== stamp.journal) return 'it belongs to another journal of this node, initialised separately';
  return Number(segment) === number ? undefined : `it is segment ${Number(segment)}`;
}

export interface GroupHeader {
  readonly sequence: number;
  /** Of the record lines that follow. */
  readonly bytes: number;
  readonly records: number;
}

export function groupHeader(header: GroupHeader): Buffer {
  const sequence = digits(header.sequence, SEQUENCE_DIGITS);
  const bytes = digits(header.bytes, BYTES_DIGITS);
  return line(`group ${sequence} ${bytes} ${digits(header.records, RECORDS_DIGITS)}`);
}

const GROUP_HEADER = /^group (\d{15}) (\d{8}) (\d{6})$/;

/** What every group's header has behind its checksum: a mark to look for. */
export const GROUP_MARK = ' group ';
export const GROUP_MARK_AT = CHECKSUM_BYTES - 1;

/** The group header at the beginning of `bytes`, or undefined. */
export function parseGroupHeader(bytes: Buffer): GroupHeader | undefined {
  if (bytes.length < GROUP_HEADER_BYTES) return undefined;
  const text = textOfLine(bytes.subarray(0, GROUP_HEADER_BYTES));
  const parts = text === undefined ? null : GROUP_HEADER.exec(text);
  if (!parts) return undefined;
  const header = { sequence: Number(parts[1]), bytes: Number(parts[2]), records: Number(parts[3]) };
  return header.bytes <= MAX_GROUP_BYTES && header.records > 0 ? header : undefined;
}

/** A stretch of a group's record bytes. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** A record's line with a right checksum. */
export class RecordLine implements Stretch {
  constructor(
    /** Of the group, without its header. Nobody changes these any more. */
    readonly bytes: Buffer,
    readonly start: number,
    readonly end: number,
  ) {}

  /** Verdict and message, without checksum and newline. */
  get text(): string {
    return this.bytes.toString('utf8', this.start + CHECKSUM_BYTES, this.end - 1);
  }
}

export interface GroupBody {
  readonly lines: readonly RecordLine[];
  /** The first record that isn't whole, if there is one; it ends at the next newline or with the group. */
  readonly bad: Stretch | undefined;
}

/** Splits a group's record bytes into lines, up to the first bad one. `bytes` may be cut short by the file's end. */
export function splitGroup(bytes: Buffer, header: GroupHeader): GroupBody {
  const lines: RecordLine[] = [];
  let start = 0;
  while (start < header.bytes) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline < 0 ? header.bytes : newline + 1;
    if (!isLine(bytes, start, end)) return { lines, bad: { start, end } };
    lines.push(new RecordLine(bytes, start, end));
    start = end;
  }
  const bad = lines.length === header.records ? undefined : { start: 0, end: header.bytes };
  return { lines: bad ? [] : lines, bad };
}

/*
 * What a crash leaves of a write: all of it from some point on is missing, or a whole sector's share of it still is
 * zero. Anything else was damaged after it had been written. No line ever contains a zero byte, and no single flipped
 * bit makes one of a line's last byte.
 */

/**
 * Whether everything from some point of the bad stretch on is missing: beyond the end of the file, or zero. `end` is
 * how many bytes there should be.
 */
export function isCutShort(bytes: Buffer, bad: Stretch, end: number): boolean {
  let written = Math.min(bytes.length, end);
  while (written > 0 && bytes[written - 1] === 0) written--;
  return written < bad.end;
}

/** Whether a whole sector's share of the bad stretch is zero; `at` is the place of `bytes` in the file. */
export function hasZeroSector(bytes: Buffer, at: number, bad: Stretch): boolean {
  let from = bad.start;
  while (from < bad.end) {
    const sectorEnd = (Math.floor((at + from) / SECTOR_BYTES) + 1) * SECTOR_BYTES - at;
    const to = Math.min(sectorEnd, bad.end);
    if (isZero(bytes.subarray(from, to))) return true;
    from = to;
  }
  return false;
}

const ZEROS = Buffer.alloc(64 * 1024);

/** Whether every byte is zero. */
export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const chunk = bytes.subarray(at, at + ZEROS.length);
    if (!chunk.equals(ZEROS.subarray(0, chunk.length))) return false;
  }
  return true;
}

/** What stands in front of the message of a record that holds a decree. */
export const ACCEPTED_BYTES = Buffer.from('accepted ');
export const LEARNT_BYTES = Buffer.from('learnt ');

/** The text of a record; or a line that came as the journal is to hold it, behind the verdict. */
export type RecordSource = string | ChosenLine | ProposalLine;

/** How many bytes the line of `text` takes. */
export function lineBytes(text: RecordSource): number {
  return LINE_OVERHEAD_BYTES + (typeof text === 'string' ? Buffer.byteLength(text) : copiedBytes(text));
}

/** A vote doesn't depend on the commit index behind the value, which is left out: only the brace is put there again. */
function copiedBytes(line: ChosenLine | ProposalLine): number {
  const isVote = line instanceof ProposalLine;
  // Both end with a brace, which stands right behind the value of one of them.
  return (isVote ? ACCEPTED_BYTES : LEARNT_BYTES).length + line.value_end - line.start + 1;
}

/** How many it takes at most, if its characters are not looked at: three for each of UTF-16. */
export function mostBytes(text: RecordSource): number {
  return typeof text === 'string' ? 3 * text.length + LINE_OVERHEAD_BYTES : lineBytes(text);
}

const INITIAL_GROUP_BYTES = 16 * 1024;

/** A group under construction: record lines behind room for the header. */
export class GroupBuilder {
  records = 0;
  /** Header included. */
  length = GROUP_HEADER_BYTES;
  private buffer = Buffer.allocUnsafeSlow(INITIAL_GROUP_BYTES);

  /** Adds a record's line; its place is counted from the beginning of the header. */
  append(text: RecordSource): number {
    const start = this.length;
    const most = start + mostBytes(text);
    if (most > this.buffer.length) this.grow(most);
    const at = start + CHECKSUM_BYTES;
    const length = typeof text === 'string' ? this.buffer.write(text, at, 'utf8') : this.copy(text, at);
    const end = at + length + 1;
    writeChecksum(this.buffer, start, end - 1);
    this.buffer[end - 1] = NEWLINE;
    this.length = end;
    this.records++;
    return start;
  }

  /** The group's bytes; valid until `clear`. */
  finish(sequence: number): Buffer {
    const header = { sequence, bytes: this.length - GROUP_HEADER_BYTES, records: this.records };
    groupHeader(header).copy(this.buffer);
    return this.buffer.subarray(0, this.length);
  }

  /** Makes it an empty group again, keeping its memory. */
  clear(): void {
    this.records = 0;
    this.length = GROUP_HEADER_BYTES;
  }

  private copy(line: ChosenLine | ProposalLine, at: number): number {
    const { bytes, start, value_end } = line;
    const verdict = line instanceof ProposalLine ? ACCEPTED_BYTES : LEARNT_BYTES;
    for (let i = 0; i < verdict.length; i++) this.buffer[at + i] = verdict[i] ?? 0;
    const length = verdict.length + bytes.copy(this.buffer, at + verdict.length, start, value_end);
    this.buffer[at + length] = CLOSING_BRACE;
    return length + 1;
  }

  private grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.length));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
  }
}

/** What is written down of a record: the line that its message came in, where there is one, or its text. */
export function recordSource(record: JournalRecord, members: Members): RecordSource {
  return receivedLine(record, members) ?? encodeRecord(record, members);
}

function receivedLine(record: JournalRecord, { agents }: Members): ChosenLine | ProposalLine | undefined {
  switch (record.verdict) {
    case 'accepted': {
      const { decree, entry, round, owner } = record;
      const isItsOwn = decree instanceof ProposalLine && decree.entry === entry && decree.round === round;
      return isItsOwn && isFrom(decree, agents[owner]) ? decree : undefined;
    }
    case 'learnt': {
      const { decree, entry, peer } = record;
      const isItsOwn = decree instanceof ChosenLine && decree.entry === entry;
      return isItsOwn && isFrom(decree, agents[peer]) ? decree : undefined;
    }
    default:
      return undefined;
  }
}

function isFrom({ from }: ChosenLine | ProposalLine, sender: Address | undefined): boolean {
  return sender !== undefined && sameAddress(from, sender);
}

/** The text of a record: its verdict, and the message that it was passed on. */
export function encodeRecord(record: JournalRecord, members: Members): string {
  return `${record.verdict} ${encodeSource(record, members)}`;
}

function encodeSource(record: JournalRecord, { agents, self }: Members): string {
  switch (record.verdict) {
    case 'used':
    case 'promised': {
      const { entry, round } = record;
      const proposer = agents[record.verdict === 'used' ? self : record.owner];
      return encodeMessage({ type: MessageType.Prepare, request: NO_REQUEST, entry, round }, proposer);
    }
    case 'accepted': {
      const { entry, round, decree } = record;
      const { type, committed } = ACCEPT_REQUEST;
      const message = { type, request: requestOf(decree), entry, round, value: decree.value, committed };
      return encodeMessage(message, agents[record.owner]);
    }
    case 'learnt': {
      const { entry, decree } = record;
      const message = {
        type: MessageType.LogResponse,
        request: requestOf(decree),
        entry,
        value: decree.value,
      };
      return encodeMessage(message, agents[record.peer]);
    }
    case 'committed':
      return `{"committed":${record.committed}}`;
  }
}

/** A vote doesn't depend on the notice that came with it, which has a record of its own. */
const ACCEPT_REQUEST = { type: MessageType.AcceptRequest, committed: entry(0) };

function requestOf({ id, no, noset }: Request): Request {
  return { id, no, noset };
}
