import type { Address } from '../core/address.js';
import type { Decree, Request } from '../core/decree.js';
import type { Entry, Round } from '../core/ids.js';
import { MessageType, type Accepted, type AcceptRequest, type Unread } from '../core/message.js';
import { ValueLine, type LineHead } from './value-line.js';

/**
 * An AcceptRequest as it came (`proposal-reader.ts`), and the decree in it. What a follower's journal and its Accepted
 * say of the value stands there already, so that the value is hardly ever read.
 */
export class ProposalLine extends ValueLine implements AcceptRequest, Unread {
  readonly type = MessageType.AcceptRequest;

  constructor(
    head: LineHead,
    readonly round: Round,
    readonly committed: Entry,
    from: Address,
    bytes: Buffer,
    start: number,
    /** Where `request` begins, with a comma before it: from there to the value's end an Accepted says the same. */
    readonly body_start: number,
    value_start: number,
    value_end: number,
  ) {
    super(head, from, bytes, start, value_start, value_end);
  }

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

  override toJSON(): object {
    const { type, id, no, entry, round, value, committed } = this;
    return { type, id, no, entry, round, value, committed };
  }
}

/** The Accepted that answers it. */
export class AcceptedLine implements Accepted {
  readonly type = MessageType.Accepted;
  readonly #asked: ProposalLine;

  constructor(asked: ProposalLine) {
    this.#asked = asked;
  }

  get request(): Request {
    return this.#asked;
  }

  get entry(): Entry {
    return this.#asked.entry;
  }

  get round(): Round {
    return this.#asked.round;
  }

  get value(): string {
    return this.#asked.value;
  }

  /** All fields beside type and sender, as JSON. */
  get body(): string {
    const { bytes, body_start, value_end } = this.#asked;
    return bytes.toString('latin1', body_start, value_end);
  }

  toJSON(): object {
    const { id, no, entry, round, value } = this.#asked;
    return { type: this.type, id, no, entry, round, value };
  }
}
