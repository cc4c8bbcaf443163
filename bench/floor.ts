import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, fdatasyncSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Histogram, type LatencySummary } from '../src/cli/load/histogram.js';
import type { EchoPorts } from './echo.js';
import { LOOPBACK } from './paths.js';
import { spread } from './stats.js';

/** What the machine allows: no write through a majority of disks and over sockets can be faster. */
export interface Floor {
  /** One write and fdatasync into a file that was filled before, in microseconds. */
  readonly fdatasync: LatencySummary;
  /** A datagram to another process and back. */
  readonly udp: LatencySummary;
  /** Bytes over an open connection to another process and back. */
  readonly tcp: LatencySummary;
  /** Writing a file from front to end and flushing it once, in bytes per second. */
  readonly write_bytes_per_s: number;
}

export interface FloorScale {
  /** Round trips and flushes of each kind. */
  readonly samples: number;
  /** Size of the file that is written through. */
  readonly write_bytes: number;
}

/** About what a request takes in a journal or a datagram. */
const BLOCK_BYTES = 512;
const PREALLOCATED_BYTES = 16 * 1024 * 1024;
const WRITE_BYTES = 1024 * 1024;

/** Round trips before those that count. */
const WARM_UP = 200;

/** A datagram that gets lost is sent again after this. */
const LOST_MS = 200;

/** The shortest time in which a request of one client can be answered, in microseconds: medians, added up. */
export function floorOfOneRequest_us({ fdatasync, udp, tcp }: Floor): number {
  return fdatasync.p50_us + udp.p50_us + 2 * tcp.p50_us;
}

export async function measureFloor(folder: string, ports: EchoPorts, scale: FloorScale): Promise<Floor> {
  const write_bytes_per_s = sequentialWrite(folder, scale.write_bytes);
  const fdatasync = flushes(folder, scale.samples);
  const udp = await udpRoundTrips(ports.udp, scale.samples);
  const tcp = await tcpRoundTrips(ports.tcp, scale.samples);
  return { fdatasync, udp, tcp, write_bytes_per_s };
}

/** The middle of several rounds, figure by figure. */
export function middleFloor(rounds: readonly Floor[]): Floor {
  const middle = (pick: (floor: Floor) => LatencySummary): LatencySummary => {
    const summaries = rounds.map(pick);
    const of = (key: keyof LatencySummary): number => spread(summaries.map((summary) => summary[key])).median;
    return {
      count: of('count'),
      mean_us: of('mean_us'),
      p50_us: of('p50_us'),
      p90_us: of('p90_us'),
      p99_us: of('p99_us'),
      p999_us: of('p999_us'),
      max_us: of('max_us'),
    };
  };
  return {
    fdatasync: middle(({ fdatasync }) => fdatasync),
    udp: middle(({ udp }) => udp),
    tcp: middle(({ tcp }) => tcp),
    write_bytes_per_s: spread(rounds.map((round) => round.write_bytes_per_s)).median,
  };
}

function sequentialWrite(folder: string, bytes: number): number {
  const path = join(folder, 'sequential');
  const block = Buffer.alloc(WRITE_BYTES, 'x');
  const file = openSync(path, 'w');
  try {
    const from_ms = performance.now();
    for (let at = 0; at < bytes; at += block.length) writeSync(file, block, 0, block.length, at);
    fsyncSync(file);
    return (bytes * 1000) / (performance.now() - from_ms);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}

function flushes(folder: string, samples: number): LatencySummary {
  const path = join(folder, 'preallocated');
  const file = openSync(path, 'w');
  const histogram = new Histogram();
  try {
    const zeros = Buffer.alloc(WRITE_BYTES);
    for (let at = 0; at < PREALLOCATED_BYTES; at += zeros.length) writeSync(file, zeros, 0, zeros.length, at);
    fsyncSync(file);
    const block = Buffer.alloc(BLOCK_BYTES, 'x');
    for (let i = 0; i < samples; i++) {
      const from_ms = performance.now();
      writeSync(file, block, 0, block.length, (i * BLOCK_BYTES) % PREALLOCATED_BYTES);
      fdatasyncSync(file);
      histogram.record(performance.now() - from_ms);
    }
  } finally {
    closeSync(file);
    rmSync(path);
  }
  return histogram.summary();
}

async function udpRoundTrips(port: number, samples: number): Promise<LatencySummary> {
  const socket = createSocket('udp4');
  socket.bind(0, LOOPBACK);
  await once(socket, 'listening');
  const send = (): void => socket.send(Buffer.alloc(BLOCK_BYTES, 'x'), port, LOOPBACK);
  try {
    return await roundTrips(samples, send, (onBack) => socket.on('message', onBack));
  } finally {
    socket.close();
  }
}

async function tcpRoundTrips(port: number, samples: number): Promise<LatencySummary> {
  const socket = connect({ port, host: LOOPBACK, noDelay: true });
  await once(socket, 'connect');
  const block = Buffer.alloc(BLOCK_BYTES, 'x');
  let missing = 0;
  try {
    return await roundTrips(
      samples,
      () => {
        missing = block.length;
        socket.write(block);
      },
      (onBack) => {
        socket.on('data', (bytes) => {
          missing -= bytes.length;
          if (missing === 0) onBack();
        });
      },
    );
  } finally {
    socket.destroy();
  }
}

function roundTrips(
  samples: number,
  send: () => void,
  listen: (onBack: () => void) => void,
): Promise<LatencySummary> {
  return new Promise((resolve) => {
    const histogram = new Histogram();
    let left = samples + WARM_UP;
    let from_ms = 0;
    const next = (): void => {
      from_ms = performance.now();
      send();
    };
    const again = setInterval(next, LOST_MS);
    listen(() => {
      const took_ms = performance.now() - from_ms;
      if (left-- <= samples) histogram.record(took_ms);
      if (left > 0) {
        again.refresh();
        next();
        return;
      }
      clearInterval(again);
      resolve(histogram.summary());
    });
    next();
  });
}
