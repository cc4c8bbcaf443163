import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientOptions } from '../../clients/typescript/index.js';
import { initialise } from '../../src/index.js';
import type { AgentStatus } from '../../src/server/status.js';
import { freePorts, LOOPBACK } from './cluster-ports.js';
import { eventually, paxosd, PATIENCE_MS, Program, runToEnd, type End } from './process.js';
import { RawClient, type Place, type Raw } from './process-wire.js';

/** Short enough for quick tests, long enough that a busy machine elects nobody by mistake. */
const QUICK_FLAGS = ['--heartbeat-ms', '50', '--leader-timeout-ms', '250'];

/** Quick to make; tests that need several files fill more than one. */
const SEGMENT_BYTES = 1024 * 1024;

/** How long a node may take to answer over HTTP before it counts as silent. */
const HTTP_TIMEOUT_MS = 1_000;

/** How often a cluster whose ports were taken meanwhile is made anew. */
const MAX_PORT_TRIES = 3;

/** Where a node runs, if not simply here. */
export interface Host {
  readonly address: string;
  /** The words before its command that bring it there. */
  readonly within: readonly string[];
}

export interface ClusterOptions {
  readonly nodes: number;
  /** One for each node; all run on the loopback, if absent. */
  readonly hosts?: readonly Host[];
  /** The application's command; none: values are answered with themselves. */
  readonly app?: string;
  /** More flags of `paxosd start`. */
  readonly flags?: readonly string[];
  /** The base text's own timers. */
  readonly default_times?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  /** Size of the journal's files. */
  readonly segment_bytes?: number;
  /** The indices of the nodes that are started at first; all, if absent. */
  readonly starting?: readonly number[];
}

/** One entry of the log, as it was streamed. */
export interface LogEntry {
  readonly entry: number;
  readonly id: number;
  readonly no: number;
  readonly noset: boolean;
  readonly value: string;
}

/** A member of a test's cluster: an address, a data directory, and the process that runs it at the moment. */
export class TestNode implements Place {
  readonly address: string;
  readonly port: string;
  readonly http_port: string;
  readonly directory: string;
  readonly #within: readonly string[];
  readonly #flags: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #cwd: string;
  readonly #lives: Program[] = [];

  constructor(options: {
    host: Host;
    port: number;
    http_port: number;
    directory: string;
    flags: readonly string[];
    env: NodeJS.ProcessEnv;
    cwd: string;
  }) {
    this.address = options.host.address;
    this.#within = options.host.within;
    this.port = String(options.port);
    this.http_port = String(options.http_port);
    this.directory = options.directory;
    this.#flags = options.flags;
    this.#env = options.env;
    this.#cwd = options.cwd;
  }

  /** `HOST:PORT`. */
  get name(): string {
    return `${this.address}:${this.port}`;
  }

  /** The processes of all its lives, the latest last. */
  get lives(): readonly Program[] {
    return this.#lives;
  }

  /** The process of its latest life. */
  get process(): Program {
    const latest = this.#lives.at(-1);
    if (latest === undefined) throw new Error(`${this.name} was never started`);
    return latest;
  }

  get running(): boolean {
    return this.#lives.at(-1)?.running === true;
  }

  /** What its lives wrote, for a test that failed. */
  get output(): string {
    return this.#lives
      .map(({ pid, stderr, stdout }) => `--- ${this.name}, pid ${pid}\n${stdout}${stderr}`)
      .join('');
  }

  /** Starts it without waiting for anything. */
  launch(...flags: readonly string[]): Program {
    return this.launchUnder([], ...flags);
  }

