import { newAgent, recover, step } from '../../core/agent.js';
import type { Effect } from '../../core/effect.js';
import type { Event } from '../../core/event.js';
import type { JournalRecord } from '../../core/record.js';
import type { AgentConfig, AgentState } from '../../core/state.js';

/** What is explored: the core that ships, or a mutant of it. */
export interface Protocol {
  readonly newAgent: (config: AgentConfig) => AgentState;
  readonly step: (agent: AgentState, event: Event) => Effect[];
  readonly recover: (agent: AgentState, record: JournalRecord) => void;
}

export const SHIPPED: Protocol = { newAgent, step, recover };
