import { indexOfAddress } from '../core/address.js';
import { decreeOf } from '../core/decree.js';
import { agentIndex, entry } from '../core/ids.js';
import { MessageType } from '../core/message.js';
import type { JournalRecord } from '../core/record.js';
import { ChosenLineReader } from '../wire/chosen-line.js';
import { decodeMessage } from '../wire/codec.js';
import { moveTo, place, stands } from '../wire/cursor.js';
import { ProposalReader } from '../wire/proposal-reader.js';
import {
  ACCEPTED_BYTES,
  CHECKSUM_BYTES,
  isLine,
  LEARNT_BYTES,
  type Members,
  type RecordLine,
} from './format.js';

/** What `encodeRecord` has made, read again (spec.md, "Durability"). */

export type Parsed =
  { readonly ok: true; readonly record: JournalRecord } | { readonly ok: false; readonly reason: string };

/** How much a decree keeps in memory at most beside itself, unless it is larger. */
const SLAB_BYTES = 64 * 1024;

/**
 * Memory for lines that are kept. What was read of a file holds records that go and others that stay for long, and one
 * that stays would keep all of it: so those of a kind, which go in the order in which they came, are copied together.
 */
class Slab {
  bytes = Buffer.alloc(0);
  #used = 0;

  /** Puts a copy of the bytes from `start` to `end` behind what is kept, and returns where it begins. */
  put(source: Buffer, start: number, end: number): number {
    const length = end - start;
    if (this.#used + length > this.bytes.length) {
      this.bytes = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, length));
      this.#used = 0;
    }
    source.copy(this.bytes, this.#used, start, end);
    return this.#used;
  }

  /** What was put there last is kept: nobody changes its bytes any more. */
  keep(length: number): void {
    this.#used += length;
  }
}

/**
 * Reads the records of a journal one after the other. One that holds a decree becomes neither a text nor a message, if it
 * is to the byte what this program writes: its value stays in a copy of its line.
 */
export class RecordReader {
  readonly #members: Members;
  readonly #proposals: readonly ProposalReader[];
  readonly #chosen: readonly ChosenLineReader[];
  readonly #accepted_lines = new Slab();
  readonly #learnt_lines = new Slab();
  /** Whose message the last record with a decree is: the next one's is mostly from the same agent. */
  #sender = 0;

  constructor(members: Members) {
    this.#members = members;
    this.#proposals = members.agents.map((agent) => new ProposalReader(agent));
    this.#chosen = members.agents.map((agent) => new ChosenLineReader(agent));
  }

  read(line: RecordLine): Parsed {
    const record = this.#accepted(line) ?? this.#learnt(line);
    return record === undefined ? parseRecord(line.text, this.#members) : { ok: true, record };
  }

  #accepted({ bytes, start, end }: RecordLine): JournalRecord | undefined {
    const message = behind(ACCEPTED_BYTES, bytes, start);
    if (message === undefined) return undefined;
    const lines = this.#accepted_lines;
    const at = lines.put(bytes, message, end);
    const decree = this.#bySender((sender) => this.#proposals[sender]?.read(lines.bytes, at));
    // A vote has no commit index; whatever else stands there is for the codec.
    if (decree === undefined || decree.committed !== 0 || place() - at !== end - 1 - message)
      return undefined;
    lines.keep(end - message);
    const { entry, round } = decree;
    return { verdict: 'accepted', entry, round, owner: agentIndex(this.#sender), decree };
  }

  #learnt({ bytes, start, end }: RecordLine): JournalRecord | undefined {
    const message = behind(LEARNT_BYTES, bytes, start);
    if (message === undefined) return undefined;
    const lines = this.#learnt_lines;
    const at = lines.put(bytes, message, end);
    const decree = this.#bySender((sender) => this.#chosen[sender]?.read(lines.bytes, at));
    if (decree === undefined || decree.end - at !== end - 1 - message) return undefined;
    lines.keep(end - message);
    return { verdict: 'learnt', entry: decree.entry, peer: agentIndex(this.#sender), decree };
  }

  /** What the first agent's reader makes of it that takes it; the last one's is asked first. */
  #bySender<T>(read: (sender: number) => T | undefined): T | undefined {
    const count = this.#proposals.length;
    for (let tried = 0; tried < count; tried++) {
      const sender = (this.#sender + tried) % count;
      const found = read(sender);
      if (found === undefined) continue;
      this.#sender = sender;
      return found;
    }
    return undefined;
  }
}

/** Where the message begins of the line at `start`, if its verdict is this. */
function behind(verdict: Buffer, bytes: Buffer, start: number): number | undefined {
  moveTo(start + CHECKSUM_BYTES);
  return stands(bytes, verdict) ? place() : undefined;
}

const COMMITTED = /^\{"committed":(\d{1,16})\}$/;

/** The record of a text that `encodeRecord` made. */
export function parseRecord(text: string, members: Members): Parsed {
  const space = text.indexOf(' ');
  const verdict = text.slice(0, space);
  const source = text.slice(space + 1);
  if (verdict === 'committed') return parseCommitted(source);
  const decoded = decodeMessage(source);
  if (!decoded.ok) return refused(`its message can't be read (${decoded.text})`);
  const { message, from } = decoded;
  const sender = from && indexOfAddress(members.agents, from);
  if (sender === undefined) return refused('its message comes from nobody in the cluster');
  if (message.type === MessageType.Prepare) {
    const { entry, round } = message;
    if (verdict === 'promised') return { ok: true, record: { verdict, round, owner: sender, entry } };
    if (verdict === 'used' && sender === members.self) return { ok: true, record: { verdict, round, entry } };
  }
  if (message.type === MessageType.AcceptRequest && verdict === 'accepted') {
    const { entry, round } = message;
    return {
      ok: true,
      record: { verdict, entry, round, owner: sender, decree: decreeOf(message.request, message.value) },
    };
  }
  if (message.type === MessageType.LogResponse && verdict === 'learnt') {
    return {
      ok: true,
      record: {
        verdict,
        entry: message.entry,
        peer: sender,
        decree: decreeOf(message.request, message.value),
      },
    };
  }
  return refused(`"${verdict}" is no verdict of this node on a message of type ${message.type}`);
}

function parseCommitted(source: string): Parsed {
  const committed = Number(COMMITTED.exec(source)?.[1] ?? NaN);
  if (!Number.isSafeInteger(committed)) return refused('it is no commit index');
  return { ok: true, record: { verdict: 'committed', committed: entry(committed) } };
}

function refused(reason: string): Parsed {
  return { ok: false, reason };
}

/**
 * Where the message of a record begins that holds a decree, if the bytes from `start` to `end` are its line with a right
 * checksum; undefined for any other.
 */
export function messageStart(bytes: Buffer, start: number, end: number): number | undefined {
  if (!isLine(bytes, start, end)) return undefined;
  return behind(ACCEPTED_BYTES, bytes, start) ?? behind(LEARNT_BYTES, bytes, start);
}
