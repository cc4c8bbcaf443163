import { newAgent, recover } from '../core/agent.js';
import { isNoOp, sameDecree, type Decree } from '../core/decree.js';
import type { ClientReply } from '../core/effect.js';
import { entry as entryOf, type AgentIndex, type Entry } from '../core/ids.js';
import { chosenDecree } from '../core/learner.js';
import { MessageType, type PeerMessage } from '../core/message.js';
import type { JournalRecord } from '../core/record.js';
import type { AgentState } from '../core/state.js';
import { mustHold } from './failure.js';
import type { Counters } from './counters.js';
import { LogModel } from './model.js';
import type { Node } from './node.js';
import type { Trace } from './trace.js';
import { show, Votes } from './votes.js';

/** Records up to which recovery is done twice and compared. */
const RECOVERED_TWICE_RECORDS = 2_000;

interface Seen {
  committed: number;
  chosen: number;
}

/** Watches over all nodes and their history: the invariants of faults.md, by their numbers. */
export class Checker {
  nodes: readonly Node[] = [];
  readonly votes: Votes;
  readonly model: LogModel;
  readonly #counters: Counters;
  readonly #trace: Trace;
  /** Round → its proposer, and entry → decree, over all AcceptRequests ever sent. */
  readonly #proposals = new Map<number, { readonly owner: number; readonly decrees: Map<number, Decree> }>();
  readonly #seen = new WeakMap<AgentState, Seen>();

  constructor(nodes: number, has_app: boolean, counters: Counters, trace: Trace) {
    this.#counters = counters;
    this.#trace = trace;
    this.model = new LogModel(has_app);
    this.votes = new Votes(nodes, (entry, decree, round) => this.#onChosen(entry, decree, round));
  }

  #onChosen(entry: number, decree: Decree, round: number): void {
    this.#trace.note('chosen', entry, round, show(decree));
    this.#counters.add('entries chosen');
    if (round > 0) this.#counters.add('commit at a round above 0');
    if (isNoOp(decree)) this.#counters.add('no-op chosen');
    for (;;) {
      const next = this.votes.chosen.get(this.model.length);
      if (next === undefined) return;
      this.model.fold(next.decree);
    }
  }

  /* --- the disk -------------------------------------------------------------------------------------------------- */

  onDurable(node: number, records: readonly JournalRecord[]): void {
    for (const record of records) this.votes.fold(node, record);
  }

  /** A journal was read back: nothing durable is missing; what was under way may have become durable. */
  onReadBack(node: number, records: readonly JournalRecord[]): void {
    const { records: durable } = this.votes.disk(node);
    mustHold(
      records.length >= durable,
      '3 durable',
      () => `node ${node} reads back ${records.length} records of ${durable}`,
    );
    this.onDurable(node, records.slice(durable));
  }

  onRecovered(node: number, state: AgentState, records: readonly JournalRecord[]): void {
    const disk = this.votes.disk(node);
    const { acceptor, proposer, learner } = state;
    const owner = acceptor.promised.owner;
    const same =
      acceptor.promised.round === disk.promised &&
      (disk.promised < 0 || owner === disk.owners.get(disk.promised)) &&
      proposer.used === disk.highest_used &&
      learner.committed >= disk.committed &&
      acceptor.length === disk.length;
    mustHold(same, '10 recovery', () => `node ${node} recovers to another state than its disk holds`);
    for (const [entry, { round, decree }] of acceptor.accepted) {
      const durable = disk.accepted.get(entry)?.get(round);
      mustHold(
        durable !== undefined && sameDecree(durable, decree),
        '10 recovery',
        () => `node ${node} recovers an acceptance of entry ${entry} that it never made`,
      );
    }
    this.#checkLearner(node, state);
    if (records.length > RECOVERED_TWICE_RECORDS) return;
    const again = newAgent(state.config);
    for (const record of records) recover(again, record);
    mustHold(
      fingerprint(again) === fingerprint(state),
      '10 recovery',
      () => `node ${node}: twice is not once`,
    );
  }

  /* --- the core -------------------------------------------------------------------------------------------------- */

  afterStep(node: number, state: AgentState): void {
    this.#checkLearner(node, state);
    const disk = this.votes.disk(node);
    mustHold(
      state.acceptor.promised.round >= disk.promised && state.proposer.used >= disk.highest_used,
      '4 monotonic',
      () => `node ${node} is behind its own disk`,
    );
  }

