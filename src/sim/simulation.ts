import { Checker } from './checker.js';
import { Client } from './client.js';
import { Counters } from './counters.js';
import { SimulationFailure } from './failure.js';
import { Enemy } from './hostile.js';
import { History } from './history.js';
import { Intruder } from './intruder.js';
import { FIRST_CLIENT_HOST, Network } from './network.js';
import { Node } from './node.js';
import type { Action, Plan, Target, TimedAction } from './plan.js';
import { writePrehistory } from './prehistory.js';
import { Random } from './random.js';
import { Schedule } from './schedule.js';
import { Trace } from './trace.js';
import { majorityOf } from './votes.js';
import { addresses, World } from './world.js';

/** After healing, the cluster has this long to agree on a leader and a log, and to answer everything. */
export const LIVENESS_LIMIT_MS = 60_000;

/** How often it is looked whether it has. */
const LIVENESS_LOOK_MS = 50;

/** How long a whole cluster is watched: nothing may happen in it any more but heartbeats. */
const QUIET_MS = 5_000;

/** More events than any run needs: a storm of messages is a failure too. */
const MAX_EVENTS = 20_000_000;

export interface RunResult {
  readonly plan: Plan;
  readonly hash: string;
  readonly events: number;
  readonly virtual_ms: number;
  /** How long the healed majority took to have a leader. */
  readonly healed_ms: number;
  readonly counters: Counters;
  readonly failure: SimulationFailure | undefined;
  /** The latest lines of the trace, if it failed. */
  readonly trace: readonly string[];
}

/** Runs a plan from start to end; the same plan gives the same run to the last event. */
export function simulate(plan: Plan, print?: (line: string) => void): Promise<RunResult> {
  return new Simulation(plan, print).run();
}

class Simulation {
  readonly #world: World;
  readonly #nodes: readonly Node[];
  readonly #clients: readonly Client[];
  readonly #history: History;
  readonly #intruder: Intruder;
  #healed_ms = 0;

  constructor(
    private readonly plan: Plan,
    print?: (line: string) => void,
  ) {
    const schedule = new Schedule();
    const counters = new Counters();
    const trace = new Trace(() => schedule.now_ms, print);
    const checker = new Checker(plan.nodes, plan.has_app, counters, trace);
    const network = new Network(
      schedule,
      new Random(plan.seed, 'network'),
      counters,
      plan.nodes,
      plan.network,
    );
    const random = new Random(plan.seed, 'driver');
    const agents = addresses(0, plan.nodes);
    this.#world = new World(plan, schedule, trace, counters, network, checker, agents, random);
    const world = this.#world;
    this.#nodes = Array.from({ length: plan.nodes }, (_, i) => new Node(world, i));
    checker.nodes = this.#nodes;
    this.#history = new History(() => checker.model);
    this.#clients = Array.from({ length: plan.clients.count }, (_, i) => new Client(world, this.#history, i));
    this.#intruder = new Intruder(world, this.#history, FIRST_CLIENT_HOST + plan.clients.count);
  }

