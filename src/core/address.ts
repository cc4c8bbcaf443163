import { agentIndex, type AgentIndex } from './ids.js';

/** An agent's address as it stands in messages: dotted IPv4, and the port as a decimal string. */
export interface Address {
  readonly address: string;
  readonly port: string;
}

/** The 32-bit number of a dotted IPv4 address. */
function numericAddress(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Order of agents: by 32-bit address, then by numeric port (spec.md, "Rounds"). Negative when `a` comes first. */
export function compareAddresses(a: Address, b: Address): number {
  return numericAddress(a.address) - numericAddress(b.address) || Number(a.port) - Number(b.port);
}

/** Whether both parts are the same text; ports have no leading zeros (spec.md, "Encoding"). */
export function sameAddress(a: Address, b: Address): boolean {
  return a.address === b.address && a.port === b.port;
}

/** `HOST:PORT`, as people write it. */
export function formatAddress(a: Address): string {
  return `${a.address}:${a.port}`;
}

/** The index of `wanted` in the sorted list of agents, or undefined for a stranger. */
export function indexOfAddress(agents: readonly Address[], wanted: Address): AgentIndex | undefined {
  for (let i = 0; i < agents.length; i++) {
    const agent = agents[i];
    if (agent !== undefined && sameAddress(agent, wanted)) return agentIndex(i);
  }
  return undefined;
}
