import type { Address } from '../../src/core/address.js';
import { isNoOp, type Decree } from '../../src/core/decree.js';
import type { ClientReply, Effect } from '../../src/core/effect.js';
import { MESSAGE_NAMES, MessageType, type PeerMessage, type RoundValue } from '../../src/core/message.js';
import type { JournalRecord } from '../../src/core/record.js';
import type { AgentState } from '../../src/core/state.js';

/** How scenarios show what happens: one short line each, in words that the documents use too. */

export function showDecree(decree: Decree): string {
  return isNoOp(decree) ? 'no-op' : decree.value === '' ? '""' : decree.value;
}

function showRoundValue({ round, value, request }: RoundValue): string {
  return round < 0 ? 'nothing' : `${showDecree({ ...request, value })}@${round}`;
}

export function nameOf(message: PeerMessage): string {
  return MESSAGE_NAMES[message.type] ?? '?';
}

export function showMessage(message: PeerMessage, agents: readonly Address[]): string {
  const at = message.type === MessageType.Heartbeat ? '' : `entry ${message.entry}, `;
  return `${nameOf(message)}(${at}round ${message.round}${showRest(message, agents)})`;
}

function showRest(message: PeerMessage, agents: readonly Address[]): string {
  switch (message.type) {
    case MessageType.Prepare:
      return '';
    case MessageType.Promise:
      return `: ${showRoundValue(message.roundvalue)}; length ${message.length}, committed ${message.committed}`;
    case MessageType.Nack: {
      const leader = agents.findIndex(
        ({ address, port }) => address === message.leaderaddress && port === message.leaderport,
      );
      return `: promised ${message.promised}${leader < 0 ? '' : `, leader ${leader}`}`;
    }
    case MessageType.AcceptRequest:
      return `: ${showDecree({ ...message.request, value: message.value })}; committed ${message.committed}`;
    case MessageType.Accepted:
      return `: ${showDecree({ ...message.request, value: message.value })}`;
    case MessageType.Heartbeat:
      return `: committed ${message.committed}`;
  }
}

export function showRecord(record: JournalRecord): string {
  switch (record.verdict) {
    case 'used':
      return `used round ${record.round}`;
    case 'promised':
      return `promised round ${record.round} to ${record.owner}`;
    case 'accepted':
      return `accepted ${showDecree(record.decree)} at entry ${record.entry}, round ${record.round}`;
    case 'learnt':
      return `learnt ${showDecree(record.decree)} at entry ${record.entry}`;
    case 'committed':
      return `committed ${record.committed}`;
  }
}

export function showReply(message: ClientReply): string {
  switch (message.type) {
    case MessageType.ClientConn:
      return `ClientConn(id ${message.request.id}, no ${message.request.no})`;
    case MessageType.ClientRedirect:
      return `ClientRedirect(to ${message.leaderaddress}:${message.leaderport})`;
    case MessageType.ClientResponse:
      return `ClientResponse(no ${message.request.no}, entry ${message.entry}: ${message.value})`;
    case MessageType.Error:
      return `Error(no ${message.request.no}: ${message.error})`;
    case MessageType.LogResponse:
      return `LogResponse(entry ${message.entry}: ${message.value})`;
  }
}

/** What an effect looks like, unless it is shown elsewhere or not at all. */
export function showEffect(
  self: number,
  effect: Effect,
  names: { client(name: number): string; timers: boolean },
): string | undefined {
  switch (effect.type) {
    case 'persist':
      return `${self} writes: ${showRecord(effect.record)}`;
    case 'reply':
      return `${self} tells client ${names.client(effect.connection)}: ${showReply(effect.message)}`;
    case 'close':
      return `${self} closes the connection of client ${names.client(effect.connection)}`;
    case 'set-timer':
      if (!names.timers) return undefined;
      return `${self} sets its ${effect.timer} timer: ${range(effect.min_ms, effect.max_ms)}`;
    case 'clear-timer':
      return names.timers ? `${self} stops its ${effect.timer} timer` : undefined;
    case 'fetch':
      return `${self} asks ${effect.peer} for its log from entry ${effect.first} on`;
    case 'cancel-fetch':
      return `${self} has caught up and closes the stream`;
    case 'committed':
      return `${self} knows chosen: all below entry ${effect.committed}`;
    case 'reign':
      return `${self} LEADS, at round ${effect.round}`;
    case 'abdicate':
      return `${self} stops leading: ${effect.reason}`;
    case 'follow':
      if (effect.leader === self) return undefined;
      return effect.leader === undefined ? `${self} knows no leader` : `${self} follows ${effect.leader}`;
    case 'note':
      if (effect.level === 'info') return undefined;
      return `${self} ${effect.level === 'debug' ? 'ignores' : effect.level === 'warn' ? 'warns' : 'ALARM'}: ${effect.text}`;
    case 'send':
    case 'load':
      return undefined;
  }
}

function range(min_ms: number, max_ms: number): string {
  return min_ms === max_ms ? `${min_ms} ms` : `${min_ms} to ${max_ms} ms`;
}

/** One line per agent: its part, its promise, and its log with * behind what it knows chosen. */
export function showState(self: number, agent: AgentState, up: boolean): string {
  if (!up) return `${self} is down`;
  const { acceptor, learner, proposer, election } = agent;
  const part =
    proposer.reign !== undefined
      ? `leads at round ${proposer.reign.round}`
      : proposer.candidate !== undefined
        ? `stands at round ${proposer.candidate.round}`
        : election.leader === undefined
          ? 'has no leader'
          : `${election.confirmed ? 'follows' : 'has promised'} ${election.leader}`;
  const promise =
    acceptor.promised.owner === undefined
      ? 'nothing promised'
      : `promised ${acceptor.promised.round} to ${acceptor.promised.owner}`;
  return `${self} ${part}; ${promise}; log: ${showLog(agent, Math.max(acceptor.length, learner.committed))}`;
}

function showLog({ acceptor, learner }: AgentState, length: number): string {
  const shown: string[] = [];
  for (let e = 0; e < length; e++) {
    const chosen = learner.chosen.get(e as never);
    const acceptance = acceptor.accepted.get(e as never);
    if (chosen !== undefined) shown.push(`${showDecree(chosen)}*`);
    else shown.push(acceptance === undefined ? '-' : `${showDecree(acceptance.decree)}@${acceptance.round}`);
  }
  return shown.length === 0 ? 'empty' : shown.join(' ');
}
