import { sameDecree, type Decree } from './decree.js';
import { agentIndex, entry as entryOf, type AgentIndex, type Entry } from './ids.js';
import { chosenDecree, isKnownChosen, learnChosen } from './learner.js';
import type { Outbox } from './outbox.js';
import { agreesWithReign } from './proposer.js';
import type { AgentState } from './state.js';

/** Filling gaps: what is chosen and missing here is fetched from whoever knows it (spec.md, "Learning and catch-up"). */
export interface CatchupState {
  /** The commit index last heard from each agent. */
  readonly heard: Map<AgentIndex, Entry>;
  /** The peer whose log is being streamed. */
  source: AgentIndex | undefined;
  /** The index that the wait is for: if it is not reached when the timer fires, a stream is opened. */
  awaited: Entry | undefined;
  /** Peers whose last stream brought nothing; tried last. */
  readonly fruitless: Set<AgentIndex>;
  /** Entries that the running stream brought. */
  received: number;
}

export function newCatchup(): CatchupState {
  return { heard: new Map(), source: undefined, awaited: undefined, fruitless: new Set(), received: 0 };
}

type CatchingUp = Pick<AgentState, 'config' | 'learner' | 'acceptor' | 'proposer' | 'catchup' | 'loaded'>;

/** An agent said how far it knows the log chosen. What is missing is waited for, then fetched. */
export function hear(agent: CatchingUp, out: Outbox, from: AgentIndex, committed: Entry): void {
  const { catchup } = agent;
  if (committed > (catchup.heard.get(from) ?? 0)) catchup.heard.set(from, committed);
  watch(agent, out);
}

/** The entry up to which the log is known to be chosen somewhere. */
export function target(agent: CatchingUp): Entry {
  let highest: number = agent.proposer.reign?.gap ?? 0;
  for (const committed of agent.catchup.heard.values()) highest = Math.max(highest, committed);
  return entryOf(highest);
}

export function isBehind(agent: CatchingUp): boolean {
  return agent.learner.committed < target(agent);
}

function watch(agent: CatchingUp, out: Outbox): void {
  const { catchup, config } = agent;
  if (catchup.source !== undefined || catchup.awaited !== undefined || !isBehind(agent)) return;
  catchup.awaited = target(agent);
  out.setTimer('catch-up', config.catch_up_ms);
}

/** The wait is over: what came by itself meanwhile is fine; for the rest a stream is opened. */
export function onCatchUpTimer(agent: CatchingUp, out: Outbox): void {
  const { catchup, learner } = agent;
  const { awaited } = catchup;
  catchup.awaited = undefined;
  if (awaited !== undefined && learner.committed < awaited) startFetch(agent, out);
  else watch(agent, out);
}

/** Opens a stream from the peer that knows most, those that failed last. */
export function startFetch(agent: CatchingUp, out: Outbox): void {
  const { catchup, learner } = agent;
  if (catchup.source !== undefined || !isBehind(agent)) return;
  const peer = bestSource(agent);
  if (peer === undefined) return;
  catchup.source = peer;
  catchup.received = 0;
  out.push({ type: 'fetch', peer, first: learner.committed });
}

function bestSource(agent: CatchingUp): AgentIndex | undefined {
  const { catchup, config, learner } = agent;
  const candidates: AgentIndex[] = [];
  for (let i = 0; i < config.agents.length; i++) {
    const peer = agentIndex(i);
    if (peer !== config.self && (catchup.heard.get(peer) ?? 0) > learner.committed) candidates.push(peer);
  }
  if (candidates.every((peer) => catchup.fruitless.has(peer))) catchup.fruitless.clear();
  const worth = (peer: AgentIndex): number => catchup.heard.get(peer) ?? 0;
  return candidates
    .filter((peer) => !catchup.fruitless.has(peer))
    .reduce<AgentIndex | undefined>((a, b) => (a === undefined || worth(b) > worth(a) ? b : a), undefined);
}

/**
 * Chosen entries arrived. Each is written down unless the acceptor holds the same decree. False if this agent, as
 * leader, proposed something else at one of them: those behind it are not looked at then.
 */
export function onFetched(
  agent: CatchingUp,
  out: Outbox,
  peer: AgentIndex,
  first: Entry,
  decrees: readonly Decree[],
): boolean {
  const { catchup } = agent;
  if (catchup.source !== peer) {
    out.ignore('stray-entry', 'an entry arrived from a stream that is not wanted', { peer, entry: first });
    return true;
  }
  return decrees.every((decree, i) => onFetchedEntry(agent, out, peer, entryOf(first + i), decree));
}

function onFetchedEntry(
  agent: CatchingUp,
  out: Outbox,
  peer: AgentIndex,
  entry: Entry,
  decree: Decree,
): boolean {
  const { catchup, acceptor, learner } = agent;
  catchup.received++;
  if (isKnownChosen(agent, entry)) {
    const known = chosenDecree(agent, entry);
    if (known !== undefined) learnChosen(learner, entry, decree); // holds the two against each other
    return true;
  }
  const held = acceptor.accepted.get(entry);
  if (held === undefined || !sameDecree(held.decree, decree)) {
    out.persist({ verdict: 'learnt', entry, peer, decree });
  }
  learnChosen(learner, entry, decree);
  return agreesWithReign(agent, entry, decree);
}

/** After the commit index moved: a stream that has brought everything ends. */
export function settleFetch(agent: CatchingUp, out: Outbox): void {
  const { catchup } = agent;
  if (catchup.source === undefined || isBehind(agent)) return;
  catchup.source = undefined;
  catchup.fruitless.clear();
  out.push({ type: 'cancel-fetch' });
}

/** The stream ended by itself or broke; another source is tried after the usual wait. */
export function onFetchEnded(agent: CatchingUp, out: Outbox, peer: AgentIndex, reason: string): void {
  const { catchup } = agent;
  if (catchup.source !== peer) return;
  out.note('info', 'catch-up-ended', `the stream of the log ended: ${reason}`, {
    peer,
    received: catchup.received,
  });
  catchup.source = undefined;
  if (catchup.received === 0) catchup.fruitless.add(peer);
  watch(agent, out);
}
