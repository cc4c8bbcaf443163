import { mustBeDurable } from './durability.js';
import type { ClientReply, Effect } from './effect.js';
import type { TimerName } from './event.js';
import { agentIndex, position, type AgentIndex, type ConnectionId, type Position } from './ids.js';
import type { PeerMessage } from './message.js';
import { mutants } from './mutants.js';
import type { JournalRecord } from './record.js';
import type { AgentState } from './state.js';

type Details = Readonly<Record<string, string | number | boolean>>;

/** Collects the effects of one step, in order, and ties what is sent to what must be durable before it. */
export class Outbox {
  readonly effects: Effect[] = [];
  /** The timer that was set last, if no other was set or cleared since. */
  private timer: (Effect & { type: 'set-timer' }) | undefined;

  constructor(private readonly agent: Pick<AgentState, 'config' | 'journal' | 'learner'>) {}

  /**
   * Appends a record and returns its position. The commit index rides along with any other record, so that a
   * durable promise or acceptance never stands on a journal that knows less than the agent did.
   */
  persist(record: JournalRecord): Position {
    if (record.verdict !== 'committed') this.persistCommitted();
    return this.append(record);
  }

  /** Writes the commit index down if it has moved since it was last written. */
  persistCommitted(): void {
    const { learner } = this.agent;
    if (learner.committed === learner.recorded || mutants.commit_index_not_durable) return;
    learner.recorded = learner.committed;
    this.append({ verdict: 'committed', committed: learner.committed });
  }

  private append(record: JournalRecord): Position {
    const { journal } = this.agent;
    journal.appended = position(journal.appended + 1);
    this.effects.push({ type: 'persist', position: journal.appended, record });
    return journal.appended;
  }

  send(to: AgentIndex, message: PeerMessage, alone = false): void {
    const { journal } = this.agent;
    const after = mustBeDurable(message) === 'everything' ? journal.appended : position(0);
    this.effects.push({ type: 'send', to, message, after, alone });
  }

  /** Sends one message to every other agent for which `wanted` holds. */
  broadcast(message: PeerMessage, wanted: (agent: AgentIndex) => boolean = () => true, alone = false): void {
    const { self, agents } = this.agent.config;
    for (let i = 0; i < agents.length; i++) {
      const to = agentIndex(i);
      if (to !== self && wanted(to)) this.send(to, message, alone);
    }
  }

  reply(connection: ConnectionId, message: ClientReply): void {
    this.effects.push({ type: 'reply', connection, message });
  }

  close(connection: ConnectionId): void {
    this.effects.push({ type: 'close', connection });
  }

  /** A step takes no time: to set a timer again as it was just set changes nothing. */
  setTimer(timer: TimerName, min_ms: number, max_ms = min_ms): void {
    const last = this.timer;
    if (last?.timer === timer && last.min_ms === min_ms && last.max_ms === max_ms) return;
    this.timer = { type: 'set-timer', timer, min_ms, max_ms };
    this.effects.push(this.timer);
  }

  clearTimer(timer: TimerName): void {
    this.timer = undefined;
    this.effects.push({ type: 'clear-timer', timer });
  }

  push(effect: Effect): void {
    this.effects.push(effect);
  }

  note(level: 'debug' | 'info' | 'warn' | 'error', code: string, text: string, details?: Details): void {
    this.effects.push({ type: 'note', level, code, text, ...(details && { details }) });
  }

  /** Input that is well-formed but has no place: nothing changes but a counter. */
  ignore(code: string, text: string, details?: Details): void {
    this.note('debug', code, text, details);
  }
}
