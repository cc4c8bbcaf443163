/**
 * Constants of the format: the same on every agent of a cluster, written into each agent's identity, never flags.
 * Two agents that disagree on one of them could fold the same log into different states (spec.md, "Limits").
 */

/** The largest UDP payload over IPv4: 65,535 less 20 bytes of IP header and 8 of UDP. */
export const MAX_DATAGRAM_BYTES = 65_507;

/**
 * What the longest of Promise, Nack, AcceptRequest and Accepted (it is Nack) needs beside its value: 16-digit numbers,
 * two addresses, zero values spelled out, a space behind each colon and comma as the wordiest encoders in use put it.
 * The wire's tests build that message and hold this number against it.
 */
export const MESSAGE_OVERHEAD_BYTES = 473;

/**
 * The largest value, in bytes of its JSON text under the worst escaping that encoders in use apply (`valueCost`),
 * so that a value which was admitted can always be reported, by agents in any language.
 */
export const MAX_VALUE_COST = MAX_DATAGRAM_BYTES - MESSAGE_OVERHEAD_BYTES;

/** W: how far above a commit index an acceptor accepts. Four times what a leader keeps in flight. */
export const ACCEPT_WINDOW_ENTRIES = 4096;

/** S: sessions in the exactly-once table. 4096 × 256 numbers fit into about 60 MB. */
export const MAX_SESSIONS = 4096;

/** K: executed numbers kept per session; twice what one client may have in flight. */
export const MAX_NUMBERS_PER_SESSION = 256;

/** Rounds stay below this, so that a session id, round × 2^16 + k, is a safe integer. */
export const MAX_ROUND = 2 ** 37;

/** How far above `promised` one message may jump; 2^9 such messages would be needed to use the rounds up. */
export const MAX_ROUND_JUMP = 2 ** 28;

/** Bytes of Promises that answer one Prepare: a burst that a default receive buffer holds. */
export const MAX_PROMISE_BYTES = 64 * 1024;

/** Agents in a cluster: votes are counted in the bits of a 32-bit integer. */
export const MAX_AGENTS = 31;

/* The rest are bounds on memory and effort. They differ between agents without harm. */

/** Entries that a leader has proposed and not yet seen chosen. */
export const MAX_ENTRIES_IN_FLIGHT = 1024;

/** Requests that wait for a place among the entries in flight; past it clients get `overloaded`. */
export const MAX_REQUESTS_QUEUED = 4096;

/** Requests of one connection that wait for an answer. */
export const MAX_REQUESTS_PER_CLIENT = 128;

/** Chosen entries kept in memory behind the commit index; older ones are read back from the journal. */
export const RETAINED_ENTRIES = 4096;

/** Total length of values kept in memory behind the commit index, or of the JSON texts of those that were not read. */
export const RETAINED_VALUE_LENGTH = 16 * 1024 * 1024;

/** Total length of the application's answers kept for requests that are asked again. */
export const RETAINED_ANSWER_LENGTH = 16 * 1024 * 1024;

/** What keeping an answer costs beside its text, so that even empty ones are bounded in number. */
export const ANSWER_OVERHEAD_LENGTH = 64;

/**
 * Acceptances kept in memory: those of retained entries and, on an agent that catches up, of what is proposed meanwhile.
 * Beyond it only what lies within the agent's own window is accepted, until there is room again.
 */
export const MAX_HELD_ENTRIES = 2 ** 19;

/** Total length of the values of these acceptances, in the same way. */
export const MAX_HELD_LENGTH = 64 * 1024 * 1024;

/** Entries that one retransmission tick sends again, oldest first: a few datagrams' worth. */
export const MAX_RETRANSMITTED_ENTRIES = 32;

/** A character of a value that costs more than one byte. */
const COSTLY_CHARACTER = /[^\x20-\x7e]|["\\/<>&]/g;

/** So many of them are looked for one by one, which is quick where they are few; then every character is. */
const MAX_SEARCHES = 64;

/**
 * Length of `value` in bytes as JSON, each character at the worst that encoders in use make of it: `"`, `\` and `/`
 * two bytes; control characters, DEL, everything beyond ASCII (per UTF-16 unit) and `<`, `>`, `&` six.
 */
export function valueCost(value: string): number {
  let cost = value.length;
  COSTLY_CHARACTER.lastIndex = 0;
  for (let searches = 0; searches < MAX_SEARCHES; searches++) {
    if (!COSTLY_CHARACTER.test(value)) return cost;
    cost += costOfUnit(value.charCodeAt(COSTLY_CHARACTER.lastIndex - 1)) - 1;
  }
  for (let i = COSTLY_CHARACTER.lastIndex; i < value.length; i++) cost += costOfUnit(value.charCodeAt(i)) - 1;
  return cost;
}

function costOfUnit(unit: number): number {
  if (unit === 0x22 || unit === 0x5c || unit === 0x2f) return 2;
  if (unit === 0x3c || unit === 0x3e || unit === 0x26) return 6;
  return unit < 0x20 || unit > 0x7e ? 6 : 1;
}

/** The last long value that fitted: a request's value is looked at where it is read, and where it is proposed. */
let last_fitting = '';

/** Whether a value of this length can be admitted, whatever its characters are. */
export function isShort(length: number): boolean {
  return length * 6 <= MAX_VALUE_COST;
}

/** Whether a value can be admitted: everything that ever reports it fits into a datagram. */
export function fitsDatagram(value: string): boolean {
  if (isShort(value.length) || value === last_fitting) return true;
  if (valueCost(value) > MAX_VALUE_COST) return false;
  last_fitting = value;
  return true;
}

/** What a Promise of a value costs of MAX_PROMISE_BYTES; acceptor and candidate count alike. */
export function promiseCost(value: string): number {
  return MESSAGE_OVERHEAD_BYTES / 2 + valueCost(value);
}
