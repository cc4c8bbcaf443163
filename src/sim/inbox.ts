import { sameAddress, type Address } from '../core/address.js';
import { agentIndex, type AgentIndex } from '../core/ids.js';
import { isPeerMessage, MessageType, type PeerMessage } from '../core/message.js';
import { decodeMessage } from '../wire/codec.js';
import { splitDatagram } from '../wire/datagram.js';
import { ProposalReader } from '../wire/proposal-reader.js';

/** What a node makes of a datagram before its core sees anything of it. */
export interface Received {
  readonly from: AgentIndex;
  readonly messages: readonly { readonly message: PeerMessage; readonly text: string }[];
  /** Whether they were taken as they came, without being parsed. */
  readonly unread: boolean;
  /** Why it, or an object in it, was dropped; the names are those of the shipped socket. */
  readonly dropped: readonly string[];
}

function nothing(dropped: string): Received {
  return { from: agentIndex(-1), messages: [], unread: false, dropped: [dropped] };
}

/** Reads a datagram by the rules of the shipped socket: from a peer's own address, and naming no other. */
export function readDatagram(
  agents: readonly Address[],
  self: AgentIndex,
  source: Address,
  datagram: Buffer,
): Received {
  const index = agents.findIndex((agent) => sameAddress(agent, source));
  if (index < 0 || index === self) return nothing('datagram-stranger');
  const proposals = new ProposalReader(source).readAll(datagram);
  if (proposals !== undefined) {
    const texts = datagram.toString('latin1').split('\n');
    const messages = proposals.map((message, i) => ({ message, text: texts[i] ?? '' }));
    return { from: agentIndex(index), messages, unread: true, dropped: [] };
  }
  const split = splitDatagram(datagram);
  if (!split.ok) return nothing('datagram-malformed');
  const messages: { message: PeerMessage; text: string }[] = [];
  const dropped: string[] = [];
  const { bounds } = split;
  for (let i = 0; i < bounds.length; i += 2) {
    const decoded = decodeMessage(split.text, bounds[i], bounds[i + 1]);
    const text = split.text.slice(bounds[i], bounds[i + 1]);
    if (!decoded.ok) dropped.push('datagram-malformed');
    else if (decoded.from === undefined || !sameAddress(decoded.from, source))
      return nothing('datagram-forged');
    else if (isPeerMessage(decoded.message)) messages.push({ message: decoded.message, text });
    else if (decoded.message.type !== MessageType.Empty && decoded.message.type !== MessageType.Done)
      dropped.push('datagram-not-allowed');
  }
  return { from: agentIndex(index), messages, unread: false, dropped };
}
