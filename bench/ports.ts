import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { LOOPBACK } from './paths.js';

/**
 * Ports below those that systems give to outgoing connections: the port of a node that is down must still be free when
 * it comes back, whatever connects to whom meanwhile.
 */
const FIRST_PORT = 12_000;
const LAST_PORT = 31_999;

const handed_out = new Set<number>();

/** Ports of the loopback that were free for UDP and TCP a moment ago, in ascending order; none is handed out twice. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  while (found.length < count) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1));
    if (handed_out.has(port) || !(await isFree(port))) continue;
    handed_out.add(port);
    found.push(port);
  }
  return found.sort((a, b) => a - b);
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
