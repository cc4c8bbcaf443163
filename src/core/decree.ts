import { NO_CLIENT, type ClientId, type RequestNumber } from './ids.js';

/** Who asked for a value: the part of RequestInfo that travels with it (spec.md, "Encoding"). */
export interface Request {
  /** The session that asked; 0 when nobody did, or when the sender leaves it to the connection. */
  readonly id: ClientId;
  /** The session's number for this request. */
  readonly no: RequestNumber;
  /** In a client's request: a query. In a log entry without an id: a no-op. To an app: apply, don't answer. */
  readonly noset: boolean;
}

/** What an entry of the log holds: a value and the request it came from. Paxos chooses one decree per entry. */
export interface Decree extends Request {
  readonly value: string;
  /** Of the value, about: for a decree that would have to read it first. */
  readonly length?: number;
  /** Whether another has the same value, where that can be told without reading it; undefined if it can't. */
  sameValue?(other: Decree): boolean | undefined;
}

export const NO_REQUEST: Request = { id: NO_CLIENT, no: 0 as RequestNumber, noset: false };

/** Fills a hole; never reaches an application or a client (spec.md, "Encoding"). */
export const NO_OP: Decree = { ...NO_REQUEST, noset: true, value: '' };

export function isNoOp(decree: Decree): boolean {
  return decree.noset && decree.id === NO_CLIENT;
}

/**
 * The decree that a message's request and value make. Field by field, as every entry passes through here several times:
 * spreading an object and adding a field is slow.
 */
export function decreeOf({ id, no, noset }: Request, value: string): Decree {
  return { id, no, noset, value };
}

/** How long the value is: what it costs to keep. The same for a decree as long as there is one. */
export function lengthOf(decree: Decree): number {
  return decree.length ?? decree.value.length;
}

/** Two values are the same only if (id, no, noset, value) are (spec.md, "Encoding"). */
export function sameDecree(a: Decree, b: Decree): boolean {
  return (
    a === b ||
    (a.id === b.id && a.no === b.no && a.noset === b.noset && (a.sameValue?.(b) ?? a.value === b.value))
  );
}
