import type { Address } from '../core/address.js';
import { agentIndex, type AgentIndex } from '../core/ids.js';
import type { JournalRecord } from '../core/record.js';
import type { Identity } from '../journal/identity.js';
import { JournalError } from '../journal/journal-error.js';
import { openJournal, type Journal } from '../journal/journal.js';
import { Disk, DIRECTORY } from './disk.js';
import { damage, harm, HARMS, mustBeBeginning, type Damage } from './damage.js';
import { CALM_HOST, DiskSession, type DiskFault, type DiskHost } from './disk-session.js';
import { mustHold } from './failure.js';
import { Life } from './life.js';
import type { StreamEnd } from './network.js';
import { CALM_DISK, type DiskPlan } from './plan.js';
import { Random } from './random.js';
import { addresses, type World } from './world.js';

/** Large enough for any value that clients send here; seeds draw others. */
const DEFAULT_SEGMENT_BYTES = 64 * 1024;

/** What the journal says that a set of runs must see, in the words of the list. */
const COUNTED: Readonly<Record<string, string>> = {
  'journal-torn': 'torn tail dropped',
  'journal-segment': 'segment begun',
};

/** A process from its first file operation on. */
interface Boot {
  readonly session: DiskSession;
  /** What it has read back so far. */
  readonly records: JournalRecord[];
  life: Life | undefined;
  /** Whether the disk failed it. */
  faulty: boolean;
  /** The disk as it was found, to be recovered from once more. */
  image: Disk | undefined;
}

function newBoot(session: DiskSession): Boot {
  return { session, records: [], life: undefined, faulty: false, image: undefined };
}

