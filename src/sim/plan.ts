import { MAX_SESSIONS, RETAINED_ENTRIES } from '../core/limits.js';
import type { Damage } from './damage.js';
import type { DiskFault } from './disk-session.js';
import { Random } from './random.js';

/** A node, or whoever leads when the time comes. */
export type Target = number | 'leader';

/** A directed link between two nodes, or a node and the leader of that moment. */
export type Cut = readonly [from: Target, to: Target];

/** One deed of the adversary. */
export type Action =
  | {
      readonly kind: 'crash';
      readonly node: Target;
      /** What was written and not flushed is lost, or some of it. Otherwise only the process dies. */
      readonly power: boolean;
      /** It dies when it has carried out this many more effects. */
      readonly effects: number;
      readonly down_ms: number;
    }
  | { readonly kind: 'cut'; readonly cuts: readonly Cut[]; readonly for_ms: number }
  | { readonly kind: 'pause'; readonly node: Target; readonly for_ms: number }
  | { readonly kind: 'disk-hang'; readonly node: Target; readonly for_ms: number }
  | { readonly kind: 'disk-slow'; readonly node: Target; readonly for_ms: number }
  | {
      readonly kind: 'disk-fail';
      readonly node: Target;
      readonly down_ms: number;
      /** A flush, if nothing is said. */
      readonly fault?: DiskFault;
    }
  | {
      readonly kind: 'die-at-disk';
      readonly node: Target;
      readonly power: boolean;
      /** File operations that are still carried out; those of a recovery count as well. */
      readonly calls: number;
      readonly down_ms: number;
    }
  | { readonly kind: 'damage'; readonly node: Target; readonly how: Damage; readonly down_ms: number }
  | { readonly kind: 'app-crash'; readonly node: Target }
  | { readonly kind: 'app-hang'; readonly node: Target; readonly for_ms: number }
  | { readonly kind: 'app-slow'; readonly node: Target; readonly for_ms: number }
  | { readonly kind: 'break-streams'; readonly node: Target }
  | { readonly kind: 'restart-all'; readonly power: boolean; readonly down_ms: number };

export type TimedAction = Action & { readonly at_ms: number };

export interface NetworkPlan {
  /** Probabilities per datagram. */
  readonly loss: number;
  readonly duplicate: number;
  /** That an old datagram of the same link comes again. */
  readonly replay: number;
  readonly spike: number;
  readonly least_ms: number;
  readonly most_ms: number;
  readonly spike_ms: number;
  /** Extra delay of all that goes over some links, by `from * nodes + to`: their messages arrive reigns too late. */
  readonly late_links: Readonly<Record<number, number>>;
}

export interface DiskPlan {
  readonly least_ms: number;
  readonly most_ms: number;
}

export interface ClientPlan {
  readonly count: number;
  /** Requests under way at a time. */
  readonly depth: number;
  readonly think_ms: number;
  readonly patience_ms: number;
  /** Probabilities per finished operation. */
  readonly ask_again: number;
  readonly query: number;
  readonly leave: number;
  readonly half_close: number;
  readonly long_values: boolean;
}

/** Everything that a seed decides before the run begins. */
export interface Plan {
  readonly seed: number;
  readonly nodes: number;
  readonly has_app: boolean;
  /** Entries that are in the journals before the run begins, in parts of different length. */
  readonly prehistory: number;
  /** Sessions that these came from; a few if nothing is said. More than a table holds are forgotten. */
  readonly past_sessions?: number;
  /** Of the safety phase. */
  readonly duration_ms: number;
  readonly network: NetworkPlan;
  readonly disk: DiskPlan;
  /** Of the journals' segments; 64 KiB if nothing is said. */
  readonly segment_bytes?: number;
  /** How often a journal that is read back is read from a copy as well, which perhaps has lost its end. */
  readonly probes?: number;
  readonly clients: ClientPlan;
  /** After a pause, timers are believed before the sockets are drained, with this probability. */
  readonly timers_first: number;
  /** How much each node's timers run slow or fast, at most: 0.2 is a fifth. */
  readonly skew: number;
  /** By node, how many addresses its list of agents has beyond the true ones: such nodes claim rounds of others. */
  readonly strange_lists?: Readonly<Record<number, number>>;
  /** Hostile datagrams come so far apart on average; none if nothing is said. */
  readonly hostile_ms?: number;
  /** Somebody who uses the sessions of others comes so far apart on average; nobody does if nothing is said. */
  readonly intruder_ms?: number;
  /** How often an application answers twice, for nothing, or before its turn. */
  readonly odd_answers?: number;
  /** What may wait for a disk, in bytes; as shipped, if nothing is said. */
  readonly max_waiting_bytes?: number;
  readonly actions: readonly TimedAction[];
}

export const CALM_NETWORK: NetworkPlan = {
  loss: 0,
  duplicate: 0,
  replay: 0,
  spike: 0,
  least_ms: 0.05,
  most_ms: 1,
  spike_ms: 0,
  late_links: {},
};

