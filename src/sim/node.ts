import type { Address } from '../core/address.js';
import { agentIndex, type AgentIndex } from '../core/ids.js';
import type { Members } from '../journal/format.js';
import { Disk } from './disk.js';
import { Life } from './life.js';
import type { StreamEnd } from './network.js';
import { CALM_DISK, type DiskPlan } from './plan.js';
import { Random } from './random.js';
import { addresses, type World } from './world.js';

/** A machine of the cluster: a disk that lasts, and one process after the other. */
export class Node {
  readonly self: AgentIndex;
  /** The agents as this node has been told: those of the cluster, and perhaps some that don't exist. */
  readonly agents: readonly Address[];
  readonly disk: Disk;
  life: Life | undefined;
  diskPlan: DiskPlan;
  /** Flushes that begin before this time don't return before it. */
  disk_hangs_until_ms = 0;
  disk_slow_until_ms = 0;
  /** The next flush fails, and the node is down for this long. */
  disk_fails_ms: number | undefined;
  /** Kept down for good. */
  retired = false;
  readonly timerSpeed: number;
  readonly #random: Random;

  constructor(
    readonly world: World,
    readonly index: number,
  ) {
    this.self = agentIndex(index);
    this.#random = new Random(world.plan.seed, `node ${index}`);
    const strangers = world.plan.strange_lists?.[index] ?? 0;
    this.agents = [...world.agents, ...addresses(world.plan.nodes, strangers)];
    const members: Members = { agents: this.agents, self: this.self };
    this.disk = new Disk(members, this.#random);
    this.diskPlan = world.plan.disk;
    this.timerSpeed = 1 + this.#random.between(-world.plan.skew, world.plan.skew);
  }

  /** Starts the process: it reads its journal back, and then takes part. */
  start(): void {
    if (this.life !== undefined || this.retired) return;
    const { checker, counters, trace } = this.world;
    const readBack = this.disk.readBack();
    if (readBack.torn) counters.add('torn tail dropped');
    trace.note('start', this.index, readBack.records.length);
    checker.onReadBack(this.index, readBack.records);
    this.life = new Life(this, readBack.records);
    checker.onRecovered(this.index, this.life.state, readBack.records);
    counters.add('lives');
    this.life.begin();
  }

  /** Ends the process at once. */
  crash(power: boolean): void {
    const { life } = this;
    if (life === undefined) return;
    this.world.trace.note('crash', this.index, power ? 'power' : 'kill');
    this.life = undefined;
    life.die(power);
    this.disk.crash(power);
  }

  crashFor(power: boolean, down_ms: number): void {
    this.crash(power);
    this.world.schedule.after(down_ms, () => this.start());
  }

  retire(): void {
    this.retired = true;
    this.crash(false);
  }

  /** No more trouble with this machine. */
  heal(): void {
    this.diskPlan = CALM_DISK;
    this.disk_hangs_until_ms = 0;
    this.disk_slow_until_ms = 0;
    this.disk_fails_ms = undefined;
    if (this.life === undefined) this.start();
    else this.life.heal();
  }

  /** How long the flush that begins now takes. */
  flush_ms(): number {
    const { least_ms, most_ms } = this.diskPlan;
    const { now_ms } = this.world.schedule;
    const slow = now_ms < this.disk_slow_until_ms ? 20 : 1;
    return Math.max(0, this.disk_hangs_until_ms - now_ms) + this.#random.between(least_ms, most_ms) * slow;
  }

  /** A client or a peer connects; false if nobody listens. */
  accept(end: StreamEnd): boolean {
    if (this.life === undefined) return false;
    this.life.accept(end);
    return true;
  }

  receive(from: AgentIndex, datagram: Buffer): void {
    this.life?.receive(from, datagram);
  }
}
