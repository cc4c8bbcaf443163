import { acceptedRoundValue } from './acceptor.js';
import { NO_REQUEST } from './decree.js';
import { liveLeader } from './election.js';
import { entry as entryOf, type AgentIndex } from './ids.js';
import { MessageType, type AcceptRequest, type Heartbeat, type Prepare } from './message.js';
import type { Outbox } from './outbox.js';
import type { AgentState } from './state.js';

/** Refuses a message, saying what is promised here, what is accepted at its entry, and who leads (spec.md, "Acceptors"). */
export function sendNack(
  agent: AgentState,
  out: Outbox,
  to: AgentIndex,
  refused: Prepare | AcceptRequest | Heartbeat,
): void {
  const leader = liveLeader(agent);
  const address = leader === undefined ? undefined : agent.config.agents[leader];
  const isBeat = refused.type === MessageType.Heartbeat;
  const entry = isBeat ? entryOf(0) : refused.entry;
  out.persistCommitted();
  out.send(to, {
    type: MessageType.Nack,
    request: isBeat ? NO_REQUEST : refused.request,
    entry,
    round: refused.round,
    roundvalue: isBeat ? acceptedNowhere() : acceptedRoundValue(agent, entry),
    promised: agent.acceptor.promised.round,
    leaderaddress: address?.address ?? '',
    leaderport: address?.port ?? '',
  });
}

function acceptedNowhere() {
  return { round: -1 as Heartbeat['round'], value: '', request: NO_REQUEST };
}
