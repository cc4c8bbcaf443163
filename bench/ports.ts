import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { LOOPBACK } from './paths.js';

/**
 * Ports below those that systems give to outgoing connections: the port of a node that is down must still be free when
 * it comes back, whatever connects to whom meanwhile.
 */
const FIRST_PORT = 12_000;
const LAST_PORT = 31_999;

/** So many ports, one behind the other, are claimed at once. */
const BLOCK_PORTS = 64;
const BLOCKS = Math.floor((LAST_PORT - FIRST_PORT + 1) / BLOCK_PORTS);

/** Far more than it takes while a single block is unclaimed. */
const MAX_TRIES = 100 * BLOCKS;

/** The first ports of the blocks that this process has claimed. */
const claimed = new Set<number>();

/** The call before the next one: they take turns. */
let before: Promise<unknown> = Promise.resolve();

/** What is left of the block that was claimed last. */
let next = 0;
let end = 0;

/**
 * So many ports of the loopback, one behind the other, that were free for UDP and TCP a moment ago. None is handed out
 * twice, nor, on Linux, by two processes while the first of them runs: a port whose node is down is free for anybody,
 * and the clients of that node would take the stranger who listens there for it.
 */
export function freePorts(count: number): Promise<number[]> {
  if (count > BLOCK_PORTS) throw new RangeError(`at most ${BLOCK_PORTS} ports are handed out at once`);
  const ports = before.then(() => takePorts(count));
  before = ports.catch(() => undefined);
  return ports;
}

async function takePorts(count: number): Promise<number[]> {
  for (;;) {
    if (end - next < count) await claimBlock();
    const ports = Array.from({ length: count }, (_, i) => next + i);
    next += count;
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return ports;
  }
}

async function claimBlock(): Promise<void> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const block = FIRST_PORT + BLOCK_PORTS * Math.floor(Math.random() * BLOCKS);
    if (claimed.has(block) || !(await claim(block))) continue;
    claimed.add(block);
    next = block;
    end = block + BLOCK_PORTS;
    return;
  }
  throw new Error(`all ports from ${FIRST_PORT} to ${LAST_PORT} are claimed`);
}

/**
 * Listens under a name of the block for as long as this process runs: no other can meanwhile. False if another does.
 * Systems other than Linux have no such names, which no file stands for; there every block is unclaimed.
 */
function claim(block: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'));
    server.listen(`\0paxosd-ports-${block}`, () => resolve(true));
    server.unref();
  });
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const udp = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, LOOPBACK, resolve);
    });
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(port, LOOPBACK, resolve);
    });
    return true;
  } catch {
    return false;
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await new Promise<void>((resolve) => udp.close(() => resolve()));
  }
}
