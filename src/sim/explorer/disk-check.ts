import type { RoundValue } from '../../core/message.js';
import { MessageType, type PeerMessage } from '../../core/message.js';
import { NO_ROUND, type AgentIndex, type Entry } from '../../core/ids.js';
import type { AgentState } from '../../core/state.js';

/**
 * Why a disk does not justify a message that its agent sends to `to`, or undefined if it does: whatever a message says
 * must be there after a crash (spec.md, "Durability"). Counted apart from the core.
 */
export function whyUnjustified(disk: AgentState, to: AgentIndex, message: PeerMessage): string | undefined {
  const { promised } = disk.acceptor;
  switch (message.type) {
    case MessageType.Prepare:
      return disk.proposer.used >= message.round
        ? undefined
        : `round ${message.round} is not on disk as spent`;
    case MessageType.Promise:
      if (promised.round < message.round) return `the promise of round ${message.round} is not on disk`;
      if (promised.round === message.round && promised.owner !== to) {
        return `the disk has promised round ${message.round} to another agent`;
      }
      if (disk.learner.committed < message.committed)
        return `commit index ${message.committed} is not on disk`;
      return whyUnreported(disk, message.entry, message.roundvalue);
    case MessageType.Nack:
      // 0 is also what an agent says that has promised nothing yet.
      if (message.promised > 0 && promised.round < message.promised) {
        return `the promise of round ${message.promised} is not on disk`;
      }
      return undefined;
    case MessageType.Accepted: {
      const held = disk.acceptor.accepted.get(message.entry)?.round ?? NO_ROUND;
      if (held >= message.round || disk.learner.chosen.has(message.entry)) return undefined;
      return `the acceptance at round ${message.round} is not on disk`;
    }
    case MessageType.AcceptRequest:
    case MessageType.Heartbeat:
      return undefined;
  }
}

function whyUnreported(disk: AgentState, entry: Entry, reported: RoundValue): string | undefined {
  if (reported.round === NO_ROUND || disk.learner.chosen.has(entry)) return undefined;
  const held = disk.acceptor.accepted.get(entry)?.round ?? NO_ROUND;
  return held >= reported.round ? undefined : `the acceptance at entry ${entry} it reports is not on disk`;
}
