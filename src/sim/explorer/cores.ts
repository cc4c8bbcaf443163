import type { AgentIndex, Position } from '../../core/ids.js';
import type { JournalRecord } from '../../core/record.js';
import type { AgentState } from '../../core/state.js';
import { asCandidate, asLeader, NOTHING_OUTSTANDING, type Outstanding } from './item-sets.js';
import { decreeKey } from './items.js';
import { stateKey } from './project.js';

/** One agent with its disk. What it has sent is kept apart, as it never changes what the agent does. */
export interface Core {
  readonly self: AgentIndex;
  readonly live: AgentState;
  /** What a recovery would make of the durable records; undefined when no crash is to come any more. */
  readonly disk: AgentState | undefined;
  /** Records that are not durable yet, in order. */
  readonly pending: readonly JournalRecord[];
  /** Messages that wait for a record to be durable. */
  readonly held: readonly Held[];
  /** Nothing it writes from now on will be durable: it works on, and crashes. */
  readonly doomed: boolean;
}

export interface Held {
  readonly after: Position;
  readonly item: number;
}

const DOOMED = 1;
const REIGNS = 2;

/** Gives each different core a small number. */
export class CoreTable {
  readonly #cores: Core[] = [];
  #outstanding = new Int32Array(1024);
  #claims = new Int32Array(1024);
  #flags = new Uint8Array(1024);
  readonly #ids = new Map<string, number>();
  /** Agents' states by key, so that equal ones are kept once. */
  readonly #states = new Map<string, { id: number; state: AgentState }>();
  readonly #claim_ids = new Map<string, number>();

  get size(): number {
    return this.#cores.length;
  }

  get states(): number {
    return this.#states.size;
  }

  get(id: number): Core {
    const core = this.#cores[id];
    if (core === undefined) throw new RangeError(`there is no core ${id}`);
    return core;
  }

  /* What the explorer has to know of a core at every step, so that it needn't look inside. */

  outstanding(id: number): Outstanding {
    return this.#outstanding[id] as Outstanding;
  }

  /** A number for what it takes for chosen: equal numbers, equal claims. */
  claims(id: number): number {
    return this.#claims[id] as number;
  }

  isDoomed(id: number): boolean {
    return ((this.#flags[id] as number) & DOOMED) !== 0;
  }

  reigns(id: number): boolean {
    return ((this.#flags[id] as number) & REIGNS) !== 0;
  }

  id(core: Core): number {
    const live = this.#state(core.live);
    const disk = core.disk && this.#state(core.disk);
    const key = [
      core.self,
      live.id,
      disk?.id ?? '',
      core.doomed ? 'd' : '',
      core.pending.map(recordKey).join(';'),
      core.held
        .map(({ after, item }) => `${item}:${after}`)
        .sort()
        .join(';'),
    ].join('|');
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#cores.length;
    this.#cores.push({ ...core, live: live.state, disk: disk?.state });
    this.#note(id, core);
    this.#ids.set(key, id);
    return id;
  }

  #note(id: number, core: Core): void {
    if (id === this.#flags.length) {
      const [outstanding, claims, flags] = [this.#outstanding, this.#claims, this.#flags];
      this.#outstanding = new Int32Array(id * 2);
      this.#claims = new Int32Array(id * 2);
      this.#flags = new Uint8Array(id * 2);
      this.#outstanding.set(outstanding);
      this.#claims.set(claims);
      this.#flags.set(flags);
    }
    this.#outstanding[id] = outstandingOf(core.live);
    this.#claims[id] = this.#claimsOf(core.live);
    this.#flags[id] = (core.doomed ? DOOMED : 0) | (core.live.proposer.reign === undefined ? 0 : REIGNS);
  }

  #state(state: AgentState): { id: number; state: AgentState } {
    const key = `${state.config.self}|${stateKey(state)}`;
    let known = this.#states.get(key);
    if (known === undefined) {
      known = { id: this.#states.size, state };
      this.#states.set(key, known);
    }
    return known;
  }

  #claimsOf({ learner }: AgentState): number {
    const key = [...learner.chosen]
      .map(([entry, decree]) => `${entry}=${decreeKey(decree)}`)
      .sort()
      .join();
    const known = this.#claim_ids.get(key);
    if (known !== undefined) return known;
    this.#claim_ids.set(key, this.#claim_ids.size);
    return this.#claim_ids.size - 1;
  }
}

function outstandingOf({ proposer }: AgentState): Outstanding {
  if (proposer.candidate !== undefined) return asCandidate(proposer.candidate.round);
  if (proposer.reign !== undefined) return asLeader(proposer.reign.round);
  return NOTHING_OUTSTANDING;
}

function recordKey(record: JournalRecord): string {
  switch (record.verdict) {
    case 'used':
      return `u${record.round}`;
    case 'promised':
      return `p${record.round}/${record.owner}`;
    case 'accepted':
      return `a${record.entry}/${record.round}/${record.owner}/${decreeKey(record.decree)}`;
    case 'learnt':
      return `l${record.entry}/${decreeKey(record.decree)}`;
    case 'committed':
      return `c${record.committed}`;
  }
}