  async run(): Promise<RunResult> {
    const { schedule, counters, trace } = this.#world;
    let failure: SimulationFailure | undefined;
    try {
      for (const node of this.#nodes) await node.initialise();
      if (this.plan.prehistory > 0) await writePrehistory(this.#world, this.#nodes);
      await this.#safetyPhase();
      await this.#livenessPhase();
      this.#history.finish();
    } catch (error) {
      if (!(error instanceof SimulationFailure)) throw error;
      failure = error;
      trace.note('failure', error.message);
    }
    return {
      plan: this.plan,
      hash: trace.hash,
      events: schedule.events,
      virtual_ms: schedule.now_ms,
      healed_ms: this.#healed_ms,
      counters,
      failure,
      trace: failure ? trace.latest() : [],
    };
  }

  async #advance(until_ms: number): Promise<void> {
    const { schedule } = this.#world;
    await this.#world.settle();
    while (schedule.step(until_ms)) {
      if (this.#world.stirred) await this.#world.settle();
      if (schedule.events > MAX_EVENTS) throw new SimulationFailure('storm', `${MAX_EVENTS} events`);
    }
  }

  async #safetyPhase(): Promise<void> {
    const { schedule, random } = this.#world;
    for (const node of this.#nodes) schedule.after(random.between(0, 300), () => node.start());
    for (const client of this.#clients) client.start();
    this.#intruder.start();
    for (const action of this.plan.actions) schedule.after(action.at_ms, () => this.#act(action));
    const enemy = new Enemy(this.#world.agents, new Random(this.plan.seed, 'enemy'));
    if ((this.plan.hostile_ms ?? 0) > 0) this.#attackSoon(enemy);
    await this.#advance(this.plan.duration_ms);
  }

  /** Somebody sends what no correct peer sent, again and again until all is healed. */
  #attackSoon(enemy: Enemy): void {
    const { schedule } = this.#world;
    schedule.after(enemy.chance.interval(this.plan.hostile_ms ?? 0), () => {
      if (this.#world.calm) return;
      const { life } = enemy.chance.pick(this.#nodes);
      const hostile = life && enemy.draw(life.state);
      if (hostile !== undefined) life?.attack(hostile);
      this.#attackSoon(enemy);
    });
  }

  /* --- the adversary --------------------------------------------------------------------------------------------- */

  #resolve(target: Target): number {
    if (target !== 'leader') return target;
    const leaders = this.#nodes.filter((node) => node.life?.state.proposer.reign !== undefined);
    return leaders.length > 0
      ? this.#world.random.pick(leaders).index
      : this.#world.random.below(this.plan.nodes);
  }

  #act(action: TimedAction): void {
    if (this.#world.calm) return;
    this.#world.counters.add(`fault: ${action.kind}`);
    if (action.kind === 'cut') return this.#cut(action);
    if (action.kind === 'restart-all') {
      this.#world.trace.note('act', action.kind);
      for (const node of this.#nodes) {
        const jitter_ms = this.#world.random.between(0, 500);
        if (node.life) node.crashFor(action.power, action.down_ms + jitter_ms);
      }
      return;
    }
    const node = this.#nodes[this.#resolve(action.node)];
    if (node === undefined) return;
    this.#world.trace.note('act', action.kind, node.index);
    this.#actOn(node, action);
  }

  #actOn(node: Node, action: Exclude<Action, { kind: 'cut' | 'restart-all' }>): void {
    const { life } = node;
    const { schedule } = this.#world;
    switch (action.kind) {
      case 'crash':
        if (life) life.crash_after ??= { ...action };
        return;
      case 'pause':
        if (life === undefined || life.paused) return;
        life.pause();
        schedule.after(action.for_ms, () => life.resume());
        return;
      case 'disk-hang':
        node.disk_hangs_until_ms = schedule.now_ms + action.for_ms;
        return;
      case 'disk-slow':
        node.disk_slow_until_ms = schedule.now_ms + action.for_ms;
        return;
      case 'disk-fail':
        return node.failDisk(action.fault ?? 'flush', action.down_ms);
      case 'die-at-disk':
        return node.dieAfter(action.calls, action.power, action.down_ms);
      case 'damage':
        if (this.#canLose(node)) node.damage(action.how, action.down_ms);
        return;
      case 'app-crash':
        return life?.app?.crash();
      case 'app-hang':
        return life?.app?.hang(action.for_ms);
      case 'app-slow':
        return life?.app?.slow(action.for_ms);
      case 'break-streams':
        return life?.breakStreams();
    }
  }

  /** Whether a majority is left when this node's journal can't be trusted. */
  #canLose(node: Node): boolean {
    const whole = this.#nodes.filter((one) => one !== node && !one.damaged && !one.refused);
    return !node.refused && whole.length >= this.#leastLiving();
  }

  /** So many nodes make a quorum, also of those whose lists have addresses that don't exist. */
  #leastLiving(): number {
    const longest = Math.max(...this.#nodes.map(({ agents }) => agents.length));
    return majorityOf(longest);
  }

  #cut({ cuts, for_ms }: Action & { kind: 'cut' }): void {
    const { network, schedule, trace } = this.#world;
    const links = cuts
      .map(([from, to]) => [this.#resolve(from), this.#resolve(to)] as const)
      .filter(([from, to]) => from !== to);
    trace.note('cut', links.map(([from, to]) => `${from}>${to}`).join(','));
    for (const [from, to] of links) network.cut(from, to);
    schedule.after(for_ms, () => {
      if (this.#world.calm) return;
      trace.note('mend', links.map(([from, to]) => `${from}>${to}`).join(','));
      for (const [from, to] of links) network.mend(from, to);
    });
  }

  /* --- liveness -------------------------------------------------------------------------------------------------- */

  /** Heals a random majority, keeps the rest dead, and waits until the cluster is whole and idle. */
  async #livenessPhase(): Promise<void> {
    const { schedule, network, random, trace } = this.#world;
    const whole = this.#nodes.filter(({ damaged, refused }) => !damaged && !refused);
    const living = random.whole(this.#leastLiving(), whole.length);
    const majority = new Set(random.shuffle(whole).slice(0, living));
    trace.note('heal', [...majority].map(({ index }) => index).join(','));
    this.#world.calm = true;
    network.heal();
    for (const node of this.#nodes) if (!majority.has(node)) node.retire();
    for (const node of majority) node.heal();
    for (const client of this.#clients) client.calmDown();
    this.#intruder.calmDown();
    const began_ms = schedule.now_ms;
    await this.#await(began_ms, () => this.#lacksLeader([...majority]));
    this.#healed_ms = schedule.now_ms - began_ms;
    this.#world.counters.most('most ms until led', Math.round(this.#healed_ms));
    // First what was left over, then one more operation each, which shows that the cluster goes on.
    await this.#await(began_ms, () => this.#lacks([...majority]));
    for (const client of this.#clients) client.askOnce();
    await this.#await(began_ms, () => this.#lacks([...majority]));
    this.#world.counters.most('most ms until idle', Math.round(schedule.now_ms - began_ms));
    if (!this.#isStrange) await this.#expectQuiet([...majority]);
  }

  /**
   * Whether lists of agents differ. Then a node claims rounds of others, and somebody may have promised to one the very
   * round that another leads at: it hears no leader until there is a higher one. Nothing better is said of such clusters
   * (spec.md, "Proof") but that all stay safe; here also that somebody leads, and clients are answered.
   */
  get #isStrange(): boolean {
    return this.#nodes.some(({ agents }) => agents.length !== this.plan.nodes);
  }

  /** Nobody stands against a living leader, and it doesn't give way. */
  async #expectQuiet(majority: readonly Node[]): Promise<void> {
    const { schedule, counters } = this.#world;
    const prepares = counters.get('sent: Prepare');
    const reigns = counters.get('reigns');
    await this.#advance(schedule.now_ms + QUIET_MS);
    if (counters.get('sent: Prepare') !== prepares || counters.get('reigns') !== reigns)
      throw new SimulationFailure('unrest', 'an election in a cluster that is whole and idle');
    const lack = this.#lacks(majority);
    if (lack !== undefined) throw new SimulationFailure('unrest', lack);
  }

  async #await(began_ms: number, lacks: () => string | undefined): Promise<void> {
    const { schedule } = this.#world;
    for (;;) {
      await this.#advance(schedule.now_ms + LIVENESS_LOOK_MS);
      const lack = lacks();
      if (lack === undefined) return;
      if (schedule.now_ms - began_ms > LIVENESS_LIMIT_MS) throw new SimulationFailure('liveness', lack);
    }
  }

  /** What the healed majority lacks to have one leader, whom all follow; undefined if nothing. */
  #lacksLeader(majority: readonly Node[]): string | undefined {
    const leaders = majority.filter(({ life }) => life?.state.proposer.reign !== undefined);
    const [leader] = leaders;
    if (leader === undefined || leaders.length > 1) return `${leaders.length} leaders`;
    if (this.#isStrange) return undefined;
    const astray = majority.find(
      ({ self, life }) => self !== leader.self && life?.state.election.leader !== leader.self,
    );
    return astray && `node ${astray.index} doesn't follow ${leader.index}`;
  }

  /** What the healed majority lacks to be whole and idle; undefined if nothing. */
  #lacks(majority: readonly Node[]): string | undefined {
    const leaderless = this.#lacksLeader(majority);
    if (leaderless !== undefined) return leaderless;
    const leader = majority.find(({ life }) => life?.state.proposer.reign !== undefined)?.life?.state;
    const committed = leader?.learner.committed;
    for (const { index, life } of this.#isStrange ? [] : majority) {
      const known = life?.state.learner.committed;
      if (known !== committed) return `node ${index} knows ${known ?? 0} entries chosen of ${committed ?? 0}`;
    }
    if ((leader?.proposer.reign?.in_flight.size ?? 0) > 0) return 'entries are in flight';
    if (committed !== this.#world.checker.model.length) return 'chosen entries are not known';
    const busy = this.#clients.find((client) => !client.idle);
    return busy?.describe();
  }
}
