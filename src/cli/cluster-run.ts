import { formatAddress } from '../index.js';
import type { NodePlan } from './cluster-layout.js';
import { ClusterNode, type NodeEnd } from './cluster-node.js';
import { describeEnd, leaderLine, nodeLine, startByHand, whatNext } from './cluster-words.js';
import { Exit } from './failure.js';
import type { NodeReport } from './supervised.js';

/** The first wait before a dead node is started again, and the longest; it doubles from one to the other. */
const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 10_000;

/** A node that lived this long was well: its next restart waits as little as the first. */
const STEADY_MS = 10_000;

/** How long nodes may take to stop by themselves: more than their clients, application and journal together get. */
const STOP_GRACE_MS = 10_000;

export interface ClusterOptions {
  readonly plans: readonly NodePlan[];
  /** What follows `paxosd start` for a node, as one would type it. */
  readonly argsOf: (plan: NodePlan) => string[];
  /** What follows it beyond that, of no use by hand. */
  readonly extra_args: readonly string[];
  readonly app: string | undefined;
  readonly restart: boolean;
  /** Lines of the nodes' logs, each with the node's port in front. */
  readonly onLogLine: (line: string) => void;
  /** What the person who started the cluster is to read. */
  readonly say: (line: string) => void;
}

interface Member {
  readonly node: ClusterNode;
  readonly args: readonly string[];
  /** Lives that it has had, the present one included. */
  lives: number;
  restart_ms: number;
  restart_timer?: NodeJS.Timeout | undefined;
}

/** The nodes of a cluster on this machine, as child processes; `run` resolves when all have ended. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #members: Member[];
  #leader: string | undefined;
  #has_explained = false;
  #is_stopping = false;
  #exit: Exit = Exit.Ok;
  #onAllEnded: (exit: Exit) => void = () => undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const width = Math.max(...options.plans.map(({ address }) => address.port.length));
    this.#members = options.plans.map((plan) => {
      const args = options.argsOf(plan);
      const node: ClusterNode = new ClusterNode({
        plan,
        args: [...args, ...options.extra_args],
        onReport: (report) => this.#onReport(node, report),
        onLine: (line) => options.onLogLine(`${plan.address.port.padStart(width)} | ${line}`),
        onEnded: (end) => this.#onEnded(member, end),
      });
      const member: Member = { node, args, lives: 0, restart_ms: RESTART_MIN_MS };
      return member;
    });
  }

  run(): Promise<Exit> {
    const ended = new Promise<Exit>((resolve) => (this.#onAllEnded = resolve));
    for (const member of this.#members) this.#launch(member);
    return ended;
  }

  /** Ends all nodes: asks first, and kills those that don't follow. `run` resolves with `exit` if they all do. */
  stop(exit: Exit = Exit.Ok): void {
    if (this.#is_stopping) return;
    this.#is_stopping = true;
    this.#exit = exit;
    for (const { node, restart_timer } of this.#members) {
      clearTimeout(restart_timer);
      node.signal('SIGTERM');
    }
    setTimeout(() => this.kill(), STOP_GRACE_MS).unref();
    this.#endIfAllEnded();
  }

  kill(): void {
    for (const { node } of this.#members) node.signal('SIGKILL');
  }

  #launch(member: Member): void {
    member.restart_timer = undefined;
    member.lives++;
    member.node.launch();
    if (member.node.pid !== undefined) this.#options.say(nodeLine(member.node.plan, member.node.pid));
  }

  #onReport(node: ClusterNode, report: NodeReport): void {
    if (this.#is_stopping) return;
    if (report.report === 'leader') this.#onLeader(node, report.leader);
    this.#explain();
  }

  #onLeader(node: ClusterNode, leader: string | null): void {
    if (leader !== node.address && this.#leader === node.address) this.#leader = undefined;
    if (leader === null || leader === this.#leader) return;
    // A living node of ours is believed about itself only: others may hear late of what it knows first.
    const named = this.#nodeAt(leader);
    if (named?.isAlive && named !== node) return;
    this.#leader = leader;
    this.#options.say(leaderLine(leader, named?.pid));
  }

  /** Says once what to type next: when there is a leader, and every node that would be asked listens. */
  #explain(): void {
    const address = this.#leader;
    const are_ready = this.#members.every(({ node }) => node.hasStarted || !node.isAlive);
    if (this.#has_explained || this.#is_stopping || address === undefined || !are_ready) return;
    this.#has_explained = true;
    const { say, plans, app } = this.#options;
    for (const line of whatNext(plans, { address, pid: this.#nodeAt(address)?.pid }, app)) say(line);
  }

  #nodeAt(address: string): ClusterNode | undefined {
    return this.#members.find(({ node }) => node.address === address)?.node;
  }

  #onEnded(member: Member, end: NodeEnd): void {
    const { node } = member;
    if (this.#leader === node.address) this.#leader = undefined;
    if (this.#is_stopping) this.#onStopped(node, end);
    else this.#report(member, end);
    this.#explain();
    this.#endIfAllEnded();
  }

  #onStopped(node: ClusterNode, end: NodeEnd): void {
    // The signal may come so early that nobody catches it yet.
    if (end.code === 0 || end.signal === 'SIGTERM') return;
    this.#exit = Exit.Failed;
    this.#options.say(`${describeNode(node, end)} ${describeEnd(end)}.`);
  }

  /** Says what became of a node, and does what follows from it. */
  #report(member: Member, end: NodeEnd): void {
    const { say, restart } = this.#options;
    const { node, args } = member;
    say(`${describeNode(node, end)} ${describeEnd(end)}.`);
    if (end.code !== 0) this.#exit = Exit.Failed;
    const refused = !end.had_started && end.signal === null && end.code !== 0;
    if (refused && member.lives === 1) {
      say(
        'The cluster could not be started: ends the other nodes. Put right what stands above, and try again.',
      );
      return this.stop(Exit.Failed);
    }
    if (restart && end.code !== 0 && !refused) return this.#restartLater(member, end);
    say(`To start it again, type in another terminal:\n  ${startByHand(args)}`);
  }

  #restartLater(member: Member, { lived_ms, had_started }: NodeEnd): void {
    if (had_started && lived_ms >= STEADY_MS) member.restart_ms = RESTART_MIN_MS;
    const wait_ms = member.restart_ms;
    member.restart_ms = Math.min(wait_ms * 2, RESTART_MAX_MS);
    this.#options.say(`Starts ${formatAddress(member.node.plan.address)} again in ${wait_ms} ms.`);
    member.restart_timer = setTimeout(() => this.#launch(member), wait_ms);
  }

  #endIfAllEnded(): void {
    const is_over = this.#members.every(
      ({ node, restart_timer }) => !node.isAlive && (this.#is_stopping || restart_timer === undefined),
    );
    if (!is_over) return;
    if (!this.#is_stopping) this.#options.say('No node is left.');
    this.#onAllEnded(this.#exit);
  }
}

function describeNode({ address }: ClusterNode, { pid }: NodeEnd): string {
  return `node ${address}${pid === undefined ? '' : ` (pid ${pid})`}`;
}
