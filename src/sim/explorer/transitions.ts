import type { CoreTable } from './cores.js';
import type { ItemSets } from './item-sets.js';
import type { Action, Local, Outcome } from './local.js';
import { PairMap } from './pair-map.js';

/** In place of a core: the step must not be; in place of the set, which of `Transitions.broken` it is. */
export const BROKEN = -1;

/** Outcomes in rows of three: core, set of items added, index of the action. */
export const ROW = 3;

/**
 * What each core does with each item, and by itself. The real core runs once for every different pair; a state of the
 * cluster is then explored by looking up. Outcomes that change nothing are left out.
 */
export class Transitions {
  readonly actions: Action[] = [];
  readonly broken: Error[] = [];
  readonly #lists: Int32Array[] = [new Int32Array(0)];
  readonly #by_item = new PairMap();
  readonly #by_set = new PairMap();
  readonly #by_itself = new Map<number, Int32Array>();
  readonly #restarts = new Map<number, Int32Array>();
  readonly #without_disk = new Map<number, number>();
  readonly #action_ids = new Map<string, number>();

  constructor(
    private readonly local: Local,
    private readonly cores: CoreTable,
    private readonly sets: ItemSets,
  ) {}

  /** Of the items of a set, all addressed to this agent, what each can bring about. */
  deliveries(core: number, addressed: number): Int32Array {
    const known = this.#by_set.get(core, addressed);
    if (known >= 0) return this.#lists[known] as Int32Array;
    const rows: number[] = [];
    for (const item of this.sets.members(addressed)) rows.push(...this.#delivery(core, item));
    const list = Int32Array.from(rows);
    this.#by_set.set(core, addressed, this.#keep(list));
    return list;
  }

  #delivery(core: number, item: number): Int32Array {
    const known = this.#by_item.get(core, item);
    if (known >= 0) return this.#lists[known] as Int32Array;
    const list = Int32Array.from(this.#run(core, { kind: 'deliver', item }));
    this.#by_item.set(core, item, this.#keep(list));
    return list;
  }

  #keep(list: Int32Array): number {
    if (list.length === 0) return 0;
    this.#lists.push(list);
    return this.#lists.length - 1;
  }

  /** What an agent may do of its own accord, restarts apart. */
  byItself(core: number): Int32Array {
    let list = this.#by_itself.get(core);
    if (list === undefined) {
      const rows = this.local.actions(this.cores.get(core)).flatMap((action) => this.#run(core, action));
      list = Int32Array.from(rows);
      this.#by_itself.set(core, list);
    }
    return list;
  }

  restart(core: number): Int32Array {
    let list = this.#restarts.get(core);
    if (list === undefined) {
      list = Int32Array.from(this.#run(core, { kind: 'restart' }));
      this.#restarts.set(core, list);
    }
    return list;
  }

  withoutDisk(core: number): number {
    let bare = this.#without_disk.get(core);
    if (bare === undefined) {
      bare = this.local.withoutDisk(this.cores.get(core));
      this.#without_disk.set(core, bare);
    }
    return bare;
  }

  #run(core: number, action: Action): number[] {
    let outcomes: Outcome[];
    const id = this.#actionId(action);
    try {
      outcomes = this.local.run(this.cores.get(core), action);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.broken.push(error);
      return [BROKEN, this.broken.length - 1, id];
    }
    return outcomes
      .filter((outcome) => outcome.core !== core || outcome.added !== 0)
      .flatMap((outcome) => [outcome.core, outcome.added, id]);
  }

  #actionId(action: Action): number {
    const key = JSON.stringify(action);
    let id = this.#action_ids.get(key);
    if (id === undefined) {
      id = this.actions.length;
      this.actions.push(action);
      this.#action_ids.set(key, id);
    }
    return id;
  }
}
