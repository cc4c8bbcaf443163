import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { endWithBench } from '../children.js';
import { PIPELINED, VALUE_BYTES, type Context } from '../context.js';
import type { Generator } from '../generator.js';
import { benchProgram, LOOPBACK } from '../paths.js';
import { cpu_us } from '../proc.js';
import { BenchError } from '../wait.js';
import type { Peer, PeerLoad, PeerResult } from './peer.js';

const FOLLOWERS = 2;

/** The bare path: three processes that do nothing but what no server can leave out, under our own load generator. */
export class Bare implements Peer {
  readonly name = 'bare';
  readonly description =
    'a file flushed by groups, one datagram to each of two followers, an answer; nothing is checked, kept or recovered';
  readonly #generator: Generator;
  readonly #port: number;
  readonly #leader: ChildProcess;
  readonly #followers: readonly ChildProcess[];

  private constructor(
    generator: Generator,
    leader: { readonly child: ChildProcess; readonly port: number },
    followers: readonly ChildProcess[],
  ) {
    this.#generator = generator;
    this.#leader = leader.child;
    this.#port = leader.port;
    this.#followers = followers;
  }

  /** Starts it with its files in `folder`, and has it compile what is used much, as ours does (`warmUp`). */
  static async start(
    folder: string,
    { generator, scale }: Pick<Context, 'generator' | 'scale'>,
  ): Promise<Bare> {
    const own = join(folder, 'bare');
    await mkdir(own, { recursive: true });
    const names = Array.from({ length: FOLLOWERS }, (_, i) => `follower-${i}`);
    const followers = await Promise.all(names.map((name) => startNode(join(own, name))));
    const ports = followers.map(({ port }) => String(port));
    const leader = await startNode(join(own, 'leader'), ports);
    const children = followers.map(({ child }) => child);
    const bare = new Bare(generator, leader, children);
    const { compile_ms } = scale;
    const load = { ...PIPELINED, value_bytes: VALUE_BYTES, warm_up_ms: 0, measure_ms: compile_ms };
    if (compile_ms > 0) await bare.run(load);
    return bare;
  }

  async run({ clients, in_flight, value_bytes, warm_up_ms, measure_ms }: PeerLoad): Promise<PeerResult> {
    const servers = [{ address: LOOPBACK, port: String(this.#port) }];
    const pids = [this.#leader, ...this.#followers].map(({ pid }) => pid ?? 0);
    const before = pids.map(cpu_us);
    const generator_before = cpu_us(this.#generator.pid);
    const load = { servers, clients, in_flight, value_bytes, warm_up_ms, measure_ms };
    const { per_second, latency, totals } = await this.#generator.run(load);
    const [leader = 0, ...others] = pids.map((pid, i) => cpu_us(pid) - (before[i] ?? 0));
    const { answered, sent } = totals;
    if (answered === 0) throw new BenchError('the bare path answered nothing');
    const cost = {
      leader: leader / answered,
      followers: others.reduce((sum, one) => sum + one, 0) / answered,
      generator: (cpu_us(this.#generator.pid) - generator_before) / answered,
    };
    return { per_second, latency, errors: sent - answered, cost };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#leader, ...this.#followers].map(end));
  }
}

/** Starts a process that keeps its log in `file`; resolves with the port that it listens on. */
async function startNode(
  file: string,
  followers: readonly string[] = [],
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = endWithBench(fork(benchProgram('peer/bare/node'), [file, ...followers]));
  const ended = once(child, 'exit').then(() => {
    throw new BenchError('a process of the bare path ended before it listened');
  });
  ended.catch(() => undefined); // it ends some time
  const [port] = (await Promise.race([once(child, 'message'), ended])) as [number];
  return { child, port };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.disconnect();
  await gone;
}
