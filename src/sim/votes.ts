import { isNoOp, sameDecree, type Decree } from '../core/decree.js';
import type { JournalRecord } from '../core/record.js';
import { mustHold } from './failure.js';

/** What a node's disk justifies, folded from its durable records apart from the core. */
export interface DurableNode {
  records: number;
  readonly used: Set<number>;
  highest_used: number;
  promised: number;
  /** Who was promised each round. */
  readonly owners: Map<number, number>;
  /** Entry → round → decree, for all acceptances ever made. */
  readonly accepted: Map<number, Map<number, Decree>>;
  readonly learnt: Map<number, Decree>;
  length: number;
  committed: number;
}

export interface Chosen {
  readonly decree: Decree;
  readonly round: number;
}

/** Counted apart from the core, whose own mistake would hide itself here. */
export function majorityOf(nodes: number): number {
  return Math.ceil((nodes + 1) / 2);
}

export function show(decree: Decree): string {
  return isNoOp(decree) ? 'no-op' : `${decree.id}/${decree.no} ${JSON.stringify(decree.value.slice(0, 40))}`;
}

/** All durable votes of all nodes and lives, and what they make chosen (faults.md, invariants 1, 2, 4 and 5). */
export class Votes {
  readonly disks: DurableNode[];
  readonly chosen = new Map<number, Chosen>();
  /** Entry → round → who accepted. */
  readonly #voters = new Map<number, Map<number, { readonly decree: Decree; readonly nodes: Set<number> }>>();
  readonly #quorum: number;

  constructor(
    nodes: number,
    private readonly onChosen: (entry: number, decree: Decree, round: number) => void,
  ) {
    this.#quorum = majorityOf(nodes);
    this.disks = Array.from({ length: nodes }, () => ({
      records: 0,
      used: new Set<number>(),
      highest_used: -1,
      promised: -1,
      owners: new Map<number, number>(),
      accepted: new Map<number, Map<number, Decree>>(),
      learnt: new Map<number, Decree>(),
      length: 0,
      committed: 0,
    }));
  }

  disk(node: number): DurableNode {
    const disk = this.disks[node];
    if (disk === undefined) throw new RangeError(`no node ${node}`);
    return disk;
  }

  /** A record is on a node's disk for good. */
  fold(node: number, record: JournalRecord): void {
    const disk = this.disk(node);
    disk.records++;
    switch (record.verdict) {
      case 'used':
        mustHold(record.round > disk.highest_used, '4 used', () => `node ${node} uses ${record.round} again`);
        disk.used.add(record.round);
        disk.highest_used = record.round;
        return;
      case 'promised':
        return this.#promise(node, record.round, record.owner);
      case 'accepted':
        this.#promise(node, record.round, record.owner);
        return this.#accept(node, record.entry, record.round, record.decree);
      case 'learnt':
        disk.learnt.set(record.entry, record.decree);
        return this.mustBeChosen(node, record.entry, record.decree, 'learnt');
      case 'committed':
        mustHold(record.committed >= disk.committed, '4 committed', () => `node ${node} goes back`);
        disk.committed = record.committed;
    }
  }

  #promise(node: number, round: number, owner: number): void {
    const disk = this.disk(node);
    mustHold(round >= disk.promised, '4 promised', () => `node ${node}: ${round} below ${disk.promised}`);
    const known = disk.owners.get(round);
    mustHold(known === undefined || known === owner, '2 owner', () => `round ${round} is promised to two`);
    disk.owners.set(round, owner);
    disk.promised = round;
  }

  #accept(node: number, entry: number, round: number, decree: Decree): void {
    const disk = this.disk(node);
    disk.length = Math.max(disk.length, entry + 1);
    const own = disk.accepted.get(entry) ?? new Map<number, Decree>();
    disk.accepted.set(entry, own.set(round, decree));
    const rounds = this.#voters.get(entry) ?? new Map<number, { decree: Decree; nodes: Set<number> }>();
    this.#voters.set(entry, rounds);
    const vote = rounds.get(round) ?? { decree, nodes: new Set<number>() };
    rounds.set(round, vote);
    mustHold(
      sameDecree(vote.decree, decree),
      '2 one value',
      () => `entry ${entry} round ${round}: ${show(vote.decree)} and ${show(decree)}`,
    );
    vote.nodes.add(node);
    if (vote.nodes.size === this.#quorum) this.#choose(entry, round, decree);
  }

  #choose(entry: number, round: number, decree: Decree): void {
    const known = this.chosen.get(entry);
    if (known === undefined) {
      this.chosen.set(entry, { decree, round });
      this.onChosen(entry, decree, round);
      return;
    }
    mustHold(
      sameDecree(known.decree, decree),
      '1 agreement',
      () =>
        `entry ${entry}: ${show(known.decree)} at round ${known.round}, ${show(decree)} at round ${round}`,
    );
  }

  mustBeChosen(node: number, entry: number, decree: Decree, as: string): void {
    const known = this.chosen.get(entry);
    mustHold(
      known !== undefined && sameDecree(known.decree, decree),
      '6 chosen',
      () =>
        `node ${node}: entry ${entry} is ${as} as ${show(decree)}, and chosen is ${known ? show(known.decree) : 'nothing'}`,
    );
  }

  /** Whether a value may be proposed: a quorum can't vote below its round any more, and no other can be chosen there. */
  mustBeSafe(entry: number, round: number, decree: Decree): void {
    const closed = this.disks.filter((disk) => disk.promised >= round).length;
    mustHold(
      closed >= this.#quorum,
      '5 safe',
      () => `entry ${entry} round ${round}: only ${closed} promised`,
    );
    for (const [lower, vote] of this.#voters.get(entry) ?? []) {
      if (lower >= round || sameDecree(vote.decree, decree)) continue;
      const possible = this.disks.filter(
        (disk, node) => disk.promised <= lower || vote.nodes.has(node),
      ).length;
      mustHold(
        possible < this.#quorum,
        '5 safe',
        () => `entry ${entry} round ${round}: ${show(vote.decree)} may be chosen at ${lower}`,
      );
    }
  }

  /** How many entries beyond those chosen some node has accepted. */
  tail(): number {
    let length = 0;
    for (const disk of this.disks) length = Math.max(length, disk.length);
    let open = 0;
    for (let entry = length - 1; entry >= 0 && open < 64 && !this.chosen.has(entry); entry--) open++;
    return open;
  }
}
