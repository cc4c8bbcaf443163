import { readFileSync } from 'node:fs';
import type { TestNode } from '../support/cluster.js';
import type { Program } from '../support/process.js';
import type { SeededRandom } from '../support/random.js';
import type { Fault, World } from './nemesis.js';

/** How long a node stays down, or hangs, at most: elections come and go meanwhile, and minutes hold many faults. */
const MAX_ABSENCE_MS = 3_000;
const MIN_ABSENCE_MS = 100;

/** How long the flushes of a slow disk take at most. */
const MAX_FLUSH_MS = 1_500;

/** A failing flush must come soon where requests come all the time; a node that gets none lives on. */
const FAILURE_TIMEOUT_MS = 3_000;

/** How often a node is killed in its recovery, at most. */
const MAX_EARLY_DEATHS = 3;

/** When it is: within what starting takes. */
const MAX_EARLY_LIFE_MS = 400;

function absence_ms(random: SeededRandom): number {
  return MIN_ABSENCE_MS + random.next() * (MAX_ABSENCE_MS - MIN_ABSENCE_MS);
}

/** Kills nodes one after the other, leaves them dead for a while, and starts them in another order. */
async function killAndStart(world: World, nodes: readonly TestNode[], random: SeededRandom): Promise<void> {
  await Promise.all(nodes.map((node) => world.kill(node)));
  await world.wait(absence_ms(random));
  const order = [...nodes].sort(() => random.next() - 0.5);
  for (const node of order) {
    await node.start();
    await world.wait(random.next() * MIN_ABSENCE_MS);
  }
}

async function stopFor(world: World, node: TestNode, ms: number): Promise<void> {
  node.process.signal('SIGSTOP');
  try {
    await world.wait(ms);
  } finally {
    node.process.signal('SIGCONT');
  }
}

/** Interferes with a node's flushes until the returned program is ended. */
async function tamper(world: World, node: TestNode, how: string): Promise<Program> {
  const trace = ['-e', 'trace=fdatasync', '-e', `inject=fdatasync:${how}`];
  const command = ['strace', '-f', '-o', '/dev/null', ...trace, '-p', String(node.process.pid)];
  const strace = world.cluster.run('strace', command);
  await strace.until('its hold of the node', () => /attached/.test(strace.stderr) || undefined);
  return strace;
}

/** The process of the application that runs beside the leader. */
async function applicationOf(world: World): Promise<number | undefined> {
  const status = await (await world.leader())?.status();
  const pid = status !== undefined && 'pid' in status.app ? status.app.pid : undefined;
  return pid !== undefined && isOurs(pid) ? pid : undefined;
}

/** Whether a process is still the application: its number may have been given away since. */
function isOurs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('kvapp');
  } catch {
    return false;
  }
}

function signalApplication(pid: number, signal: NodeJS.Signals): void {
  if (isOurs(pid)) process.kill(pid, signal);
}

const killLeader: Fault = {
  kind: 'kill-leader',
  weight: 3,
  async run(world, random) {
    const leader = await world.leader();
    return leader !== undefined && world.hold([leader], () => killAndStart(world, [leader], random));
  },
};

const killOne: Fault = {
  kind: 'kill-one',
  weight: 3,
  async run(world, random) {
    const victim = await world.victim(random);
    return victim !== undefined && world.hold([victim], () => killAndStart(world, [victim], random));
  },
};

const killMajority: Fault = {
  kind: 'kill-majority',
  weight: 1,
  run(world, random) {
    const majority = Math.floor(world.nodes.length / 2) + 1;
    const nodes = [...world.nodes].sort(() => random.next() - 0.5).slice(0, majority);
    return world.holdTogether(nodes, () => killAndStart(world, nodes, random));
  },
};

const killAll: Fault = {
  kind: 'kill-all',
  weight: 1,
  run: (world, random) => world.holdTogether(world.nodes, () => killAndStart(world, world.nodes, random)),
};

const killInRecovery: Fault = {
  kind: 'kill-in-recovery',
  weight: 1,
  async run(world, random) {
    const victim = await world.victim(random);
    if (victim === undefined) return false;
    return world.hold([victim], async () => {
      await world.kill(victim);
      const deaths = 1 + random.below(MAX_EARLY_DEATHS);
      for (let i = 0; i < deaths; i++) {
        victim.launch();
        await world.wait(random.next() * MAX_EARLY_LIFE_MS);
        await world.kill(victim);
      }
      await victim.start();
    });
  },
};

const restart: Fault = {
  kind: 'restart',
  weight: 1,
  async run(world, random) {
    const victim = await world.victim(random);
    if (victim === undefined) return false;
    return world.hold([victim], async () => {
      await world.kill(victim, 'SIGTERM');
      await victim.start();
    });
  },
};

const pauseOne: Fault = {
  kind: 'pause',
  weight: 4,
  async run(world, random) {
    const victim = await world.victim(random);
    return victim !== undefined && world.hold([victim], () => stopFor(world, victim, absence_ms(random)));
  },
};

const pauseAll: Fault = {
  kind: 'pause-all',
  weight: 1,
  run: (world, random) =>
    world.holdTogether(world.nodes, async () => {
      const staggered = world.nodes.map(async (node) => {
        await world.wait(absence_ms(random));
        await stopFor(world, node, absence_ms(random));
      });
      await Promise.all(staggered);
    }),
};

const slowDisk: Fault = {
  kind: 'slow-disk',
  weight: 2,
  async run(world, random) {
    const victim = await world.victim(random);
    if (victim === undefined || !world.has_strace) return false;
    return world.hold([victim], async () => {
      const delay_us = Math.ceil(random.next() * MAX_FLUSH_MS) * 1_000;
      const strace = await tamper(world, victim, `delay_enter=${delay_us}`);
      await world.wait(absence_ms(random));
      await strace.end('SIGTERM');
    });
  },
};

const failingDisk: Fault = {
  kind: 'failing-disk',
  weight: 1,
  async run(world, random) {
    const victim = await world.victim(random);
    if (victim === undefined || !world.has_strace) return false;
    return world.hold([victim], async () => {
      world.excuse(victim);
      const strace = await tamper(world, victim, 'error=EIO:when=1');
      await Promise.race([victim.process.ended, world.wait(FAILURE_TIMEOUT_MS)]);
      await strace.end('SIGTERM');
      // Ended in any case: its end would be excused from now on.
      await world.kill(victim);
      await victim.start();
    });
  },
};

const killApp: Fault = {
  kind: 'kill-app',
  weight: 2,
  async run(world) {
    const pid = await applicationOf(world);
    if (pid !== undefined) signalApplication(pid, 'SIGKILL');
    return pid !== undefined;
  },
};

const pauseApp: Fault = {
  kind: 'pause-app',
  weight: 1,
  async run(world, random) {
    const pid = await applicationOf(world);
    if (pid === undefined) return false;
    signalApplication(pid, 'SIGSTOP');
    await world.wait(absence_ms(random));
    signalApplication(pid, 'SIGCONT');
    return true;
  },
};

/** What happens to nodes, their disks and their application. */
export const PROCESS_FAULTS: readonly Fault[] = [
  ...[killLeader, killOne, killMajority, killAll, killInRecovery, restart],
  ...[pauseOne, pauseAll, slowDisk, failingDisk, killApp, pauseApp],
];
