import { isNoOp, type Decree } from '../../src/core/decree.js';
import type { AgentIndex, Entry, Round } from '../../src/core/ids.js';
import { MessageType } from '../../src/core/message.js';
import type { JournalRecord } from '../../src/core/record.js';
import type { CoreNode, Sent } from './core-node.js';

/** What an agent has shown the others, and must therefore find on its disk again. */
interface Shown {
  promised: number;
  used: number;
  committed: number;
}

function keyOf(decree: Decree): string {
  return `${decree.id}/${decree.no}/${decree.noset}/${decree.value}`;
}

/**
 * Sees everything from outside, over all agents and all their lives, and throws as soon as something unsafe has
 * happened (spec.md, "Proof"). It shares no counting with the core.
 */
export class SafetyWatch {
  /** The decree that a majority has accepted durably in one round, per entry. */
  readonly chosen = new Map<Entry, { round: Round; decree: Decree; key: string }>();
  /** Counts that show whether a run has gone anywhere. */
  readonly seen = { no_ops_chosen: 0, chosen_above_round_0: 0, promises: 0, accept_requests: 0 };
  readonly #majority: number;
  readonly #votes = new Map<string, Set<AgentIndex>>();
  readonly #proposed = new Map<string, string>();
  readonly #owners = new Map<Round, AgentIndex>();
  readonly #promised = new Map<string, AgentIndex>();
  readonly #shown = new Map<AgentIndex, Shown>();
  readonly #checked = new Map<AgentIndex, Set<Entry>>();

  constructor(agents: number) {
    this.#majority = (agents - (agents % 2)) / 2 + 1;
  }

  #fail(what: string, details: unknown): never {
    throw new Error(`unsafe: ${what} ${JSON.stringify(details)}`);
  }

  /** A record has reached an agent's disk. */
  durable(agent: AgentIndex, record: JournalRecord): void {
    if (record.verdict === 'promised') this.#promise(agent, record.round, record.owner);
    if (record.verdict !== 'accepted') return;
    this.#promise(agent, record.round, record.owner);
    const { entry, round, decree } = record;
    const key = keyOf(decree);
    const vote = `${entry}@${round}=${key}`;
    const voters = this.#votes.get(vote) ?? new Set();
    this.#votes.set(vote, voters.add(agent));
    if (voters.size < this.#majority) return;
    const before = this.chosen.get(entry);
    if (before !== undefined && before.key !== key) {
      this.#fail('two values are chosen', { entry, round, key, before });
    }
    if (before !== undefined) return;
    this.chosen.set(entry, { round, decree, key });
    if (isNoOp(decree)) this.seen.no_ops_chosen++;
    if (round > 0) this.seen.chosen_above_round_0++;
  }

  #promise(agent: AgentIndex, round: Round, owner: AgentIndex): void {
    const key = `${agent}@${round}`;
    const before = this.#promised.get(key);
    if (before !== undefined && before !== owner) {
      this.#fail('a round is promised to two agents', { agent, round, owner, before });
    }
    this.#promised.set(key, owner);
  }

  /** A message has left its sender for good. */
  left({ from, message }: Sent): void {
    const shown = this.#shown.get(from) ?? { promised: -1, used: -1, committed: 0 };
    this.#shown.set(from, shown);
    switch (message.type) {
      case MessageType.Prepare:
        shown.used = Math.max(shown.used, message.round);
        return;
      case MessageType.Promise:
        this.seen.promises++;
        shown.promised = Math.max(shown.promised, message.round);
        shown.committed = Math.max(shown.committed, message.committed);
        return;
      case MessageType.Accepted:
        shown.promised = Math.max(shown.promised, message.round);
        return;
      case MessageType.Nack:
        shown.promised = Math.max(shown.promised, message.promised === 0 ? -1 : message.promised);
        return;
      case MessageType.AcceptRequest:
        this.seen.accept_requests++;
        this.#noticed(message.committed, from);
        return this.#propose(
          from,
          message.entry,
          message.round,
          keyOf({ ...message.request, value: message.value }),
        );
      case MessageType.Heartbeat:
        return this.#noticed(message.committed, from);
    }
  }

  #propose(from: AgentIndex, entry: Entry, round: Round, key: string): void {
    const owner = this.#owners.get(round);
    if (owner !== undefined && owner !== from) this.#fail('a round has two owners', { round, owner, from });
    this.#owners.set(round, from);
    const before = this.#proposed.get(`${entry}@${round}`);
    if (before !== undefined && before !== key) {
      this.#fail('two values are proposed at one entry and round', { entry, round, before, key });
    }
    this.#proposed.set(`${entry}@${round}`, key);
  }

  #noticed(committed: Entry, from: AgentIndex): void {
    for (let e = committed - 1; e >= 0 && e >= committed - 8; e--) {
      if (!this.chosen.has(e as Entry))
        this.#fail('a notice speaks of an entry not chosen', { entry: e, from });
    }
  }

  /** An agent has handled an event: whatever it takes for chosen is. */
  stepped(node: CoreNode): void {
    const checked = this.#checked.get(node.self) ?? new Set();
    this.#checked.set(node.self, checked);
    const { learner } = node.state;
    if (checked.size === learner.chosen.size) return;
    for (const [entry, decree] of learner.chosen) {
      if (checked.has(entry)) continue;
      const chosen = this.chosen.get(entry);
      if (chosen?.key !== keyOf(decree)) {
        this.#fail('an agent takes for chosen what is not', { agent: node.self, entry, decree, chosen });
      }
      checked.add(entry);
    }
  }

  /** An agent has come back: what it showed before it went is there. */
  recovered(node: CoreNode): void {
    this.#checked.delete(node.self);
    this.stepped(node);
    const shown = this.#shown.get(node.self);
    if (shown === undefined) return;
    const { acceptor, proposer, learner } = node.state;
    const found = { promised: acceptor.promised.round, used: proposer.used, committed: learner.committed };
    if (found.promised < shown.promised || found.used < shown.used || found.committed < shown.committed) {
      this.#fail('an agent came back with less than it had shown', { agent: node.self, shown, found });
    }
  }
}
