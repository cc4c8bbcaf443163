import type { Event } from '../../core/event.js';
import { agentIndex, type AgentIndex, type ConnectionId } from '../../core/ids.js';
import type { Bounds, Reduction } from './bounds.js';
import { Checks, type Verdict } from './checks.js';
import { CoreTable } from './cores.js';
import { ItemSets } from './item-sets.js';
import { ItemTable } from './items.js';
import { clientEvents, Local, type Action } from './local.js';
import { PairMap } from './pair-map.js';
import { SHIPPED, type Protocol } from './protocol.js';
import { StateTable } from './state-table.js';
import { BROKEN, ROW, Transitions } from './transitions.js';

export interface Limits {
  readonly max_states?: number;
  readonly max_seconds?: number;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly states: number;
  readonly expanded: number;
  readonly depth: number;
  readonly seconds: number;
}

/** One step on the way to a state: who did what. */
export interface Move {
  readonly agent: AgentIndex;
  readonly action: Action;
  /** How many of its records reach the disk with it; undefined: they wait for a flush. */
  readonly durable: number | 'all' | undefined;
}

/** How often something happened that must happen, or else the checks prove nothing: states newly reached with it. */
export interface Sometimes {
  chosen_above_round_0: number;
  no_op_chosen: number;
  old_value_again: number;
  learnt: number;
  two_reigns: number;
  restart_after_promise: number;
}

export interface Result {
  readonly bounds: Bounds;
  /** Whether every state within the bounds was reached. */
  readonly complete: boolean;
  readonly states: number;
  readonly expanded: number;
  readonly transitions: number;
  /** Steps of the longest shortest path so far. */
  readonly depth: number;
  readonly seconds: number;
  /** Different agents with their disks, and times that the real core ran. */
  readonly cores: number;
  readonly core_steps: number;
  readonly sometimes: Sometimes;
  readonly violation: { readonly what: string; readonly moves: readonly Move[] } | undefined;
}

/** States between two looks at the clock. */
const STRIDE = 4096;
/** The number of restarts stands above this bit of the first word; node numbers stay below it. */
const RESTART_SHIFT = 27;
const NODE_MASK = 2 ** RESTART_SHIFT - 1;

/**
 * Reaches every state of a cluster within bounds, breadth first. A state is one number per agent, which stands for the
 * agent, its disk, and all that it has ever sent; and the number of restarts so far.
 */
export class Explorer {
  readonly items = new ItemTable();
  readonly cores = new CoreTable();
  readonly sets: ItemSets;
  readonly states: StateTable;
  readonly sometimes: Sometimes = {
    chosen_above_round_0: 0,
    no_op_chosen: 0,
    old_value_again: 0,
    learnt: 0,
    two_reigns: 0,
    restart_after_promise: 0,
  };
  readonly #transitions: Transitions;
  readonly #local: Local;
  readonly #checks: Checks;
  readonly #nodes = new PairMap(1 << 16);
  #node_core = new Int32Array(1 << 16);
  #node_set = new Int32Array(1 << 16);
  readonly #n: number;
  /** The state being expanded: its agents' cores and sets, and how many restarts there were. */
  readonly #at_core: Int32Array;
  readonly #at_set: Int32Array;
  readonly #at_node: Int32Array;
  #at_restarts = 0;
  #at_index = -1;
  /** The successor being made. */
  readonly #to_core: Int32Array;
  readonly #to_set: Int32Array;
  readonly #word: Int32Array;
  #count = 0;
  #broken: { what: string; from: number; move: Move } | undefined;

