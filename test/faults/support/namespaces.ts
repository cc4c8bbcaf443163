import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Host } from '../../support/cluster.js';
import { isOnPath, Program, PROJECT } from '../../support/process.js';
import { fragmentProgram, lossProgram, type Loss } from './link-filter.js';

const run = promisify(execFile);

/** Addresses that exist in the namespaces only. The first is this process's, which stands outside of every cut. */
const SUBNET = '10.77.0.';
const OUTSIDE_ADDRESS = `${SUBNET}1`;
const FIRST_HOST = 10;
const BRIDGE = 'br0';
const OUTSIDE_PORT = 'outside';

const WIRE = `${PROJECT}test/faults/support/wire.py`;

/** Every program that sets up or changes a link is done in a moment. */
const IP_TIMEOUT_MS = 10_000;

/** What puts a program into a network and a process tree of its own, which all end with it. */
const ALONE = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'];

/** What this machine must be able to do, in the order of need; the same commands as below. */
const PROBE = [
  'ip link set lo up',
  `ip link add ${BRIDGE} type bridge`,
  'ip link add p0 type veth peer name eth0',
  'tc qdisc add dev p0 clsact',
  `tc filter replace dev p0 ingress pref 1 handle 1 bpf da bytecode '${lossProgram('source', [{ address: OUTSIDE_ADDRESS, chance: 0.5 }])}'`,
].join(' && ');

/** `unshare` with what this user needs to be root in there; the program's words follow. */
export function aloneCommand(): [program: string, ...words: string[]] {
  return ['unshare', ...(process.getuid?.() === 0 ? [] : ['--map-root-user']), ...ALONE];
}

/** Why there can be no network of namespaces here, in a few words; undefined: there can. */
export function whyNoNamespaces(): string | undefined {
  const missing = ['unshare', 'nsenter', 'ip', 'tc'].find((program) => !isOnPath(program));
  if (missing !== undefined) return `no ${missing}`;
  const [file, ...args] = aloneCommand();
  const { status, stderr } = spawnSync(file, [...args, 'sh', '-c', PROBE], {
    encoding: 'utf8',
    timeout: IP_TIMEOUT_MS,
  });
  return status === 0 ? undefined : `no network namespaces: ${stderr.trim().split('\n')[0]}`;
}

/** What `wire.py` does to whatever hosts send each other. */
export interface WireFaults {
  /** Chance that a frame is lost. */
  readonly loss?: number;
  /** Chance that it comes twice. */
  readonly doubling?: number;
  /** Each is held back for a random time up to this, so that they overtake each other. */
  readonly delay_ms?: number;
  /** Chance that with a datagram any earlier one, of whatever age, comes again. */
  readonly replaying?: number;
  /** One heartbeat in so many milliseconds is lost, on one link or another. */
  readonly lost_heartbeat_ms?: number;
}

/** One who sends or receives: a host by its number, or everybody who isn't one. */
export type End = number | 'outside';

/**
 * Hosts with a network namespace each, joined by a bridge in the namespace of this process, which must be one of its
 * own: nothing is removed at the end, since it all goes when the process goes.
 */
export class Network {
  readonly hosts: readonly Host[];
  readonly #holders: readonly Program[];
  readonly #losses = new Map<string, number>();
  #wire: Program | undefined;

  private constructor(holders: readonly Program[]) {
    this.#holders = holders;
    this.hosts = holders.map((holder, i) => ({
      address: addressOf(i),
      within: ['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'],
    }));
  }

  static async create(count: number): Promise<Network> {
    await ip('link set lo up', `link add ${BRIDGE} type bridge`, `link set ${BRIDGE} up`);
    await ip(`addr add ${OUTSIDE_ADDRESS}/24 dev ${BRIDGE}`);
    const indices = Array.from({ length: count }, (_, i) => i);
    const network = new Network(await Promise.all(indices.map((i) => holder(i))));
    for (const i of indices) await network.#join(i);
    return network;
  }

  /** From now on this share of the packets from one end to the other is lost, on their way there only; 0: none. */
  async lose(from: End, to: End, chance: number): Promise<void> {
    if (chance > 0) this.#losses.set(`${from}>${to}`, chance);
    else this.#losses.delete(`${from}>${to}`);
    await this.#apply([from === 'outside' ? to : from]);
  }

  /** Cuts, one way, what goes from any of `from` to any of `to`. */
  async cut(from: readonly End[], to: readonly End[]): Promise<void> {
    for (const a of from) for (const b of to) if (a !== b) this.#losses.set(`${a}>${b}`, 1);
    await this.#apply(this.#indices());
  }

  /** Cuts whatever goes between these groups, both ways. Who isn't named hears everybody. */
  async partition(...groups: readonly (readonly End[])[]): Promise<void> {
    for (const group of groups) {
      for (const other of groups) {
        if (group !== other) for (const a of group) for (const b of other) this.#losses.set(`${a}>${b}`, 1);
      }
    }
    await this.#apply(this.#indices());
  }

