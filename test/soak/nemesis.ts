import type { Cluster, TestNode } from '../support/cluster.js';
import type { Program } from '../support/process.js';
import type { SeededRandom } from '../support/random.js';
import { Violation } from './options.js';

/** How often a fault that waits for nodes looks whether they are free. */
const LOOK_MS = 20;

/** What a fault may touch. */
export class World {
  /** Nodes that a fault holds: no other one touches them, and whatever they do meanwhile is expected. */
  readonly #held = new Set<TestNode>();
  /** Nodes that a fault waits for, as it needs them together; no other one begins with them. */
  readonly #wanted = new Set<TestNode>();
  /** Lives whose end was brought about. */
  readonly #ended_by_us = new WeakSet<Program>();
  #over = new AbortController();
  /** Faults by kind since it was last taken. */
  counts = new Map<string, number>();

  constructor(
    readonly cluster: Cluster,
    readonly has_strace: boolean,
  ) {}

  get nodes(): readonly TestNode[] {
    return this.cluster.nodes;
  }

  /** Whether faults are to end now. */
  get over(): boolean {
    return this.#over.signal.aborted;
  }

  begin(): void {
    this.#over = new AbortController();
    this.counts = new Map();
  }

  /** Ends all waiting of faults, so that they heal at once. */
  end(): void {
    this.#over.abort();
  }

  /** Resolves after `ms`, or as soon as faults are to end. */
  wait(ms: number): Promise<void> {
    const { signal } = this.#over;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
    });
  }

  /** The nodes that no fault holds, or waits for. */
  free(): TestNode[] {
    return this.nodes.filter((node) => !this.#held.has(node) && !this.#wanted.has(node));
  }

  /** The node that says it leads, if any that is free does. */
  async leader(): Promise<TestNode | undefined> {
    const free = this.free();
    const statuses = await Promise.all(free.map((node) => node.status()));
    const still_free = this.free();
    return free.find((node, i) => statuses[i]?.role === 'leader' && still_free.includes(node));
  }

  /** A leader or a follower that is free, as chance has it. */
  async victim(random: SeededRandom): Promise<TestNode | undefined> {
    const leader = random.chance(0.5) ? await this.leader() : undefined;
    const free = this.free();
    return leader ?? (free.length > 0 ? random.pick(free) : undefined);
  }

  /** Does something to nodes that nobody else touches meanwhile; false if one of them is held already. */
  async hold(nodes: readonly TestNode[], deed: () => Promise<void>): Promise<boolean> {
    if (nodes.length === 0 || nodes.some((node) => this.#held.has(node))) return false;
    for (const node of nodes) this.#held.add(node);
    try {
      await deed();
    } finally {
      for (const node of nodes) this.#held.delete(node);
    }
    return true;
  }

  /** `hold` for several nodes: waits until all of them are free. */
  async holdTogether(nodes: readonly TestNode[], deed: () => Promise<void>): Promise<boolean> {
    if (nodes.some((node) => this.#wanted.has(node))) return false;
    for (const node of nodes) this.#wanted.add(node);
    try {
      while (!this.over && nodes.some((node) => this.#held.has(node))) await this.wait(LOOK_MS);
      return !this.over && (await this.hold(nodes, deed));
    } finally {
      for (const node of nodes) this.#wanted.delete(node);
    }
  }

  /** Ends a node's life. */
  async kill(node: TestNode, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.excuse(node);
    await node.process.end(signal);
  }

  /** The present life of a node may end without that being its own fault. */
  excuse(node: TestNode): void {
    this.#ended_by_us.add(node.process);
  }

  /** Throws a Violation if a life has ended that nobody ended. */
  expectNoDeaths(): void {
    for (const node of this.nodes) {
      const death = node.lives.find((life) => !life.running && !this.#ended_by_us.has(life));
      if (death === undefined) continue;
      throw new Violation(`${node.name} (pid ${death.pid}) ended by itself: ${death.stderr.slice(-1_000)}`);
    }
  }
}

/** One kind of trouble: brought about and healed again. Resolves with false if it found nobody to trouble. */
export interface Fault {
  readonly kind: string;
  /** How often it comes beside the others. */
  readonly weight: number;
  run(world: World, random: SeededRandom): Promise<boolean>;
}

/** The longest pause between two faults of a lane: as long as a fault, so that they meet a cluster at work, too. */
const MAX_REST_MS = 3_000;

function draw(faults: readonly Fault[], random: SeededRandom): Fault {
  let left = random.next() * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const fault of faults) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  return random.pick(faults);
}

/** Brings about one fault after the other until faults are to end, or `enough` says that there were enough. */
export async function lane(
  world: World,
  faults: readonly Fault[],
  random: SeededRandom,
  enough: () => boolean,
): Promise<void> {
  while (!world.over && !enough()) {
    const fault = draw(faults, random);
    if (await fault.run(world, random)) {
      world.counts.set(fault.kind, (world.counts.get(fault.kind) ?? 0) + 1);
    }
    await world.wait(random.next() * MAX_REST_MS);
  }
}
