import { CALM_DISK, CALM_NETWORK, type Plan, type TimedAction } from './plan.js';
import { simulate, type RunResult } from './simulation.js';

/** Runs that one failure may cost to make small. */
const MAX_TRIES = 400;

/** A cluster needs about this long to elect a leader at all. */
const LEAST_DURATION_MS = 500;

/** A smaller plan that fails in the same way. */
export interface Shrunk {
  readonly plan: Plan;
  readonly result: RunResult;
  readonly tries: number;
}

/**
 * Makes a failing plan small: fewer deeds, fewer kinds of trouble, fewer nodes and clients, as long as the same invariant
 * breaks. The draws of network, nodes and clients come from streams of their own, so that leaving one thing out mostly
 * leaves the others as they were.
 */
export function shrink(
  result: RunResult,
  run: (plan: Plan) => Promise<RunResult> = simulate,
  max_tries = MAX_TRIES,
): Promise<Shrunk> {
  return new Shrinker(result, run, max_tries).run();
}

class Shrinker {
  #best: RunResult;
  #tries = 0;

  constructor(
    private readonly failing: RunResult,
    private readonly simulate: (plan: Plan) => Promise<RunResult>,
    private readonly max_tries: number,
  ) {
    this.#best = failing;
  }

  async run(): Promise<Shrunk> {
    let before: Plan | undefined;
    while (before !== this.#best.plan && this.#tries < this.max_tries) {
      before = this.#best.plan;
      await this.#cutOff();
      await this.#dropActions();
      for (const simpler of SIMPLER) await this.#try(simpler(this.#best.plan));
    }
    return { plan: this.#best.plan, result: this.#best, tries: this.#tries };
  }

  async #try(plan: Plan): Promise<boolean> {
    if (this.#tries >= this.max_tries || JSON.stringify(plan) === JSON.stringify(this.#best.plan))
      return false;
    this.#tries++;
    const result = await this.simulate(plan);
    if (result.failure?.kind !== this.failing.failure?.kind) return false;
    this.#best = result;
    return true;
  }

  /** Nothing after the failure matters, unless it was found when all was healed. */
  async #cutOff(): Promise<void> {
    const { plan, virtual_ms } = this.#best;
    const duration_ms = Math.min(plan.duration_ms, Math.ceil(virtual_ms) + 1);
    const actions = plan.actions.filter(({ at_ms }) => at_ms <= duration_ms);
    await this.#try({ ...plan, duration_ms, actions });
    if (duration_ms < 2 * LEAST_DURATION_MS) return;
    if (await this.#try({ ...plan, duration_ms: duration_ms / 2 })) await this.#cutOff();
  }

  /** Leaves out half of the deeds, then quarters, down to single ones. */
  async #dropActions(): Promise<void> {
    for (let size = Math.ceil(this.#best.plan.actions.length / 2); size >= 1; size = Math.floor(size / 2)) {
      let from = 0;
      while (from < this.#best.plan.actions.length) {
        const { plan } = this.#best;
        const actions = [...plan.actions.slice(0, from), ...plan.actions.slice(from + size)];
        if (!(await this.#try({ ...plan, actions }))) from += size;
        if (this.#tries >= this.max_tries) return;
      }
    }
  }
}

const SIMPLER: readonly ((plan: Plan) => Plan)[] = [
  (plan) => ({ ...plan, prehistory: 0 }),
  (plan) => ({ ...plan, network: CALM_NETWORK }),
  (plan) => ({ ...plan, network: { ...plan.network, loss: 0 } }),
  (plan) => ({ ...plan, network: { ...plan.network, duplicate: 0 } }),
  (plan) => ({ ...plan, network: { ...plan.network, replay: 0 } }),
  (plan) => ({ ...plan, network: { ...plan.network, spike: 0 } }),
  (plan) => ({ ...plan, disk: CALM_DISK }),
  (plan) => ({ ...plan, skew: 0 }),
  (plan) => ({ ...plan, hostile_ms: 0 }),
  (plan) => ({ ...plan, strange_lists: {} }),
  (plan) => ({ ...plan, intruder_ms: 0 }),
  (plan) => ({ ...plan, odd_answers: 0 }),
  (plan) => ({ ...plan, probes: 0 }),
  (plan) => ({ ...plan, timers_first: 0 }),
  (plan) => ({ ...plan, has_app: false }),
  (plan) => ({ ...plan, clients: { ...plan.clients, count: 1 } }),
  (plan) => ({ ...plan, clients: { ...plan.clients, depth: 1 } }),
  (plan) => ({ ...plan, clients: { ...plan.clients, ask_again: 0, query: 0, leave: 0, half_close: 0 } }),
  (plan) => ({ ...plan, clients: { ...plan.clients, think_ms: plan.clients.think_ms * 4 } }),
  (plan) => withNodes(plan, 3),
  (plan) => withNodes(plan, plan.nodes - 1),
];

function withNodes(plan: Plan, nodes: number): Plan {
  if (nodes < 1 || nodes >= plan.nodes) return plan;
  const isThere = (target: number | 'leader'): boolean => target === 'leader' || target < nodes;
  const actions = plan.actions.flatMap((action): TimedAction[] => {
    if (action.kind === 'restart-all') return [action];
    if (action.kind !== 'cut') return isThere(action.node) ? [action] : [];
    return [{ ...action, cuts: action.cuts.filter(([from, to]) => isThere(from) && isThere(to)) }];
  });
  return { ...plan, nodes, actions };
}
