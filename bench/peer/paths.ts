import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { endWithBench } from '../children.js';
import { PIPELINED, VALUE_BYTES, type Context } from '../context.js';
import type { Generator } from '../generator.js';
import { benchProgram, KV_APP, LOOPBACK } from '../paths.js';
import { cpu_us } from '../proc.js';
import { BenchError } from '../wait.js';
import type { Peer, PeerLoad, PeerResult } from './peer.js';

const FOLLOWERS = 2;

/** A way for a request through three processes that leave most of what paxosd does out, to show what the rest costs. */
export interface Path {
  readonly name: string;
  readonly description: string;
  /** A program of the bench: `FILE` follows, `FILE PORT PORT` leads; it sends its port when it listens. */
  readonly program: string;
  /** Whether the key-value application answers. */
  readonly has_app: boolean;
}

/** What no server can leave out. */
export const BARE: Path = {
  name: 'bare',
  description:
    'a file flushed by groups, one datagram to each of two followers, an answer; nothing is checked, kept or recovered',
  program: 'peer/bare/node',
  has_app: false,
};

/** What the specification can't leave out. */
export const UNCHECKED: Path = {
  name: 'unchecked',
  description:
    "the specification's messages and records for each request, one by one, and the key-value application; nothing is " +
    'checked, kept or recovered',
  program: 'peer/unchecked/node',
  has_app: true,
};

/** The same, by processes that look at what they are told. */
export const CHECKED: Path = {
  name: 'checked',
  description:
    'as unchecked, with every message read by JSON.parse and looked at, and with rounds, acceptances and sessions; no ' +
    'elections, no limits, no invariants, no recovery',
  program: 'peer/checked/node',
  has_app: true,
};

interface Processes {
  readonly port: number;
  readonly leader: ChildProcess;
  readonly followers: readonly ChildProcess[];
  readonly app: ChildProcess | undefined;
}

/** One of these paths, under our own load generator. */
export class PathPeer implements Peer {
  readonly name: string;
  readonly description: string;
  readonly #generator: Generator;
  readonly #processes: Processes;

  private constructor({ name, description }: Path, generator: Generator, processes: Processes) {
    this.name = name;
    this.description = description;
    this.#generator = generator;
    this.#processes = processes;
  }

  /** Starts it with its files in `folder`, and has it compile what is used much, as ours does (`warmUp`). */
  static async start(
    path: Path,
    folder: string,
    { generator, scale }: Pick<Context, 'generator' | 'scale'>,
  ): Promise<PathPeer> {
    const own = join(folder, path.name);
    await mkdir(own, { recursive: true });
    const peer = new PathPeer(path, generator, await startProcesses(path, own));
    const { compile_ms } = scale;
    const load = { ...PIPELINED, value_bytes: VALUE_BYTES, warm_up_ms: 0, measure_ms: compile_ms };
    await peer.run(load);
    return peer;
  }

  async run({ clients, in_flight, value_bytes, warm_up_ms, measure_ms }: PeerLoad): Promise<PeerResult> {
    const servers = [{ address: LOOPBACK, port: String(this.#processes.port) }];
    const before = this.#cpu();
    const load = { servers, clients, in_flight, value_bytes, warm_up_ms, measure_ms };
    const { per_second, latency, totals } = await this.#generator.run(load);
    const after = this.#cpu();
    const { answered, sent } = totals;
    if (answered === 0) throw new BenchError(`the path "${this.name}" answered nothing`);
    const each = (used: (cpu: typeof after) => number): number => (used(after) - used(before)) / answered;
    const cost = {
      leader: each(({ leader }) => leader),
      followers: each(({ followers }) => followers),
      generator: each(({ generator }) => generator),
      ...(this.#processes.app !== undefined && { app: each(({ app }) => app) }),
    };
    return { per_second, latency, errors: sent - answered, cost };
  }

  async stop(): Promise<void> {
    const { leader, followers, app } = this.#processes;
    await Promise.all([leader, ...followers].map(end));
    // The application goes with the node that it is connected to.
    if (app !== undefined && app.exitCode === null && app.signalCode === null) await once(app, 'exit');
  }

  #cpu(): { leader: number; followers: number; app: number; generator: number } {
    const { leader, followers, app } = this.#processes;
    const used = (child: ChildProcess | undefined): number => cpu_us(child?.pid ?? 0);
    return {
      leader: used(leader),
      followers: followers.reduce((sum, follower) => sum + used(follower), 0),
      app: app === undefined ? 0 : used(app),
      generator: cpu_us(this.#generator.pid),
    };
  }
}

async function startProcesses({ name, program, has_app }: Path, folder: string): Promise<Processes> {
  const names = Array.from({ length: FOLLOWERS }, (_, i) => `follower-${i}`);
  const followers = await Promise.all(names.map((file) => startNode(name, program, join(folder, file))));
  const ports = followers.map(({ port }) => String(port));
  const leader = await startNode(name, program, join(folder, 'leader'), ports);
  const children = followers.map(({ child }) => child);
  const { port } = leader;
  return { port, leader: leader.child, followers: children, app: has_app ? startApp(port) : undefined };
}

/** Starts a process that keeps its log in `file`; resolves with the port that it listens on. */
async function startNode(
  name: string,
  program: string,
  file: string,
  followers: readonly string[] = [],
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = endWithBench(fork(benchProgram(program), [file, ...followers]));
  const ended = once(child, 'exit').then(() => {
    throw new BenchError(`a process of the path "${name}" ended before it listened`);
  });
  ended.catch(() => undefined); // it ends some time
  const [port] = (await Promise.race([once(child, 'message'), ended])) as [number];
  return { child, port };
}

/** Requests that come before it has connected wait for it. */
function startApp(port: number): ChildProcess {
  const flags = [`-paxos_addr=${LOOPBACK}`, `-paxos_port=${port}`];
  return endWithBench(spawn(process.execPath, [KV_APP, ...flags], { stdio: 'inherit' }));
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.disconnect();
  await gone;
}
