/**
 * The numbers that name things. Each is branded, so that an entry can't be passed where a round is meant;
 * at run time they are plain safe integers.
 */

/** A position in the replicated log, counted from 0 (spec.md, "Encoding"). */
export type Entry = number & { readonly entry: unique symbol };
/** A ballot number for the whole log; −1 stands for "none" where a field allows it (spec.md, "Rounds"). */
export type Round = number & { readonly round: unique symbol };
/** A client session's name, unique for ever: round of the leader that issued it × 2^16 + k, k ≥ 1; 0 is none. */
export type ClientId = number & { readonly clientId: unique symbol };
/** A client's own number for a request; any safe integer ≥ 0. */
export type RequestNumber = number & { readonly requestNumber: unique symbol };
/** An agent's place in the list of all agents, sorted by 32-bit address, then by numeric port. */
export type AgentIndex = number & { readonly agentIndex: unique symbol };
/** How many records this life of the agent has appended to its journal; a record's position is its count. */
export type Position = number & { readonly position: unique symbol };
/** The driver's name for one TCP connection; never used twice in a life of the agent. */
export type ConnectionId = number & { readonly connectionId: unique symbol };

export const entry = (n: number): Entry => n as Entry;
export const round = (n: number): Round => n as Round;
export const clientId = (n: number): ClientId => n as ClientId;
export const requestNumber = (n: number): RequestNumber => n as RequestNumber;
export const agentIndex = (n: number): AgentIndex => n as AgentIndex;
export const position = (n: number): Position => n as Position;
export const connectionId = (n: number): ConnectionId => n as ConnectionId;

export const NO_ROUND: Round = round(-1);
export const NO_CLIENT: ClientId = clientId(0);