  /** All that was lost or cut is carried again. */
  async heal(): Promise<void> {
    this.#losses.clear();
    await this.#apply(this.#indices());
  }

  /** Every fragment of a packet that is longer than a frame is lost, until other losses are asked for. */
  async loseFragments(): Promise<void> {
    await Promise.all(this.#indices().map((host) => filter(portOf(host), 'ingress', fragmentProgram())));
  }

  /** Plugs or unplugs a host's cable, at the bridge. */
  async plug(host: number, state: 'up' | 'down'): Promise<void> {
    await ip(`link set ${portOf(host)} ${state}`);
  }

  /** A host's own interface; without it, it has no route to anybody. */
  async setInterface(host: number, state: 'up' | 'down'): Promise<void> {
    await this.#within(host, `link set eth0 ${state}`);
  }

  /** The longest packet that a host sends; the bridge, and with `both` the others, go on with longer ones. */
  async setMtu(host: number, max_bytes: number, { both }: { both: boolean }): Promise<void> {
    await this.#within(host, `link set eth0 mtu ${max_bytes}`);
    if (both) await ip(`link set ${portOf(host)} mtu ${max_bytes}`);
  }

  /** Carries everything by a program instead of the bridge from now on, badly. Its output tells of lost heartbeats. */
  async carryBadly(faults: WireFaults): Promise<Program> {
    if (this.#wire === undefined) {
      await ip(`link add ${OUTSIDE_PORT} type veth peer name ${OUTSIDE_PORT}-bridge`);
      await ip(`link set ${OUTSIDE_PORT}-bridge master ${BRIDGE} up`, `link set ${OUTSIDE_PORT} up`);
      for (const i of this.#indices()) await ip(`link set ${portOf(i)} nomaster`);
    }
    await this.#wire?.end();
    const ports = [OUTSIDE_PORT, ...this.#indices().map(portOf)];
    const wire = new Program('wire', ['python3', WIRE, JSON.stringify(faults), ...ports]);
    this.#wire = wire;
    await wire.until('its readiness', () => (wire.stdout.includes('ready') ? true : undefined));
    return wire;
  }

  async #join(host: number): Promise<void> {
    const port = portOf(host);
    await ip(`link add ${port} type veth peer name eth0 netns ${this.#holders[host]!.pid}`);
    await ip(`link set ${port} master ${BRIDGE} up`);
    await this.#within(host, 'link set lo up');
    await this.#within(host, `addr add ${addressOf(host)}/24 dev eth0`);
    await this.#within(host, 'link set eth0 up');
    await run('tc', ['qdisc', 'add', 'dev', port, 'clsact'], { timeout: IP_TIMEOUT_MS });
  }

  #indices(): number[] {
    return this.hosts.map((_, i) => i);
  }

  /** Tells the kernel what is lost at the ports of these hosts. */
  async #apply(hosts: readonly End[]): Promise<void> {
    await Promise.all(
      hosts.map(async (host) => {
        if (host === 'outside') return;
        // What a host sends comes into its port; only what this process sends it is looked at on the way out.
        const sent = [...this.#indices(), 'outside' as const].flatMap((to) => this.#loss(host, to, to));
        await filter(portOf(host), 'ingress', lossProgram('destination', sent));
        const received = this.#loss('outside', host, 'outside');
        await filter(portOf(host), 'egress', lossProgram('source', received));
      }),
    );
  }

  #loss(from: End, to: End, named: End): Loss[] {
    const chance = this.#losses.get(`${from}>${to}`);
    return chance === undefined ? [] : [{ address: addressOf(named), chance }];
  }

  async #within(host: number, command: string): Promise<void> {
    const [file = '', ...args] = [...this.hosts[host]!.within, 'ip', ...command.split(' ')];
    await run(file, args, { timeout: IP_TIMEOUT_MS });
  }
}

function addressOf(end: End): string {
  return end === 'outside' ? OUTSIDE_ADDRESS : `${SUBNET}${FIRST_HOST + end}`;
}

function portOf(host: number): string {
  return `port${host}`;
}

/** A process that does nothing but keep a namespace. */
async function holder(host: number): Promise<Program> {
  const program = new Program(`namespace ${host}`, [
    'unshare',
    '--net',
    'sh',
    '-c',
    'echo ready && exec sleep infinity',
  ]);
  await program.until('its namespace', () => (program.stdout.includes('ready') ? true : undefined));
  return program;
}

async function ip(...commands: readonly string[]): Promise<void> {
  for (const command of commands) await run('ip', command.split(' '), { timeout: IP_TIMEOUT_MS });
}

async function filter(port: string, way: 'ingress' | 'egress', program: string): Promise<void> {
  const words = ['filter', 'replace', 'dev', port, way, 'pref', '1', 'handle', '1'];
  await run('tc', [...words, 'bpf', 'da', 'bytecode', program], { timeout: IP_TIMEOUT_MS });
}
