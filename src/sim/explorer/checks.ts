import { isNoOp, type Decree } from '../../core/decree.js';
import { roundOfClientId } from '../../core/message.js';
import type { CoreTable } from './cores.js';
import type { ItemSets } from './item-sets.js';
import { decreeKey, slotKey, type ItemTable, type Slot } from './items.js';
import { PairMap } from './pair-map.js';

/** What the facts of a state come to, for the counts that show that the checks are not vacuous. */
export interface Verdict {
  /** What is wrong, or undefined. */
  readonly broken: string | undefined;
  readonly chosen_above_round_0: boolean;
  readonly no_op_chosen: boolean;
  readonly old_value_again: boolean;
  readonly learnt: boolean;
}

/**
 * Holds all agents' facts and claims against each other (spec.md, "Proof"). It counts majorities apart from the core.
 * The same facts and claims are judged once.
 */
export class Checks {
  readonly #verdicts: Verdict[] = [];
  readonly #known = new PairMap();
  readonly #combined = new PairMap();

  constructor(
    private readonly agents: number,
    private readonly cores: CoreTable,
    private readonly items: ItemTable,
    private readonly sets: ItemSets,
  ) {}

  judge(cores: ArrayLike<number>, sets: ArrayLike<number>): Verdict {
    let facts = 0;
    let claims = 0;
    for (let i = 0; i < this.agents; i++) {
      facts = this.#combine(facts, this.sets.facts(sets[i] as number));
      claims = this.#combine(claims, this.cores.claims(cores[i] as number));
    }
    const known = this.#known.get(facts, claims);
    if (known >= 0) return this.#verdicts[known] as Verdict;
    const verdict = this.#judge(cores, sets);
    this.#known.set(facts, claims, this.#verdicts.length);
    this.#verdicts.push(verdict);
    return verdict;
  }

  #combine(a: number, b: number): number {
    const known = this.#combined.get(a, b);
    if (known >= 0) return known;
    // 0 is what the fold begins with.
    const fresh = this.#combined.size + 1;
    this.#combined.set(a, b, fresh);
    return fresh;
  }

  #judge(cores: ArrayLike<number>, sets: ArrayLike<number>): Verdict {
    const votes = new Map<string, { slot: Slot; voters: Set<number> }>();
    const proposals: { by: number; slot: Slot }[] = [];
    for (let i = 0; i < this.agents; i++) {
      for (const id of this.sets.members(this.sets.facts(sets[i] as number))) {
        const item = this.items.get(id);
        if (item.kind === 'proposal') proposals.push(item);
        if (item.kind !== 'vote') continue;
        const key = slotKey(item.slot);
        const known = votes.get(key) ?? { slot: item.slot, voters: new Set() };
        votes.set(key, known);
        known.voters.add(item.by);
      }
    }
    const chosen = [...votes.values()]
      .filter(({ voters }) => 2 * voters.size > this.agents)
      .map(({ slot }) => slot);
    const claims: [number, Decree][] = [];
    for (let i = 0; i < this.agents; i++)
      claims.push(...this.cores.get(cores[i] as number).live.learner.chosen);
    return {
      broken: whyTwoChosen(chosen) ?? whyTwoProposed(proposals) ?? whyNotChosen(claims, chosen),
      chosen_above_round_0: chosen.some(({ round }) => round > 0),
      no_op_chosen: chosen.some(({ decree }) => isNoOp(decree)),
      old_value_again: proposals.some(
        ({ slot }) => !isNoOp(slot.decree) && roundOfClientId(slot.decree.id) < slot.round,
      ),
      learnt: claims.length > 0,
    };
  }
}

function whyTwoChosen(chosen: readonly Slot[]): string | undefined {
  for (const a of chosen) {
    const b = chosen.find(
      ({ entry, decree }) => entry === a.entry && decreeKey(decree) !== decreeKey(a.decree),
    );
    if (b !== undefined) return `two values are chosen: ${slotKey(a)} and ${slotKey(b)}`;
  }
  return undefined;
}

function whyTwoProposed(proposals: readonly { by: number; slot: Slot }[]): string | undefined {
  for (const a of proposals) {
    for (const b of proposals) {
      if (a.slot.round !== b.slot.round) continue;
      if (a.by !== b.by) return `round ${a.slot.round} has two owners: ${a.by} and ${b.by}`;
      if (a.slot.entry === b.slot.entry && slotKey(a.slot) !== slotKey(b.slot)) {
        return `two values are proposed at one entry and round: ${slotKey(a.slot)} and ${slotKey(b.slot)}`;
      }
    }
  }
  return undefined;
}

function whyNotChosen(claims: readonly [number, Decree][], chosen: readonly Slot[]): string | undefined {
  for (const [entry, decree] of claims) {
    const is = chosen.some((slot) => slot.entry === entry && decreeKey(slot.decree) === decreeKey(decree));
    if (!is) return `an agent takes ${decreeKey(decree)} for chosen at entry ${entry}, which it is not`;
  }
  return undefined;
}