  /** Starts it by a command that replaces itself with the one behind it, such as `env` or `strace -D`. */
  launchUnder(prefix: readonly string[], ...flags: readonly string[]): Program {
    const http = ['--http', `${this.address}:${this.http_port}`];
    const start = paxosd('start', '--data-dir', this.directory, ...http, ...this.#flags, ...flags);
    const command = [...this.#within, ...prefix, ...start];
    const program = new Program(this.name, command, { env: this.#env, cwd: this.#cwd });
    this.#lives.push(program);
    return program;
  }

  /** Starts it, and resolves when it listens. */
  async start(...flags: readonly string[]): Promise<void> {
    await this.launch(...flags).logged('started');
  }

  /** Starts it expecting that it refuses: its exit code and what it said. */
  async refusal(...flags: readonly string[]): Promise<{ code: number | null; text: string }> {
    const program = this.launch(...flags);
    const end = await program.over(`the refusal of ${this.name}`);
    return { code: end.code, text: program.stderr };
  }

  kill(): Promise<End> {
    return this.process.end('SIGKILL');
  }

  /** What it says about itself; undefined if it doesn't answer. */
  async status(): Promise<AgentStatus | undefined> {
    const { status, body } = await this.get('/status');
    return status === 200 ? (body as unknown as AgentStatus) : undefined;
  }

  /** Asks over HTTP; status 0 if nobody answers. */
  async get(path: string): Promise<{ status: number; body: Record<string, unknown> }> {
    try {
      const url = `http://${this.address}:${this.http_port}${path}`;
      const signal = AbortSignal.timeout(HTTP_TIMEOUT_MS);
      const response = await fetch(url, { signal, headers: { connection: 'close' } });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    } catch {
      return { status: 0, body: {} };
    }
  }

  /** Resolves with the status once `test` holds. */
  async until(
    what: string,
    test: (status: AgentStatus) => boolean,
    timeout_ms = PATIENCE_MS,
  ): Promise<AgentStatus> {
    let last: AgentStatus | undefined;
    const look = async (): Promise<AgentStatus | undefined> => {
      last = await this.status();
      return last !== undefined && test(last) ? last : undefined;
    };
    return eventually(`${what} at ${this.name}`, look, { timeout_ms, seen: () => last });
  }
}

/** Several nodes with everything that is connected to them. `release` ends all of it. */
export class Cluster {
  readonly folder: string;
  readonly nodes: readonly TestNode[];
  readonly #clients: Client[] = [];
  readonly #connections: RawClient[] = [];
  readonly #others: Program[] = [];
  readonly #notes = new Set<string>();

  private constructor(folder: string, nodes: readonly TestNode[]) {
    this.folder = folder;
    this.nodes = nodes;
  }

  /** A cluster whose data directories have been made; nothing runs yet. */
  static async create(options: ClusterOptions): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'paxosd-'));
    const ports = await freePorts(2 * options.nodes);
    const { segment_bytes = SEGMENT_BYTES } = options;
    const flags = [
      ...(options.default_times === true ? [] : QUICK_FLAGS),
      ...['--segment-bytes', String(segment_bytes)],
      ...(options.app === undefined ? [] : ['--app', options.app]),
      ...(options.flags ?? []),
    ];
    const nodes = ports.slice(0, options.nodes).map(
      (port, i) =>
        new TestNode({
          host: options.hosts?.[i] ?? { address: LOOPBACK, within: [] },
          port,
          http_port: ports[options.nodes + i]!,
          directory: join(folder, String(i)),
          flags,
          env: options.env ?? {},
          cwd: folder,
        }),
    );
    const agents = nodes.map(({ address, port }) => ({ address, port }));
    for (const [i, self] of agents.entries()) {
      await initialise(nodes[i]!.directory, { self, agents, segment_bytes });
    }
    return new Cluster(folder, nodes);
  }

  /** A cluster whose nodes listen. Somebody else may have taken a port meanwhile: then on other ports. */
  static async started(options: ClusterOptions): Promise<Cluster> {
    for (let tries = 1; ; tries++) {
      const cluster = await Cluster.create(options);
      try {
        const { starting } = options;
        await cluster.start(cluster.nodes.filter((_, i) => starting?.includes(i) ?? true));
        return cluster;
      } catch (error) {
        const output = cluster.output;
        await cluster.release();
        if (tries < MAX_PORT_TRIES && /EADDRINUSE|in use|taken/.test(output)) continue;
        throw error;
      }
    }
  }

  /** All nodes' names, as a client takes them. */
  get servers(): string {
    return this.nodes.map(({ name }) => name).join(',');
  }

  get running(): TestNode[] {
    return this.nodes.filter(({ running }) => running);
  }

  get output(): string {
    const others = this.#others.map(({ name, stdout, stderr }) => `--- ${name}\n${stdout}${stderr}`);
    const notes = [...this.#notes].map((text) => `--- ${text}\n`);
    return [...notes, ...this.nodes.map(({ output }) => output), ...others].join('');
  }

  /** Adds to `output` what whoever reads of a failure has to know. */
  note(text: string): void {
    this.#notes.add(text);
  }

  /** Starts those of `nodes` that don't run. */
  async start(nodes: readonly TestNode[] = this.nodes): Promise<void> {
    await Promise.all(nodes.filter(({ running }) => !running).map((node) => node.start()));
  }

  /** The node that all of `among` follow, itself being one that leads. */
  async leader(among: readonly TestNode[] = this.running): Promise<TestNode> {
    let last: unknown;
    return eventually(
      'one leader whom all follow',
      async () => {
        const all = await Promise.all(among.map((node) => node.status()));
        last = all.map((status) => [status?.role, status?.leader, status?.promised_round]);
        const name = all[0]?.leader;
        const agreed = all.every((status) => status !== undefined && status.leader === name);
        const leads = all.some((status) => status?.role === 'leader' && status.address === name);
        return agreed && leads ? this.nodes.find((node) => node.name === name) : undefined;
      },
      { seen: () => last },
    );
  }

  /** A leader among the running nodes, and one that follows it. */
  async roles(): Promise<{ leader: TestNode; follower: TestNode; followers: TestNode[] }> {
    const leader = await this.leader();
    const followers = this.running.filter((node) => node !== leader);
    return { leader, follower: followers[0] ?? leader, followers };
  }

  /** Resolves when all of `among` know the same entries chosen, at least `count`. */
  async settled(among: readonly TestNode[] = this.running, count = 0): Promise<number> {
    let last: unknown;
    return eventually(
      'equal commit indices',
      async () => {
        const all = await Promise.all(among.map((node) => node.status()));
        const chosen = all.map((status) => status?.entries.chosen ?? -1);
        // A leader has nothing under way; who led before may keep a tail that nobody else ever accepted.
        const leaders = all.filter((status) => status?.role === 'leader');
        const accepted = leaders.map((status) => status?.entries.accepted ?? -1);
        last = { chosen, accepted };
        const first = chosen[0] ?? -1;
        const same = chosen.every((one) => one === first) && accepted.every((one) => one <= first);
        return same && first >= count ? first : undefined;
      },
      { seen: () => last },
    );
  }

  client(options: Partial<ClientOptions> = {}): Client {
    const client = new Client({ servers: this.servers, timeout_ms: PATIENCE_MS, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Connects by hand. */
  async connect(to: Place, options: { reading?: boolean; allowHalfOpen?: boolean } = {}): Promise<RawClient> {
    const connection = await RawClient.connect(to, options);
    this.#connections.push(connection);
    return connection;
  }

  /** Connects to the leader and says hello; the session's id comes with it. */
  async session(id?: number): Promise<{ raw: RawClient; id: number; leader: TestNode }> {
    return eventually('a session', async () => {
      const leader = await this.leader();
      const raw = await this.connect(leader);
      const answer = await raw.hello(id);
      if (answer.type === 10) return { raw, id: answer.request?.id ?? 0, leader };
      raw.close();
      return undefined;
    });
  }

  /** The raw log of a node, no-ops and all, up to `count` entries. */
  async log(node: TestNode, count: number, first = 0): Promise<LogEntry[]> {
    const raw = await this.connect(node);
    raw.send({ type: 13, entry: first, request: { noset: true } });
    const lines = await raw.take(count - first);
    raw.close();
    return lines.map(toLogEntry);
  }

  /** What a follower of a node is streamed: executed requests only. `count` of them. */
  async executed(node: TestNode, count: number): Promise<LogEntry[]> {
    const raw = await this.connect(node);
    // The first to ask could become the application; a raw reader can't.
    const entries: LogEntry[] = [];
    raw.send({ type: 13, request: { noset: true } });
    const seen = new Set<string>();
    while (entries.length < count) {
      const entry = toLogEntry(await raw.next(`executed entry ${entries.length + 1} of ${count}`));
      const key = `${entry.id}:${entry.no}`;
      if (entry.id === 0 || seen.has(key)) continue;
      seen.add(key);
      entries.push(entry);
    }
    raw.close();
    return entries;
  }

  /** Runs another program beside the nodes; it is ended with them. */
  run(name: string, command: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
    const program = new Program(name, command, { env });
    this.#others.push(program);
    return program;
  }

  /** `paxosd` with these words, to its end. */
  command(...words: readonly string[]): ReturnType<typeof runToEnd> {
    return runToEnd(paxosd(...words));
  }

  /** Ends every process and connection, and removes the files unless somebody is to look at them. */
  async release({ keeping_files = false } = {}): Promise<void> {
    for (const client of this.#clients.splice(0)) client.close();
    for (const connection of this.#connections.splice(0)) connection.close();
    const running = [...this.running.map((node) => node.process), ...this.#others];
    await Promise.all(running.map((program) => program.end('SIGKILL').catch(() => undefined)));
    if (!keeping_files) await rm(this.folder, { recursive: true, force: true });
  }
}

function toLogEntry({ entry = 0, request = {}, value = '' }: Raw): LogEntry {
  return { entry, id: request.id ?? 0, no: request.no ?? 0, noset: request.noset ?? false, value };
}
