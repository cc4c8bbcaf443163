import type { AgentIndex } from './ids.js';
import { mutants } from './mutants.js';

/** The only place where majorities are counted. Voters are distinct by construction: one bit each. */

/** A set of agents, as bits: agent i is bit i. */
export type Voters = number & { readonly voters: unique symbol };

export const NOBODY = 0 as Voters;

/** Half of the agents, plus one (spec.md, "Roles"). */
export function quorumSize(agents: number): number {
  return Math.floor(agents / 2) + (mutants.quorum_one_short ? 0 : 1);
}

export function withVoter(voters: Voters, agent: AgentIndex): Voters {
  return (voters | (1 << agent)) as Voters;
}

export function hasVoter(voters: Voters, agent: AgentIndex): boolean {
  return (voters & (1 << agent)) !== 0;
}

export function countVoters(voters: Voters): number {
  let count = 0;
  for (let rest: number = voters; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** `won`: a quorum is for it. `lost`: so many are against that no quorum can be. `open`: neither yet. */
export type Outcome = 'won' | 'lost' | 'open';

export function outcome(agents: number, inFavour: Voters, against: Voters = NOBODY): Outcome {
  if (countVoters(inFavour) >= quorumSize(agents)) return 'won';
  return agents - countVoters(against) < quorumSize(agents) ? 'lost' : 'open';
}

/** Whether the own vote would make `others` a quorum: the own acceptor promises last. */
export function othersSuffice(agents: number, others: Voters): boolean {
  return countVoters(others) >= quorumSize(agents) - 1;
}