  constructor(
    readonly bounds: Bounds,
    readonly reduction: Reduction = 'full',
    protocol: Protocol = SHIPPED,
  ) {
    this.#n = bounds.agents;
    this.sets = new ItemSets(this.items, bounds.agents);
    this.states = new StateTable(bounds.agents);
    this.#local = new Local(bounds, reduction, protocol, this.cores, this.items, this.sets);
    this.#transitions = new Transitions(this.#local, this.cores, this.sets);
    this.#checks = new Checks(bounds.agents, this.cores, this.items, this.sets);
    const words = (): Int32Array => new Int32Array(bounds.agents);
    [this.#at_core, this.#at_set, this.#to_core] = [words(), words(), words()];
    [this.#at_node, this.#to_set, this.#word] = [words(), words(), words()];
    for (let i = 0; i < this.#n; i++) this.#word[i] = this.#node(this.#local.first(agentIndex(i)), 0);
    this.states.add(this.#word, -1);
  }

  /** Explores until everything is reached, something is broken, or a limit is met. */
  run(limits: Limits = {}): Result {
    const began_ms = performance.now();
    const seconds = (): number => (performance.now() - began_ms) / 1000;
    const { max_states = Infinity, max_seconds = Infinity } = limits;
    let next = 0;
    let depth = 0;
    let level_end = 1;
    while (next < this.states.size && this.#broken === undefined && this.states.size < max_states) {
      if (next === level_end) {
        depth++;
        level_end = this.states.size;
      }
      this.#expand(next++);
      if (next % STRIDE !== 0) continue;
      limits.onProgress?.({ states: this.states.size, expanded: next, depth, seconds: seconds() });
      if (seconds() > max_seconds) break;
    }
    return {
      bounds: this.bounds,
      complete: next === this.states.size && this.#broken === undefined,
      states: this.states.size,
      expanded: next,
      transitions: this.#count,
      depth,
      seconds: seconds(),
      cores: this.cores.size,
      core_steps: this.#local.steps,
      sometimes: this.sometimes,
      violation: this.#broken && {
        what: this.#broken.what,
        moves: [...this.path(this.#broken.from), this.#broken.move],
      },
    };
  }

  /** The events that a client's coming, asking and going make at an agent. */
  clientEvents(self: AgentIndex, connection: ConnectionId): Event[] {
    return clientEvents(self, connection);
  }

  /** The cores of a state's agents. */
  coresOf(index: number): number[] {
    this.#enter(index);
    return [...this.#at_core];
  }

  #enter(index: number): void {
    this.states.read(index, this.#word);
    this.#at_index = index;
    this.#at_restarts = (this.#word[0] as number) >> RESTART_SHIFT;
    for (let i = 0; i < this.#n; i++) {
      const node = (this.#word[i] as number) & NODE_MASK;
      this.#at_node[i] = node;
      this.#at_core[i] = this.#node_core[node] as number;
      this.#at_set[i] = this.#node_set[node] as number;
    }
  }

  #expand(index: number): void {
    this.#enter(index);
    const spare = this.bounds.restarts - this.#at_restarts - this.#doomed();
    for (let j = 0; j < this.#n; j++) {
      const core = this.#at_core[j] as number;
      this.#follow(j, this.#transitions.byItself(core), spare);
      for (let i = 0; i < this.#n; i++) {
        if (i === j) continue;
        const addressed = this.sets.addressedTo(this.#at_set[i] as number, j);
        if (addressed !== 0) this.#follow(j, this.#transitions.deliveries(core, addressed), spare);
      }
      const isDoomed = this.cores.isDoomed(core);
      if (spare + (isDoomed ? 1 : 0) > 0) this.#restart(j, core);
    }
  }

  /** Agents that must still crash, each of which has a restart set aside for it. */
  #doomed(): number {
    let doomed = 0;
    for (let i = 0; i < this.#n; i++) if (this.cores.isDoomed(this.#at_core[i] as number)) doomed++;
    return doomed;
  }

  #follow(j: number, rows: Int32Array, spare: number): void {
    const wasDoomed = this.cores.isDoomed(this.#at_core[j] as number);
    for (let at = 0; at < rows.length; at += ROW) {
      this.#count++;
      const core = rows[at] as number;
      const added = rows[at + 1] as number;
      const action = rows[at + 2] as number;
      if (core === BROKEN)
        return this.#breakAt(j, BROKEN, action, this.#transitions.broken[added]?.message ?? '');
      if (spare === 0 && !wasDoomed && this.cores.isDoomed(core)) continue;
      const set = this.sets.union(this.#at_set[j] as number, added);
      if (core === this.#at_core[j] && set === this.#at_set[j]) continue;
      this.#succeed(j, core, set, action, this.#at_restarts);
    }
  }

  #restart(j: number, core: number): void {
    const rows = this.#transitions.restart(core);
    for (let at = 0; at < rows.length; at += ROW) {
      this.#count++;
      const next = rows[at] as number;
      const added = rows[at + 1] as number;
      const action = rows[at + 2] as number;
      if (next === BROKEN)
        return this.#breakAt(j, BROKEN, action, this.#transitions.broken[added]?.message ?? '');
      const set = this.sets.union(this.#at_set[j] as number, added);
      const isNew = this.#succeed(j, next, set, action, this.#at_restarts + 1);
      const promised = this.cores.get(next).live.acceptor.promised.round >= 0;
      if (isNew && promised) this.sometimes.restart_after_promise++;
    }
  }

  #breakAt(agent: number, core: number, action: number, what: string): void {
    this.#broken ??= {
      what,
      from: this.#at_index,
      move: this.#move(agent, this.#at_core[agent] as number, action, core),
    };
  }

  /** Makes the successor in which agent `j` has this core and set, keeps it if it is new, and looks at it. */
  #succeed(j: number, core: number, set: number, action: number, restarts: number): boolean {
    this.#make(j, core, set, restarts);
    if (!this.states.add(this.#word, this.#at_index)) return false;
    const reigns = this.#reigns();
    if (reigns > 1) this.sometimes.two_reigns++;
    const newFacts = this.sets.facts(set) !== this.sets.facts(this.#at_set[j] as number);
    const before = this.cores.claims(this.#at_core[j] as number);
    if (!newFacts && this.cores.claims(core) === before) return true;
    const verdict = this.#checks.judge(this.#to_core, this.#to_set);
    this.#countVerdict(verdict);
    if (verdict.broken !== undefined) this.#breakAt(j, core, action, verdict.broken);
    return true;
  }

  /** Most of a successor is its predecessor: what didn't change is not looked up again. */
  #make(j: number, core: number, set: number, restarts: number): void {
    const [to_core, to_set, word, facts] = [this.#to_core, this.#to_set, this.#word, this.cores];
    const prunes = this.reduction === 'full';
    const outstanding = facts.outstanding(core);
    const isOver = prunes && outstanding !== facts.outstanding(this.#at_core[j] as number);
    let kept = set;
    for (let i = 0; i < this.#n; i++) {
      if (i === j) continue;
      const other = this.#at_core[i] as number;
      const before = this.#at_set[i] as number;
      const left = isOver ? this.sets.prune(before, agentIndex(j), outstanding) : before;
      to_core[i] = other;
      to_set[i] = left;
      word[i] = left === before ? (this.#at_node[i] as number) : this.#node(other, left);
      if (prunes) kept = this.sets.prune(kept, agentIndex(i), facts.outstanding(other));
    }
    to_core[j] = core;
    to_set[j] = kept;
    word[j] = this.#node(core, kept);
    const isLast = restarts === this.bounds.restarts && restarts !== this.#at_restarts;
    if (isLast && this.reduction !== 'none') this.#dropDisks();
    word[0] = (word[0] as number) | (restarts << RESTART_SHIFT);
  }

  /** The last crash is over: what the disks hold is of no account any more. */
  #dropDisks(): void {
    for (let i = 0; i < this.#n; i++) {
      const bare = this.#transitions.withoutDisk(this.#to_core[i] as number);
      this.#to_core[i] = bare;
      this.#word[i] = this.#node(bare, this.#to_set[i] as number);
    }
  }

  #reigns(): number {
    let reigns = 0;
    for (let i = 0; i < this.#n; i++) if (this.cores.reigns(this.#to_core[i] as number)) reigns++;
    return reigns;
  }

  #countVerdict(verdict: Verdict): void {
    const { sometimes } = this;
    if (verdict.chosen_above_round_0) sometimes.chosen_above_round_0++;
    if (verdict.no_op_chosen) sometimes.no_op_chosen++;
    if (verdict.old_value_again) sometimes.old_value_again++;
    if (verdict.learnt) sometimes.learnt++;
  }

  #node(core: number, set: number): number {
    const known = this.#nodes.get(core, set);
    if (known >= 0) return known;
    const fresh = this.#nodes.size;
    if (fresh > NODE_MASK) throw new RangeError('too many different agents');
    if (fresh === this.#node_core.length) {
      const [cores, sets] = [this.#node_core, this.#node_set];
      this.#node_core = new Int32Array(fresh * 2);
      this.#node_set = new Int32Array(fresh * 2);
      this.#node_core.set(cores);
      this.#node_set.set(sets);
    }
    this.#nodes.set(core, set, fresh);
    this.#node_core[fresh] = core;
    this.#node_set[fresh] = set;
    return fresh;
  }

  /* --- the way to a state ------------------------------------------------------------------------------------- */

  /** The moves of a shortest path from the start to a state. */
  path(index: number): Move[] {
    const moves: Move[] = [];
    for (let at = index; this.states.parent(at) >= 0; at = this.states.parent(at)) {
      moves.push(this.#moveTo(this.states.parent(at), at));
    }
    return moves.reverse();
  }

  #move(agent: number, from: number, action: number, to: number): Move {
    const what = this.#transitions.actions[action] as Action;
    return { agent: agentIndex(agent), action: what, durable: this.#local.durableWith(from, what, to) };
  }

  #moveTo(parent: number, child: number): Move {
    const wanted = new Int32Array(this.#n);
    this.states.read(child, wanted);
    this.#enter(parent);
    for (let j = 0; j < this.#n; j++) {
      const core = this.#at_core[j] as number;
      const lists: [Int32Array, number][] = [[this.#transitions.byItself(core), 0]];
      for (let i = 0; i < this.#n; i++) {
        if (i === j) continue;
        const addressed = this.sets.addressedTo(this.#at_set[i] as number, j);
        lists.push([this.#transitions.deliveries(core, addressed), 0]);
      }
      if (this.cores.get(core).disk !== undefined) lists.push([this.#transitions.restart(core), 1]);
      for (const [rows, more] of lists) {
        for (let at = 0; at < rows.length; at += ROW) {
          if ((rows[at] as number) === BROKEN) continue;
          const set = this.sets.union(this.#at_set[j] as number, rows[at + 1] as number);
          this.#make(j, rows[at] as number, set, this.#at_restarts + more);
          if (!this.#word.every((word, i) => word === wanted[i])) continue;
          return this.#move(j, core, rows[at + 2] as number, rows[at] as number);
        }
      }
    }
    throw new Error(`no move leads from state ${parent} to state ${child}`);
  }
}
