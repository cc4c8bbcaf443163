import { acceptedRoundValue } from './acceptor.js';
import { NO_REQUEST } from './decree.js';
import { liveLeader } from './election.js';
import { entry as entryOf, NO_ROUND, round, type AgentIndex } from './ids.js';
import { MessageType, type AcceptRequest, type Heartbeat, type Prepare } from './message.js';
import type { Outbox } from './outbox.js';
import { higher } from './round.js';
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
    // 0 means nothing, and is what an agent says that has promised nothing yet.
    promised: higher(agent.acceptor.promised.round, round(0)),
    leaderaddress: address?.address ?? '',
    leaderport: address?.port ?? '',
  });
}

function acceptedNowhere() {
  return { round: NO_ROUND, value: '', request: NO_REQUEST };
}
