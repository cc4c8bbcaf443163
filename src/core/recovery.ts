import { keepAcceptance } from './acceptor.js';
import { assertInvariant } from './invariants.js';
import { advance, evict, learnChosen } from './learner.js';
import { mutants } from './mutants.js';
import type { JournalRecord } from './record.js';
import { higher } from './round.js';
import type { AgentState } from './state.js';

/**
 * Folds one record of the journal into a state, in order (spec.md, "Durability"). Recovery decides nothing: the record
 * holds the verdict. Throws an `InvariantError` if the records contradict each other, which no crash can cause.
 */
export function recover(agent: AgentState, record: JournalRecord): void {
  const { acceptor, learner, proposer } = agent;
  switch (record.verdict) {
    case 'used':
      if (mutants.round_reused_after_restart) return;
      assertInvariant(record.round > proposer.used, 'a round is spent once', { round: record.round });
      proposer.used = record.round;
      agent.seen = higher(agent.seen, record.round);
      return;
    case 'promised':
      assertInvariant(record.round > acceptor.promised.round, 'a promise only rises', {
        round: record.round,
      });
      acceptor.promised = { round: record.round, owner: record.owner };
      agent.seen = higher(agent.seen, record.round);
      return;
    case 'accepted': {
      const { entry, round, owner, decree } = record;
      keepAcceptance(agent, entry, { round, owner, decree });
      agent.seen = higher(agent.seen, round);
      return;
    }
    case 'learnt':
      learnChosen(learner, record.entry, record.decree);
      return;
    case 'committed':
      return recoverCommitted(agent, record.committed);
  }
}

function recoverCommitted(agent: AgentState, committed: number): void {
  const { acceptor, learner } = agent;
  assertInvariant(committed >= learner.committed, 'the commit index never goes back', { committed });
  for (let entry = learner.committed; entry < committed; entry = (entry + 1) as typeof entry) {
    const decree = learner.chosen.get(entry) ?? acceptor.accepted.get(entry)?.decree;
    assertInvariant(decree !== undefined, 'a committed entry is in the journal', { entry, committed });
    learnChosen(learner, entry, decree);
  }
  advance(learner);
  learner.recorded = committed as typeof learner.recorded;
  evict(agent);
}