export const CALM_DISK: DiskPlan = { least_ms: 0.05, most_ms: 2 };

/** Up to this, the slowest leader's heartbeat still comes before the fastest follower's time-out. */
const MAX_SKEW = 0.25;

/** The longest safety phase, unless another is asked for. */
const LONGEST_MS = 60_000;

/** The longest one of runs with much to do. */
const SHORT_MS = 8_000;

/** Small against what a run writes, so that segments change. */
const LARGEST_SEGMENT_BYTES = 128 * 1024;

/** Draws the plan of a seed, swarm-style: which faults there are, how many nodes, how much load. */
export function drawPlan(seed: number, longest_ms = LONGEST_MS): Plan {
  const random = new Random(seed, 'plan');
  const nodes = random.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]);
  const duration_ms = random.spread(5_000, LONGEST_MS) * (longest_ms / LONGEST_MS);
  const has_app = random.chance(0.5);
  // Long enough that most of it is in no memory any more.
  const prehistory = random.chance(0.04) ? random.whole(RETAINED_ENTRIES, RETAINED_ENTRIES + 1000) : 0;
  const isCrowd = random.chance(0.05);
  const clients = drawClients(random, isCrowd);
  const least_bytes = clients.long_values ? 32 * 1024 : 2 * 1024;
  return {
    seed,
    nodes,
    has_app,
    prehistory,
    segment_bytes: Math.round(random.spread(least_bytes, LARGEST_SEGMENT_BYTES)),
    duration_ms: prehistory > 0 || isCrowd ? Math.min(duration_ms, SHORT_MS) : duration_ms,
    network: drawNetwork(random, nodes),
    disk: drawDisk(random),
    probes: random.chance(0.2) ? 0.2 : 0,
    clients,
    timers_first: random.chance(0.3) ? random.next() : 0,
    skew: random.chance(0.5) ? random.between(0, MAX_SKEW) : 0,
    actions: drawActions(random, nodes, has_app, duration_ms),
    ...(random.chance(0.5) ? { past_sessions: random.whole(MAX_SESSIONS - 50, RETAINED_ENTRIES) } : {}),
    ...(nodes >= 3 && random.chance(0.05) ? { strange_lists: drawStrangeLists(random, nodes) } : {}),
    intruder_ms: random.chance(0.3) ? random.spread(100, 5_000) : 0,
    odd_answers: random.chance(0.3) ? random.spread(0.001, 0.1) : 0,
    ...(random.chance(0.1) ? { max_waiting_bytes: Math.round(random.spread(200, 64 * 1024)) } : {}),
    hostile_ms: random.chance(0.4) ? random.spread(20, 2_000) : 0,
  };
}

/** Some nodes whose lists have addresses too many. All that there are still make a quorum of theirs. */
function drawStrangeLists(random: Random, nodes: number): Record<number, number> {
  const strange = random
    .shuffle(Array.from({ length: nodes }, (_, i) => i))
    .slice(0, random.whole(1, nodes - 1));
  return Object.fromEntries(strange.map((node) => [node, random.whole(1, 2)]));
}

function drawNetwork(random: Random, nodes: number): NetworkPlan {
  const sometimes = (probability: number, least: number, most: number): number =>
    random.chance(probability) ? random.spread(least, most) : 0;
  const least_ms = random.spread(0.05, 20);
  return {
    loss: sometimes(0.5, 0.005, 0.5),
    duplicate: sometimes(0.5, 0.005, 0.3),
    replay: sometimes(0.4, 0.002, 0.1),
    spike: sometimes(0.3, 0.001, 0.05),
    least_ms,
    most_ms: least_ms * random.spread(1.1, 20),
    spike_ms: random.spread(50, 2000),
    late_links: drawLateLinks(random, nodes),
  };
}

function drawLateLinks(random: Random, nodes: number): Record<number, number> {
  const late: Record<number, number> = {};
  if (random.chance(0.7)) return late;
  const share = random.between(0.1, 0.5);
  for (let link = 0; link < nodes * nodes; link++)
    if (random.chance(share)) late[link] = random.spread(20, 3_000);
  return late;
}

function drawDisk(random: Random): DiskPlan {
  const least_ms = random.spread(0.05, 5);
  return { least_ms, most_ms: least_ms * random.spread(1.1, 20) };
}

function drawClients(random: Random, isCrowd: boolean): ClientPlan {
  const sometimes = (probability: number, most: number): number =>
    random.chance(probability) ? random.next() * most : 0;
  return {
    count: isCrowd ? random.whole(8, 20) : random.whole(1, 6),
    // A crowd wants more in flight than a leader allows, and more of one connection than it takes.
    depth: isCrowd ? random.pick([64, 140, 160]) : random.pick([1, 2, 4, 16, 64, 64]),
    think_ms: isCrowd ? random.spread(0.5, 10) : random.spread(2, 1000),
    patience_ms: random.spread(500, 8000),
    ask_again: sometimes(0.5, 0.3),
    query: sometimes(0.4, 0.3),
    leave: sometimes(0.4, 0.1),
    half_close: sometimes(0.3, 0.05),
    long_values: random.chance(0.15),
  };
}

