import type { Effect } from './effect.js';
import { mustBeDurable } from './durability.js';
import type { Entry, Position, Round } from './ids.js';
import type { AgentState } from './state.js';

/**
 * Our own invariants, asserted always. A broken one means that the program is wrong, not its input: the agent stops
 * before anything of that step leaves it.
 */
export class InvariantError extends Error {
  constructor(
    readonly invariant: string,
    readonly details: Readonly<Record<string, string | number | boolean>> = {},
  ) {
    super(`invariant broken: ${invariant} ${JSON.stringify(details)}`);
    this.name = 'InvariantError';
  }
}

export function assertInvariant(
  holds: boolean,
  invariant: string,
  details?: Readonly<Record<string, string | number | boolean>>,
): asserts holds {
  if (!holds) throw new InvariantError(invariant, details);
}

/** What must never go back from one state to the next. */
export interface Watermarks {
  readonly promised: Round;
  readonly used: Round;
  readonly committed: Entry;
  readonly length: number;
  readonly appended: Position;
  readonly durable: Position;
}

export function watermarks(agent: AgentState): Watermarks {
  const { acceptor, proposer, learner, journal } = agent;
  return {
    promised: acceptor.promised.round,
    used: proposer.used,
    committed: learner.committed,
    length: acceptor.length,
    appended: journal.appended,
    durable: journal.durable,
  };
}

/** Checks of one state alone (spec.md, "Proof"). */
export function checkState(agent: AgentState): void {
  const { acceptor, proposer, learner, journal, config } = agent;
  assertInvariant(journal.durable <= journal.appended, 'nothing is durable before it is appended');
  assertInvariant(
    learner.recorded <= learner.committed,
    'the journal never knows more chosen than the learner',
  );
  assertInvariant(learner.retained <= learner.committed, 'only committed entries leave memory');
  const { candidate, reign } = proposer;
  assertInvariant(candidate === undefined || reign === undefined, 'a candidate does not reign');
  if (candidate !== undefined) {
    assertInvariant(candidate.round === proposer.used, 'a candidate stands at the round it spent last');
  }
  if (reign !== undefined) {
    assertInvariant(reign.round === proposer.used, 'a reign is at the round spent last');
    assertInvariant(
      acceptor.promised.round === reign.round && acceptor.promised.owner === config.self,
      'a leader reigns only while its own acceptor is promised to it',
    );
  }
}

/** Checks over two consecutive states. */
export function checkProgress(before: Watermarks, after: Watermarks): void {
  // Compared field by field, since this runs after every event.
  const holds =
    after.promised >= before.promised &&
    after.used >= before.used &&
    after.committed >= before.committed &&
    after.length >= before.length &&
    after.appended >= before.appended &&
    after.durable >= before.durable;
  if (holds) return;
  const back = (Object.keys(before) as (keyof Watermarks)[]).filter((name) => after[name] < before[name]);
  assertInvariant(false, `${back.join(', ')} never goes back`, { ...after });
}

/** Checks of an effect list: whatever must be durable waits for every record before it in the list. */
export function checkEffects(effects: readonly Effect[]): void {
  let persisted = 0;
  for (const effect of effects) {
    if (effect.type === 'persist') {
      assertInvariant(effect.position > persisted, 'positions rise');
      persisted = effect.position;
    } else if (effect.type === 'send' && mustBeDurable(effect.message) === 'everything') {
      assertInvariant(effect.after >= persisted, 'no message outruns the record it depends on');
    }
  }
}
