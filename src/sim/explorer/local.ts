import { NO_REQUEST } from '../../core/decree.js';
import type { Effect } from '../../core/effect.js';
import type { Event, TimerName } from '../../core/event.js';
import {
  agentIndex,
  connectionId,
  entry as entryOf,
  position,
  requestNumber,
  type AgentIndex,
  type ConnectionId,
} from '../../core/ids.js';
import { MessageType } from '../../core/message.js';
import type { JournalRecord } from '../../core/record.js';
import type { AgentConfig, AgentState } from '../../core/state.js';
import { DEFAULT_TIMES } from '../../core/state.js';
import type { Bounds, Reduction } from './bounds.js';
import { cloneAgent } from './clone.js';
import type { Core, CoreTable, Held } from './cores.js';
import { whyUnjustified } from './disk-check.js';
import type { ItemSets } from './item-sets.js';
import { readPart, type Item, type ItemTable } from './items.js';
import { nextRound, rebase, settle, stateKey } from './project.js';
import type { Protocol } from './protocol.js';
import { whoSleeps } from './wake.js';

/** What an agent can do by itself, or what can be done to it; deliveries name their item. */
export type Action =
  | { readonly kind: 'deliver'; readonly item: number }
  | { readonly kind: 'timer'; readonly timer: TimerName }
  /** The leader finds that its disk has been silent for too long. */
  | { readonly kind: 'silent-disk' }
  | { readonly kind: 'client' }
  /** The first `count` pending records become durable. */
  | { readonly kind: 'flush'; readonly count: number }
  | { readonly kind: 'restart' };

/** What an action brings about at one agent: its next core, and the set of what it puts into the world. */
export interface Outcome {
  readonly core: number;
  readonly added: number;
  /** Of the step's records, how many are durable before the agent is doomed; undefined if it is not. */
  readonly doomed_after: number | undefined;
}

/** A step that must not be. */
export class Violation extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'Violation';
  }
}

interface Draft {
  live: AgentState;
  disk: AgentState | undefined;
  pending: JournalRecord[];
  held: Held[];
  readonly doomed: boolean;
  readonly added: Set<number>;
}

const CLIENT = connectionId(1);

export function configOf(self: AgentIndex, agents: number): AgentConfig {
  return {
    self,
    agents: Array.from({ length: agents }, (_unused, i) => ({ address: '10.0.0.1', port: String(7001 + i) })),
    has_app: false,
    ...DEFAULT_TIMES,
  };
}

/** Runs the core for one agent, from settled state to settled state. Nothing here knows of other agents' states. */
export class Local {
  steps = 0;

  constructor(
    private readonly bounds: Bounds,
    private readonly reduction: Reduction,
    private readonly protocol: Protocol,
    private readonly cores: CoreTable,
    private readonly items: ItemTable,
    private readonly sets: ItemSets,
  ) {}

  /** An agent with an empty log, after its start. */
  first(self: AgentIndex): number {
    const { bounds, protocol } = this;
    const live = protocol.newAgent(configOf(self, bounds.agents));
    const hasDisk = bounds.restarts > 0;
    const disk = hasDisk ? settle(cloneAgent(live), bounds, true) : undefined;
    protocol.step(live, { type: 'start' });
    return this.cores.id({
      self,
      live: settle(live, bounds, hasDisk),
      disk,
      pending: [],
      held: [],
      doomed: false,
    });
  }

  /** What an agent may do of its own accord, restarts apart. */
  actions(core: Core): Action[] {
    const { proposer } = core.live;
    const actions: Action[] = core.pending.map((_record, i) => ({ kind: 'flush', count: i + 1 }));
    const timer = (name: TimerName): void => void actions.push({ kind: 'timer', timer: name });
    if (proposer.candidate !== undefined) {
      timer('try');
      timer('prepare');
    } else if (proposer.reign === undefined) {
      if (nextRound(core.live) < this.bounds.rounds) timer('election');
    } else {
      timer('progress');
      if (this.reduction !== 'none') actions.push({ kind: 'silent-disk' });
      if (this.bounds.learners) timer('heartbeat');
      if (proposer.reign.next < this.bounds.entries) actions.push({ kind: 'client' });
    }
    return actions;
  }

  /** The agent without its disk: no crash is to come. */
  withoutDisk(core: Core): number {
    const live = settle(cloneAgent(core.live), this.bounds, false);
    return this.cores.id({ ...core, live, disk: undefined });
  }

  /** The events that make an action, in order. */
  events(core: Core, action: Action): Event[] {
    switch (action.kind) {
      case 'deliver':
        return this.#delivery(core, this.items.get(action.item));
      case 'timer':
        return [{ type: 'timer', timer: action.timer }];
      case 'silent-disk':
        return [{ type: 'timer', timer: 'progress' }];
      case 'client':
        return clientEvents(core.self);
      case 'flush':
        return [{ type: 'durable', position: position(action.count) }];
      case 'restart':
        return [{ type: 'start' }];
    }
  }