type Draw = (random: Random, nodes: number) => Action;

const DRAWS: readonly Draw[] = [
  drawCrash,
  drawCrash,
  drawCut,
  drawCut,
  (random, nodes) => ({ kind: 'pause', node: drawTarget(random, nodes), for_ms: random.spread(50, 30_000) }),
  (random, nodes) => ({
    kind: 'disk-hang',
    node: drawTarget(random, nodes),
    for_ms: random.spread(100, 10_000),
  }),
  (random, nodes) => ({
    kind: 'disk-slow',
    node: drawTarget(random, nodes),
    for_ms: random.spread(500, 10_000),
  }),
  (random, nodes) => ({
    kind: 'disk-fail',
    node: drawTarget(random, nodes),
    down_ms: random.spread(10, 5_000),
    fault: random.pick<DiskFault>(['flush', 'flush', 'write', 'short write']),
  }),
  (random, nodes) => ({
    kind: 'die-at-disk',
    node: drawTarget(random, nodes),
    power: random.chance(0.6),
    calls: random.below(random.pick([2, 8, 32])),
    down_ms: random.spread(1, 2_000),
  }),
  (random, nodes) => ({
    kind: 'damage',
    node: drawTarget(random, nodes),
    how: random.pick<Damage>(['flip', 'flip', 'zero']),
    down_ms: random.spread(1, 2_000),
  }),
  (random, nodes) => ({ kind: 'break-streams', node: drawTarget(random, nodes) }),
  (random) => ({ kind: 'restart-all', power: random.chance(0.5), down_ms: random.spread(10, 2_000) }),
];

const APP_DRAWS: readonly Draw[] = [
  () => ({ kind: 'app-crash', node: 'leader' }),
  (random) => ({ kind: 'app-hang', node: 'leader', for_ms: random.spread(100, 10_000) }),
  (random) => ({ kind: 'app-slow', node: 'leader', for_ms: random.spread(100, 10_000) }),
];

function drawTarget(random: Random, nodes: number): Target {
  return random.chance(0.5) ? 'leader' : random.below(nodes);
}

function drawCrash(random: Random, nodes: number): Action {
  return {
    kind: 'crash',
    node: drawTarget(random, nodes),
    power: random.chance(0.6),
    effects: random.below(random.pick([1, 4, 16, 64])),
    down_ms: random.chance(0.5) ? random.spread(1, 100) : random.spread(100, 20_000),
  };
}

/** Each kind of deed is in or out, and comes at a rhythm of its own. */
function drawActions(random: Random, nodes: number, has_app: boolean, duration_ms: number): TimedAction[] {
  const actions: TimedAction[] = [];
  for (const draw of has_app ? [...DRAWS, ...APP_DRAWS] : DRAWS) {
    const mean_ms = random.spread(300, 15_000);
    if (random.chance(0.55)) continue;
    for (let at_ms = random.interval(mean_ms); at_ms < duration_ms; at_ms += random.interval(mean_ms)) {
      actions.push({ ...draw(random, nodes), at_ms });
    }
  }
  return actions.sort((a, b) => a.at_ms - b.at_ms);
}

function drawCut(random: Random, nodes: number): Action {
  const all = Array.from({ length: nodes }, (_, i) => i);
  const for_ms = random.chance(0.3) ? random.between(150, 450) : random.spread(100, 30_000);
  const cuts: Cut[] = [];
  const style = random.pick(['split', 'leader', 'one-way', 'partial', 'bridge'] as const);
  const target = drawTarget(random, nodes);
  switch (style) {
    case 'split': {
      const side = new Set(all.filter(() => random.chance(0.5)));
      for (const a of all) for (const b of all) if (side.has(a) !== side.has(b)) cuts.push([a, b]);
      break;
    }
    case 'leader':
      for (const a of all) if (random.chance(0.8)) cuts.push([a, target], [target, a]);
      break;
    case 'one-way': {
      const isDeaf = random.chance(0.5);
      for (const a of all) cuts.push(isDeaf ? [a, target] : [target, a]);
      break;
    }
    case 'partial':
      for (const a of all) for (const b of all) if (a !== b && random.chance(0.3)) cuts.push([a, b]);
      break;
    case 'bridge': {
      // Two camps that only one node sees both of.
      const [bridge = 0, ...others] = random.shuffle(all);
      const camp = new Set(others.slice(0, others.length >> 1));
      for (const a of all)
        for (const b of all)
          if (a !== bridge && b !== bridge && camp.has(a) !== camp.has(b)) cuts.push([a, b]);
    }
  }
  return { kind: 'cut', cuts, for_ms };
}