/** A machine of the cluster: a disk that lasts, and one process after the other. */
export class Node {
  readonly self: AgentIndex;
  readonly address: Address;
  /** The agents as this node has been told: those of the cluster, and perhaps some that don't exist. */
  readonly agents: readonly Address[];
  readonly disk: Disk;
  /** The process, once it has read its journal. */
  life: Life | undefined;
  diskPlan: DiskPlan;
  /** Flushes that begin before this time don't return before it. */
  disk_hangs_until_ms = 0;
  disk_slow_until_ms = 0;
  /** Kept down for good. */
  retired = false;
  /** What was durable has been changed behind the node's back, and it hasn't started since. */
  damaged = false;
  /** It has seen damage in its journal, and doesn't take part any more. */
  refused = false;
  /** The next process dies at the file operation after so many. */
  dies_after: number | undefined;
  readonly timerSpeed: number;
  readonly #random: Random;
  readonly #identity: Identity;
  readonly #segment_bytes: number;
  #boot: Boot | undefined;
  /** What fails next, and for how long the node is down then. */
  #fault: DiskFault | undefined;
  #fault_down_ms = 0;
  #death = { power: false, down_ms: 0 };
  /** What the flushes under way set off when they return. */
  readonly #flushes = new Set<() => void>();
  readonly #host: DiskHost = {
    flush: (over) => this.#flush(over),
    arrive: (happens) => this.#arrive(happens),
    fails: (kind) => this.#fails(kind),
    die: () => this.#dieAtDisk(),
  };

  constructor(
    readonly world: World,
    readonly index: number,
  ) {
    this.self = agentIndex(index);
    this.#random = new Random(world.plan.seed, `node ${index}`);
    const strangers = world.plan.strange_lists?.[index] ?? 0;
    this.agents = [...world.agents, ...addresses(world.plan.nodes, strangers)];
    this.address = world.agents[index] as Address;
    this.#identity = { self: this.address, agents: this.agents, journal: String(index).padStart(32, '0') };
    this.#segment_bytes = world.plan.segment_bytes ?? DEFAULT_SEGMENT_BYTES;
    this.disk = new Disk(this.#random);
    this.diskPlan = world.plan.disk;
    this.timerSpeed = 1 + this.#random.between(-world.plan.skew, world.plan.skew);
  }

  /** What the journal of a new member is: as `paxosd init` leaves it. */
  initialise(): Promise<void> {
    return this.disk.initialise(this.#identity, this.#segment_bytes, CALM_HOST);
  }

  /** Writes records from before the run. */
  async write(records: readonly JournalRecord[]): Promise<void> {
    const journal = await this.#open(newBoot(new DiskSession(this.disk, CALM_HOST)));
    for (const record of records) journal.append(record);
    await journal.close();
  }

  /** Opens the journal as the shipped agent does; resolves before virtual time goes on, or never if the process dies. */
  #open(boot: Boot): Promise<Journal> {
    const { counters } = this.world;
    return openJournal({
      directory: DIRECTORY,
      agents: this.agents,
      segment_bytes: this.#segment_bytes,
      storage: boot.session,
      onRecord: (record) => boot.records.push(record),
      onDurable: (durable) =>
        this.world.enter(() => {
          if (this.#boot === boot) boot.life?.onDurable(durable);
        }),
      mayBegin: () => this.#boot !== boot || (boot.life?.mayBegin() ?? true),
      onWriting: () =>
        this.world.enter(() => {
          if (this.#boot === boot) boot.life?.writing();
        }),
      onFailure: (error) => this.world.enter(() => this.#onDiskFailure(boot, error)),
      log: (_level, code) => counters.add(COUNTED[code] ?? `journal: ${code}`),
    });
  }

  /** Starts the process: it reads its journal back, and then takes part. */
  start(): void {
    if (this.#boot !== undefined || this.retired || this.refused) return;
    const session = new DiskSession(this.disk, this.#host);
    const boot = newBoot(session);
    if (this.#random.chance(this.world.plan.probes ?? 0)) boot.image = this.disk.clone();
    boot.session.dies_after = this.dies_after;
    boot.session.dies_at_share = this.#random.next();
    this.dies_after = undefined;
    this.#boot = boot;
    this.world.stir();
    this.#open(boot).then(
      (journal) => this.world.enter(() => this.#begin(boot, journal)),
      (error: unknown) => this.world.enter(() => this.#refuse(boot, error)),
    );
  }

  #begin(boot: Boot, journal: Journal): void {
    // It died at the last file operation of its start.
    if (this.#boot !== boot) return;
    const { checker, counters, trace } = this.world;
    const { records } = boot;
    trace.note('start', this.index, records.length);
    checker.onReadBack(this.index, records);
    if (this.damaged) counters.add('damage without loss');
    this.damaged = false;
    this.life = boot.life = new Life(this, journal, records);
    checker.onRecovered(this.index, this.life.state, records);
    counters.add('lives');
    if (boot.image !== undefined) this.#probe(boot.image, records);
    this.life.begin();
  }

  /** Recovers once more, from a copy of the disk that may have lost its end, and perhaps after a crash again. */
  #probe(image: Disk, records: readonly JournalRecord[]): void {
    const { world } = this;
    const how = this.#random.pick(HARMS);
    harm(image, how, this.#random);
    const first = newBoot(new DiskSession(image, CALM_HOST));
    const again = async (): Promise<void> => {
      await this.#open(first);
      first.session.dead = true;
      image.crash(this.#random.chance(0.5));
      const second = newBoot(new DiskSession(image, CALM_HOST));
      await this.#open(second);
      world.enter(() => {
        mustBeBeginning(first.records, records, how);
        mustBeBeginning(second.records, first.records, 'none');
        world.counters.add(`recovered again: ${how}`);
      });
    };
    world.stir();
    again().catch((error: unknown) =>
      world.enter(() => {
        if (how === 'none' || !(error instanceof JournalError)) throw error;
        world.counters.add(`refused: ${how}`);
      }),
    );
  }

  /** Something changes durable bytes while the node is down; then it starts, and must not trust them. */
  damage(how: Damage, down_ms: number): void {
    const { counters, schedule, trace } = this.world;
    this.crash(this.#random.chance(0.5));
    const done = damage(this.disk, how, this.#random);
    trace.note('damage', this.index, how, done);
    if (done) counters.add(`fault: damaged, ${how}`);
    this.damaged ||= done;
    schedule.after(down_ms, () => this.start());
  }

  /** The journal can't be trusted: the node stays down, and the others go on without it. */
  #refuse(boot: Boot, error: unknown): void {
    if (this.#boot !== boot) return;
    if (boot.faulty && !(error instanceof JournalError && error.code === 'corrupt'))
      return this.crashFor(false, this.#fault_down_ms);
    const isExpected = this.damaged && error instanceof JournalError && error.offset !== undefined;
    mustHold(isExpected, 'disk', () => `node ${this.index} refuses its journal: ${String(error)}`);
    this.world.trace.note('refuse', this.index, String(error));
    this.world.counters.add('damaged journal refused');
    this.refused = true;
    this.#boot = undefined;
  }

  /** The disk failed the journal: the process stops by itself. Sometimes the power goes as well. */
  #onDiskFailure(boot: Boot, error: Error): void {
    if (this.#boot !== boot) return;
    this.world.trace.note('disk-failed', this.index, error.message);
    this.crashFor(this.#random.chance(0.3), this.#fault_down_ms);
  }

  /** Ends the process at once. */
  crash(power: boolean): void {
    const boot = this.#boot;
    if (boot === undefined) return;
    this.world.trace.note('crash', this.index, power ? 'power' : 'kill');
    boot.session.dead = true;
    this.#boot = undefined;
    this.life = undefined;
    this.#flushes.clear();
    boot.life?.die(power);
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
    this.#fault = undefined;
    this.dies_after = undefined;
    if (this.#boot !== undefined) this.#boot.session.dies_after = undefined;
    for (const returns of this.#flushes) this.world.schedule.after(1, returns);
    if (this.life === undefined) this.start();
    else this.life.heal();
  }

  /* --- the disk as the process meets it -------------------------------------------------------------------------- */

  /** The next operation of that kind fails; the process stops, and is down for a while. */
  failDisk(fault: DiskFault, down_ms: number): void {
    this.#fault = fault;
    this.#fault_down_ms = down_ms;
  }

  /** The process dies at the file operation after `calls` more, or the next process does if there is none. */
  dieAfter(calls: number, power: boolean, down_ms: number): void {
    this.#death = { power, down_ms };
    if (this.#boot === undefined) this.dies_after = calls;
    else this.#boot.session.dies_after = calls;
  }

  #dieAtDisk(): void {
    const { power, down_ms } = this.#death;
    this.world.counters.add(this.life === undefined ? 'died in recovery' : 'died at a file operation');
    if (this.disk.unfinished > 0) this.world.counters.add('died while a segment was made');
    this.crashFor(power, down_ms);
  }

  #fails(kind: 'flush' | 'write'): DiskFault | undefined {
    const fault = this.#fault;
    if (fault === undefined || (fault === 'flush') !== (kind === 'flush')) return undefined;
    this.#fault = undefined;
    if (this.#boot !== undefined) this.#boot.faulty = true;
    this.world.counters.add(`fault: failed ${fault}`);
    return fault;
  }

  /** Recovery takes no time; a process that runs waits for its disk. */
  #flush(over: () => void): void {
    if (this.life === undefined) return over();
    const returns = (): void => {
      if (this.#flushes.delete(returns)) over();
    };
    this.#flushes.add(returns);
    this.world.schedule.after(this.#flush_ms(), returns);
  }

  #arrive(happens: () => void): void {
    const stirring = (): void => {
      this.world.stir();
      happens();
    };
    if (this.life === undefined) stirring();
    else this.life.arrive(stirring);
  }

  /** How long the flush that begins now takes. */
  #flush_ms(): number {
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

  receive(source: Address, datagram: Buffer): void {
    this.life?.receive(source, datagram);
  }
}