  #delivery(core: Core, item: Item): Event[] {
    if (item.kind === 'message') return [{ type: 'message', from: item.from, message: item.message }];
    if (item.kind !== 'streamed' || item.entry > core.live.learner.committed) return [];
    return [{ type: 'fetched', peer: item.from, entry: item.entry, decrees: [item.decree] }];
  }

  /** All that can come of an action. Throws a `Violation`, or the core's `InvariantError`. */
  run(core: Core, action: Action): Outcome[] {
    const draft = this.#draft(core, action);
    const events = this.events(core, action);
    if (events.length === 0) return [];
    // Records that are made durable early may have waited long enough for the leader to lose patience with its disk.
    if (action.kind === 'silent-disk') draft.live.journal.appended++;
    if (action.kind === 'flush') this.#reachDisk(core.self, draft, action.count);
    const effects: Effect[] = [];
    for (const event of events) {
      if (event.type === 'fetched') draft.live.catchup.source = event.peer;
      this.steps++;
      const some = this.protocol.step(draft.live, event);
      this.#carryOut(core, draft, some);
      effects.push(...some);
    }
    if (action.kind === 'silent-disk') draft.live.journal.appended--;
    if (action.kind === 'flush') this.#release(draft, action.count);
    const timer = firedTimer(action);
    const asleep = whoSleeps(action.kind === 'restart' ? undefined : core.live, draft.live, timer, effects);
    if (asleep !== undefined) throw new Violation(`agent ${core.self} would never be woken: ${asleep}`);
    if (!this.#stayInBounds(core, draft)) return [];
    this.#streamChosen(core, draft);
    return this.#finish(core, draft);
  }

  /** How many of its records reach the disk together with an action that leads from one core to another. */
  durableWith(from: number, action: Action, to: number): number | 'all' | undefined {
    if (to < 0 || this.reduction === 'none') return undefined;
    const target = this.cores.get(to);
    if (!target.doomed) return target.pending.length === 0 ? 'all' : undefined;
    return this.run(this.cores.get(from), action).find(({ core }) => core === to)?.doomed_after;
  }

  #draft(core: Core, action: Action): Draft {
    if (action.kind === 'restart') {
      if (core.disk === undefined) throw new RangeError('a restart needs a disk');
      return {
        live: cloneAgent(core.disk),
        disk: core.disk,
        pending: [],
        held: [],
        doomed: false,
        added: new Set(),
      };
    }
    return {
      live: cloneAgent(core.live),
      disk: core.disk,
      pending: [...core.pending],
      held: [...core.held],
      doomed: core.doomed,
      added: new Set(),
    };
  }

  #carryOut(core: Core, draft: Draft, effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'persist') draft.pending.push(effect.record);
      if (effect.type !== 'send') continue;
      if (effect.message.type === MessageType.AcceptRequest) {
        const { entry, round, request, value } = effect.message;
        const slot = { entry, round, decree: { ...request, value } };
        draft.added.add(this.items.id({ kind: 'proposal', by: core.self, slot }));
      }
      const message = readPart(effect.message, this.bounds.learners);
      if (message === undefined) continue;
      const item = this.items.id({ kind: 'message', from: core.self, to: effect.to, message });
      if (effect.after > draft.live.journal.durable) hold(draft.held, { after: effect.after, item });
      else this.#leave(draft, item);
    }
  }

  #leave(draft: Draft, id: number): void {
    draft.added.add(id);
    const item = this.items.get(id);
    if (draft.disk === undefined || item.kind !== 'message') return;
    const why = whyUnjustified(draft.disk, item.to, item.message);
    if (why !== undefined)
      throw new Violation(`agent ${item.from} sends what its disk does not hold: ${why}`);
  }

  /** The first `count` pending records are on the disk now. */
  #reachDisk(self: AgentIndex, draft: Draft, count: number): void {
    const records = draft.pending.splice(0, count);
    for (const record of records) {
      if (record.verdict !== 'accepted') continue;
      const { entry, round, decree } = record;
      draft.added.add(this.items.id({ kind: 'vote', by: self, slot: { entry, round, decree } }));
    }
    if (draft.disk === undefined) return;
    const disk = cloneAgent(draft.disk);
    for (const record of records) this.protocol.recover(disk, record);
    draft.disk = settle(disk, this.bounds, true);
  }

  /** What waited for the first `count` records leaves, and positions count from there. */
  #release(draft: Draft, count: number): void {
    for (const { after, item } of draft.held) if (after <= count) this.#leave(draft, item);
    draft.held = draft.held
      .filter(({ after }) => after > count)
      .map(({ after, item }) => ({ after: position(after - count), item }));
    rebase(draft.live);
  }

  /**
   * A try at a round out of bounds is given up before anything of it has left. False if it has gone further than that,
   * as only mutants do: then the step lies out of bounds as a whole.
   */
  #stayInBounds(core: Core, draft: Draft): boolean {
    const { live, pending } = draft;
    const { proposer, journal } = live;
    if (proposer.used < this.bounds.rounds) return true;
    if (pending.findLastIndex(({ verdict }) => verdict === 'used') !== pending.length - 1) return false;
    proposer.used = core.live.proposer.used;
    proposer.candidate = undefined;
    draft.held = draft.held.filter(({ after }) => after < journal.appended);
    pending.pop();
    if (!draft.doomed) journal.appended = position(journal.appended - 1);
    return true;
  }

  /** What it knows chosen from now on, it streams to everybody who asks. */
  #streamChosen(core: Core, { live, added }: Draft): void {
    if (!this.bounds.learners) return;
    for (let e = 0; e < live.learner.committed; e++) {
      const decree = live.learner.chosen.get(entryOf(e));
      if (decree === undefined || e < core.live.learner.committed) continue;
      for (let to = 0; to < this.bounds.agents; to++) {
        if (to === core.self) continue;
        const streamed = {
          kind: 'streamed',
          from: core.self,
          to: agentIndex(to),
          entry: entryOf(e),
          decree,
        } as const;
        added.add(this.items.id(streamed));
      }
    }
  }

  /**
   * Settles what came of a step, with everything that may become of its records.
   *
   * With `disks` or `full`: where the news that all records are durable would change nothing at the agent, they are
   * either made durable now, or never. Now loses nothing against later, as only the messages that they hold back show
   * it, and those may be delivered as late as one likes. Never, or only a part of them, means that the agent crashes
   * before it is told: until then it is doomed, and where no crash is to come, there is no such agent.
   * Where the news counts (the own promise or vote), both are events of their own: a flush, and a crash.
   */
  #finish(core: Core, draft: Draft): Outcome[] {
    const { live, pending } = draft;
    if (draft.doomed) return [this.#doomed(core, draft, undefined)];
    const added = this.sets.of(draft.added);
    const settled: Core = {
      self: core.self,
      live: settle(live, this.bounds, draft.disk !== undefined),
      disk: draft.disk,
      pending,
      held: draft.held,
      doomed: false,
    };
    if (this.reduction === 'none' || pending.length === 0 || !this.#isInert(settled)) {
      return [{ core: this.cores.id(settled), added, doomed_after: undefined }];
    }
    const outcomes = this.run(settled, { kind: 'flush', count: pending.length }).map((outcome) => ({
      ...outcome,
      added: this.sets.union(added, outcome.added),
    }));
    if (draft.disk !== undefined) {
      for (let k = 0; k < pending.length; k++) outcomes.push(this.#doomed(core, draft, k));
    }
    return outcomes;
  }

  /** Whether it makes no difference to the agent itself that everything becomes durable. */
  #isInert(core: Core): boolean {
    const live = cloneAgent(core.live);
    const effects = this.protocol.step(live, { type: 'durable', position: position(core.pending.length) });
    if (effects.some(({ type }) => type !== 'note')) return false;
    rebase(live);
    const before = cloneAgent(core.live);
    before.journal.durable = before.journal.appended;
    rebase(before);
    const sees_disk = core.disk !== undefined;
    return (
      stateKey(settle(live, this.bounds, sees_disk)) === stateKey(settle(before, this.bounds, sees_disk))
    );
  }

  /** The agent with `durable` of its pending records on disk, or none new, and the rest lost to come. */
  #doomed(core: Core, draft: Draft, durable: number | undefined): Outcome {
    const fate: Draft = {
      live: cloneAgent(draft.live),
      disk: draft.disk,
      pending: [...draft.pending],
      held: draft.held,
      doomed: true,
      added: new Set(draft.added),
    };
    if (durable !== undefined && durable > 0) {
      this.#reachDisk(core.self, fate, durable);
      for (const { after, item } of fate.held) if (after <= durable) this.#leave(fate, item);
    }
    const { journal, proposer } = fate.live;
    journal.durable = position(0);
    journal.appended = position(1);
    proposer.own_votes.length = 0;
    if (proposer.candidate?.own_promise !== undefined) proposer.candidate.own_promise = position(1);
    const live = settle(fate.live, this.bounds, true);
    const id = this.cores.id({ self: core.self, live, disk: fate.disk, pending: [], held: [], doomed: true });
    return { core: id, added: this.sets.of(fate.added), doomed_after: durable ?? 0 };
  }
}

function firedTimer(action: Action): TimerName | undefined {
  if (action.kind === 'silent-disk') return 'progress';
  return action.kind === 'timer' ? action.timer : undefined;
}

/** What waits already leaves no later than its double would. */
function hold(held: Held[], one: Held): void {
  if (!held.some(({ item }) => item === one.item)) held.push(one);
}

/** A client connects, asks for one value, and goes. Values name the agent; the ids in them, the reign. */
export function clientEvents(self: AgentIndex, connection: ConnectionId = CLIENT): Event[] {
  const request = { ...NO_REQUEST, no: requestNumber(1) };
  return [
    {
      type: 'client',
      connection,
      message: { type: MessageType.ClientConnectRequest, request: NO_REQUEST },
    },
    {
      type: 'client',
      connection,
      message: { type: MessageType.ClientRequest, request, entry: entryOf(0), value: `v${self}` },
    },
    { type: 'client-closed', connection },
  ];
}
