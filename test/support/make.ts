import type { Address } from '../../src/core/address.js';
import { NO_OP, NO_REQUEST, type Decree, type Request } from '../../src/core/decree.js';
import {
  agentIndex,
  clientId,
  connectionId,
  entry,
  requestNumber,
  round,
  type AgentIndex,
  type ConnectionId,
} from '../../src/core/ids.js';
import {
  MessageType,
  type Accepted,
  type AcceptRequest,
  type ClientConnectRequest,
  type ClientRequest,
  type Heartbeat,
  type Nack,
  type Prepare,
  type Promise,
  type RoundValue,
} from '../../src/core/message.js';
import { DEFAULT_TIMES, type AgentConfig } from '../../src/core/state.js';

/** Short ways to write down what tests of the core need, in plain numbers. */

export const NOTHING: RoundValue = { round: round(-1), value: '', request: NO_REQUEST };

/** Addresses in the order of their agents. */
export function addresses(agents: number): Address[] {
  return Array.from({ length: agents }, (_unused, i) => ({ address: '10.0.0.1', port: String(7001 + i) }));
}

export function config(self: number, agents = 3, changes: Partial<AgentConfig> = {}): AgentConfig {
  return { self: agentIndex(self), agents: addresses(agents), has_app: false, ...DEFAULT_TIMES, ...changes };
}

export function request(id: number, no: number): Request {
  return { id: clientId(id), no: requestNumber(no), noset: false };
}

/** A decree that session `id` asked for, or with id 0 a value that nobody asked for. */
export function decree(value: string, id = 65537, no = 1): Decree {
  return { ...request(id, no), value };
}

export { NO_OP };

export function accepted_at(r: number, what: Decree): RoundValue {
  const { value, ...asked } = what;
  return { round: round(r), value, request: asked };
}

export function prepare(e: number, r: number): Prepare {
  return { type: MessageType.Prepare, request: NO_REQUEST, entry: entry(e), round: round(r) };
}

export function promise(
  e: number,
  r: number,
  { roundvalue = NOTHING, length = 0, committed = 0 } = {},
): Promise {
  return {
    type: MessageType.Promise,
    request: NO_REQUEST,
    entry: entry(e),
    round: round(r),
    roundvalue,
    length,
    committed: entry(committed),
  };
}

export function nack(r: number, promised: number, leader?: Address): Nack {
  return {
    type: MessageType.Nack,
    request: NO_REQUEST,
    entry: entry(0),
    round: round(r),
    roundvalue: NOTHING,
    promised: round(promised),
    leaderaddress: leader?.address ?? '',
    leaderport: leader?.port ?? '',
  };
}

export function acceptRequest(e: number, r: number, what: Decree, committed = 0): AcceptRequest {
  const { value, ...asked } = what;
  return {
    type: MessageType.AcceptRequest,
    request: asked,
    entry: entry(e),
    round: round(r),
    value,
    committed: entry(committed),
  };
}

export function accepted(e: number, r: number, what: Decree): Accepted {
  const { value, ...asked } = what;
  return { type: MessageType.Accepted, request: asked, entry: entry(e), round: round(r), value };
}

export function heartbeat(from: number, r: number, committed = 0, agents = 3): Heartbeat {
  const { address: leaderaddress, port: leaderport } = addresses(agents)[from]!;
  return {
    type: MessageType.Heartbeat,
    leaderaddress,
    leaderport,
    round: round(r),
    committed: entry(committed),
  };
}

export function hello(id = 0): ClientConnectRequest {
  return { type: MessageType.ClientConnectRequest, request: { ...NO_REQUEST, id: clientId(id) } };
}

export function ask(no: number, value: string, id = 0): ClientRequest {
  return { type: MessageType.ClientRequest, request: request(id, no), entry: entry(0), value };
}

export function query(e: number): ClientRequest {
  return {
    type: MessageType.ClientRequest,
    request: { ...NO_REQUEST, noset: true },
    entry: entry(e),
    value: '',
  };
}

export const agent = (n: number): AgentIndex => agentIndex(n);
export const connection = (n: number): ConnectionId => connectionId(n);
