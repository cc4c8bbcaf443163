import type { Effect } from '../../core/effect.js';
import type { TimerName } from '../../core/event.js';
import type { AgentState } from '../../core/state.js';

/** Groups of timers of which at least one runs in each part: otherwise nothing would ever happen by itself. */
function neededBy(agent: AgentState): readonly (readonly TimerName[])[] {
  if (agent.proposer.candidate !== undefined) return [['try'], ['prepare']];
  if (agent.proposer.reign !== undefined) return [['heartbeat'], ['progress'], ['accept']];
  return [['leader', 'election']];
}

/** Every choice of one running timer from each group. */
function choices(groups: readonly (readonly TimerName[])[]): TimerName[][] {
  return groups.reduce<TimerName[][]>(
    (some, group) => some.flatMap((one) => group.map((timer) => [...one, timer])),
    [[]],
  );
}

/**
 * Whether an agent has no timer left that would wake it in the part that it plays after a step. By induction: it holds
 * after the start, and if any timers that keep it awake before a step are kept or replaced by it, it holds for ever.
 * Returns what is lacking, or undefined.
 */
export function whoSleeps(
  before: AgentState | undefined,
  after: AgentState,
  fired: TimerName | undefined,
  effects: readonly Effect[],
): string | undefined {
  for (const running of before === undefined ? [[]] : choices(neededBy(before))) {
    const timers = new Set(running);
    if (fired !== undefined) timers.delete(fired);
    for (const effect of effects) {
      if (effect.type === 'set-timer') timers.add(effect.timer);
      if (effect.type === 'clear-timer') timers.delete(effect.timer);
    }
    const lacking = neededBy(after).find((group) => !group.some((timer) => timers.has(timer)));
    if (lacking !== undefined) return `its ${lacking.join(' or ')} timer is not running`;
  }
  return undefined;
}
