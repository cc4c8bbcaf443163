import type { Address } from '../core/address.js';
import type { Decree } from '../core/decree.js';
import {
  clientId,
  entry,
  requestNumber,
  type ClientId,
  type Entry,
  type RequestNumber,
} from '../core/ids.js';
import { digits, stands } from './cursor.js';

/**
 * A message with a decree in it that was not parsed: its numbers were read, and the value stays where it came, until
 * somebody asks for it. The value's JSON text is to the byte what JSON.stringify writes, and plain ASCII.
 */
export abstract class ValueLine implements Decree {
  readonly noset = false;
  readonly id: ClientId;
  readonly no: RequestNumber;
  readonly entry: Entry;

  constructor(
    head: LineHead,
    /** Who says so, as the line says. */
    readonly from: Address,
    /** Where it is. Nobody changes these any more. */
    readonly bytes: Buffer,
    readonly start: number,
    /** Where the value's JSON text begins and ends. */
    readonly value_start: number,
    readonly value_end: number,
  ) {
    this.id = head.id;
    this.no = head.no;
    this.entry = head.entry;
  }

  get value(): string {
    return JSON.parse(this.bytes.toString('latin1', this.value_start, this.value_end)) as string;
  }

  /** Of the JSON text. */
  get length(): number {
    return this.value_end - this.value_start;
  }

  /** Of two that were not parsed, the texts are compared; undefined for any other. */
  sameValue(other: Decree): boolean | undefined {
    if (!(other instanceof ValueLine)) return undefined;
    const { bytes, value_start, value_end } = other;
    return this.bytes.compare(bytes, value_start, value_end, this.value_start, this.value_end) === 0;
  }

  /** For texts of whole states, and of messages. */
  abstract toJSON(): object;
}

/** What such a line begins with: whose request it is, and its entry. */
export interface LineHead {
  readonly id: ClientId;
  readonly no: RequestNumber;
  readonly entry: Entry;
}

/** Where a line's request begins, in its opening. */
export const REQUEST_ID = '"id":';

const NUMBER = Buffer.from(',"no":');
const INSIDE = Buffer.from(',"entry":');
const OUTSIDE = Buffer.from('},"entry":');

/** Goes over the opening, the request and the entry, if all are there and none is zero. */
export function readHead(bytes: Buffer, opening: Uint8Array): LineHead | undefined {
  if (!stands(bytes, opening)) return undefined;
  const id = digits(bytes);
  if (!stands(bytes, NUMBER)) return undefined;
  const no = digits(bytes);
  if (!stands(bytes, INSIDE)) return undefined;
  const inside = digits(bytes);
  if (!stands(bytes, OUTSIDE)) return undefined;
  const outside = digits(bytes);
  if (id === 0 || no === 0 || inside === 0 || inside !== outside) return undefined;
  return { id: clientId(id), no: requestNumber(no), entry: entry(inside) };
}
