import type { Address } from '../core/address.js';
import type { Decree, Request } from '../core/decree.js';
import type { ClientId, Entry, RequestNumber, Round } from '../core/ids.js';
import { MessageType, type Accepted, type AcceptRequest, type Unread } from '../core/message.js';

/**
 * An AcceptRequest as it came (`proposal-reader.ts`), and the decree in it. Only its numbers were read: the value stays
 * where it is, as a follower hardly ever asks for it, and what its journal and its Accepted say of it stands there already.
 */
export class ProposalLine implements AcceptRequest, Decree, Unread {
  readonly type = MessageType.AcceptRequest;
  readonly noset = false;

  constructor(
    readonly id: ClientId,
    readonly no: RequestNumber,
    readonly entry: Entry,
    readonly round: Round,
    readonly committed: Entry,
    /** Who proposes it, as the line says. */
    readonly from: Address,
    /** Where the line is: from `start` on; without what stands behind the value, the commit index, up to `end`. */
    readonly bytes: Buffer,
    readonly start: number,
    /** Where `request` begins, with a comma before it: from there to `end` an Accepted says the same. */
    readonly body_start: number,
    /** Where the value's JSON text begins. */
    readonly value_start: number,
    readonly end: number,
  ) {}

  get request(): Request {
    return this;
  }

  get unread(): Unread {
    return this;
  }

  get decree(): Decree {
    return this;
  }

  get accepted(): Accepted {
    return new AcceptedLine(this);
  }

  get value(): string {
    return JSON.parse(this.bytes.toString('latin1', this.value_start, this.end)) as string;
  }

  /** Of the JSON text. */
  get length(): number {
    return this.end - this.value_start;
  }
}

/** The Accepted that answers it. */
export class AcceptedLine implements Accepted {
  readonly type = MessageType.Accepted;

  constructor(readonly asked: ProposalLine) {}

  get request(): Request {
    return this.asked;
  }

  get entry(): Entry {
    return this.asked.entry;
  }

  get round(): Round {
    return this.asked.round;
  }

  get value(): string {
    return this.asked.value;
  }

  /** All fields beside type and sender, as JSON. */
  get body(): string {
    const { bytes, body_start, end } = this.asked;
    return bytes.toString('latin1', body_start, end);
  }
}