  /** What is learnt was chosen by then (6). */
  #checkLearner(node: number, state: AgentState): void {
    const { learner } = state;
    let seen = this.#seen.get(state);
    if (seen === undefined) this.#seen.set(state, (seen = { committed: 0, chosen: 0 }));
    for (; seen.committed < learner.committed; seen.committed++) {
      const decree = chosenDecree(state, entryOf(seen.committed));
      if (decree !== undefined) this.votes.mustBeChosen(node, seen.committed, decree, 'committed');
      else
        mustHold(seen.committed < learner.retained, '6 chosen', () => `entry ${seen.committed} is unknown`);
    }
    // Entries beyond a hole: as many as the map holds beyond the commit index.
    let ahead = learner.chosen.size - (learner.committed - learner.retained);
    if (ahead === seen.chosen) return;
    seen.chosen = ahead;
    for (let entry = learner.committed; ahead > 0; entry = entryOf(entry + 1)) {
      const decree = learner.chosen.get(entry);
      if (decree === undefined) continue;
      ahead--;
      this.votes.mustBeChosen(node, entry, decree, 'learnt');
    }
  }

  onReign(node: number, state: AgentState): void {
    const { reign } = state.proposer;
    if (reign === undefined) return;
    for (const other of this.nodes) {
      const rival = other.life?.state.proposer.reign;
      if (other.index !== node && rival !== undefined) this.#counters.add('two leaders at once');
    }
    if (this.votes.tail() > 0) this.#counters.add('leader change with a tail not chosen');
    for (const decree of reign.inherited)
      this.#counters.add(isNoOp(decree) ? 'no-op proposed' : 'old value proposed again');
  }

  /** A message leaves a node: its disk justifies it (3), and its proposer may propose it (2, 5). */
  onSend(node: number, to: AgentIndex, message: PeerMessage): void {
    const disk = this.votes.disk(node);
    const justified = (holds: boolean): void =>
      mustHold(
        holds,
        '3 durable',
        () => `node ${node} sends what its disk doesn't hold: ${JSON.stringify(message)}`,
      );
    switch (message.type) {
      case MessageType.Prepare:
        return justified(disk.used.has(message.round));
      case MessageType.Promise:
        justified(disk.promised >= message.round && disk.owners.get(message.round) === to);
        justified(disk.committed >= message.committed && disk.length >= message.length);
        return justified(this.#reportIsTrue(node, message.entry, message.roundvalue, message.round));
      case MessageType.Nack:
        this.#counters.add('Nack sent');
        justified(message.promised === 0 || disk.promised >= message.promised);
        return justified(this.#reportIsTrue(node, message.entry, message.roundvalue, message.round));
      case MessageType.Accepted: {
        const decree = disk.accepted.get(message.entry)?.get(message.round);
        return justified(
          decree !== undefined && sameDecree(decree, { ...message.request, value: message.value }),
        );
      }
      case MessageType.AcceptRequest:
        this.#checkNotice(node, message.committed);
        return this.#checkProposal(node, message.entry, message.round, {
          ...message.request,
          value: message.value,
        });
      case MessageType.Heartbeat:
        return this.#checkNotice(node, message.committed);
    }
  }

  #reportIsTrue(
    node: number,
    entry: number,
    reported: { readonly round: number; readonly value: string; readonly request: Omit<Decree, 'value'> },
    asked: number,
  ): boolean {
    if (reported.round < 0) return true;
    const decree = { ...reported.request, value: reported.value };
    const accepted = this.votes.disk(node).accepted.get(entry)?.get(reported.round);
    if (accepted !== undefined && sameDecree(accepted, decree)) return true;
    const chosen = this.votes.chosen.get(entry);
    return reported.round === asked - 1 && chosen !== undefined && sameDecree(chosen.decree, decree);
  }

  #checkNotice(node: number, committed: number): void {
    mustHold(
      committed <= this.model.length,
      '6 chosen',
      () => `node ${node} says that ${committed} entries are chosen; ${this.model.length} are`,
    );
  }

  #checkProposal(node: number, entry: number, round: number, decree: Decree): void {
    const known = this.#proposals.get(round) ?? { owner: node, decrees: new Map<number, Decree>() };
    this.#proposals.set(round, known);
    mustHold(
      known.owner === node,
      '2 owner',
      () => `nodes ${node} and ${known.owner} propose at round ${round}`,
    );
    const before = known.decrees.get(entry);
    if (before !== undefined) {
      mustHold(
        sameDecree(before, decree),
        '2 one value',
        () => `node ${node} proposes ${show(before)} and ${show(decree)} at entry ${entry}, round ${round}`,
      );
      return;
    }
    known.decrees.set(entry, decree);
    this.votes.mustBeSafe(entry, round, decree);
  }

  /* --- what is told ---------------------------------------------------------------------------------------------- */

  /** An entry is streamed to a peer or an application. */
  onTold(node: number, entry: Entry, decree: Decree): void {
    this.votes.mustBeChosen(node, entry, decree, 'streamed');
  }

  /** An entry came up for an application, and was sent to it or not. */
  onOffered(entry: Entry, sent: boolean): void {
    const outcome = this.model.outcome(entry);
    mustHold(
      outcome?.executed === sent,
      '8 once',
      () => `entry ${entry} is sent to the application: ${sent}`,
    );
  }

  /** An application has applied an entry: its answer shows all it has applied before (7). */
  onApplied(entry: Entry, answer: string): void {
    const outcome = this.model.outcome(entry);
    mustHold(
      outcome?.answer === answer,
      '7 applied',
      () => `entry ${entry} is answered ${answer}, and should be ${outcome?.answer ?? 'nothing'}`,
    );
  }

  /** A node answers a client: with what the chosen log says, and nothing else (6, 8). */
  onReply(node: number, message: ClientReply): void {
    if (message.type !== MessageType.ClientResponse) return;
    const { entry, request, value } = message;
    if (request.noset) {
      const chosen = this.votes.chosen.get(entry);
      mustHold(chosen?.decree.value === value, '6 chosen', () => `node ${node} answers a query falsely`);
      return;
    }
    const outcome = this.model.outcome(entry);
    mustHold(
      this.model.entryOf(request.id, request.no) === entry && outcome?.answer === value,
      '8 once',
      () => `node ${node} answers ${request.id}/${request.no} with entry ${entry} and ${value}`,
    );
  }
}

/** Everything of a state that recovery rebuilds, as text. */
function fingerprint({ acceptor, learner, proposer, seen }: AgentState): string {
  return JSON.stringify([
    acceptor.promised,
    acceptor.length,
    [...acceptor.accepted],
    learner.committed,
    learner.recorded,
    [...learner.chosen],
    [...learner.sessions.sessions].map(([id, { entries, floor }]) => [id, [...entries], floor]),
    learner.sessions.floor,
    proposer.used,
    seen,
  ]);
}
