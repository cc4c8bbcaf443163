import { connect, type Socket } from 'node:net';
import { encodeKvRequest } from '../../clients/typescript/index.js';
import type { TestNode } from '../support/cluster.js';
import { RawUdp } from '../support/process-wire.js';
import type { SeededRandom } from '../support/random.js';
import type { Fault, World } from './nemesis.js';

/** Datagrams of one flood: more than a receive buffer holds. */
const FLOOD_DATAGRAMS = 3_000;

/** Datagrams sent before others have a turn. */
const BURST_DATAGRAMS = 100;

/** Bytes of garbage of one connection. */
const GARBAGE_BYTES = 64 * 1024;

/** Connections of a storm. */
const MIN_STORM = 50;
const MAX_STORM = 400;

/** Connections of an overload, each with as many requests as one may have, which together is more than a leader queues. */
const MAX_OVERLOADERS = 12;
const REQUESTS_PER_CONNECTION = 128;

/** How long one that never reads, or hardly writes, is there at most. */
const MAX_STAY_MS = 3_000;

/** Requests of one that never reads; their answers are more than socket buffers hold. */
const UNREAD_REQUESTS = 100;
const UNREAD_VALUE_CHARACTERS = 20_000;

/** How often a slow writer writes its next byte. */
const SLOW_BYTE_MS = 20;

/** A socket that may fail at any time without anybody minding. */
function open(node: TestNode): Socket {
  const socket = connect({ host: node.address, port: Number(node.port), noDelay: true });
  socket.on('error', () => undefined);
  return socket;
}

function anyNode(world: World, random: SeededRandom): TestNode {
  return random.pick(world.nodes);
}

function leaderOrAny(world: World, random: SeededRandom): Promise<TestNode> {
  return world.leader().then((leader) => leader ?? anyNode(world, random));
}

function bytes(random: SeededRandom, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => random.below(256)));
}

/** What a stranger sends: garbage, cut messages, and messages that would matter if they came from a peer. */
function strangeDatagram(world: World, random: SeededRandom): Buffer {
  const peer = anyNode(world, random);
  const from = { fromaddress: peer.address, fromport: peer.port };
  const round = random.below(2 ** 20);
  const forged = [
    { type: 1, ...from, request: {}, round },
    { type: 4, ...from, request: { id: 1, no: 1 }, entry: random.below(1_000), round, value: 'forged' },
    { type: 6, ...from, leaderaddress: peer.address, leaderport: peer.port, round },
    { type: 5, ...from, request: {}, entry: random.below(1_000), round, value: 'forged' },
    { type: 15, ...from },
  ];
  const text = Buffer.from(JSON.stringify(random.pick(forged)));
  if (random.chance(0.4)) return text;
  if (random.chance(0.3)) return text.subarray(0, random.below(text.length));
  return bytes(random, random.below(1_000));
}

const floodOfDatagrams: Fault = {
  kind: 'datagram-flood',
  weight: 2,
  async run(world, random) {
    const stranger = await RawUdp.bind({ address: '127.0.0.1', port: '0' });
    const target = anyNode(world, random);
    for (let sent = 0; sent < FLOOD_DATAGRAMS && !world.over; sent += BURST_DATAGRAMS) {
      const burst = Array.from({ length: BURST_DATAGRAMS }, () => strangeDatagram(world, random));
      // A stranger is told nothing, not even that nobody listens: what fails here is of no matter.
      await Promise.all(burst.map((one) => stranger.send(target, one).catch(() => undefined)));
    }
    await stranger.close();
    return true;
  },
};

const garbage: Fault = {
  kind: 'garbage',
  weight: 2,
  async run(world, random) {
    const socket = open(await leaderOrAny(world, random));
    for (let sent = 0; sent < GARBAGE_BYTES && !socket.destroyed && !world.over;) {
      const piece = Buffer.concat([bytes(random, 1 + random.below(2_000)), Buffer.from('\n')]);
      socket.write(piece);
      sent += piece.length;
      await world.wait(1);
    }
    socket.destroy();
    return true;
  },
};

/** Ends a connection in one of the ways there are. */
function leave(socket: Socket, random: SeededRandom): void {
  const way = random.below(3);
  if (way === 0) socket.resetAndDestroy();
  else if (way === 1) socket.destroy();
  else socket.end('{"type":7,"request":{"no":1,"value":"half');
}

const storm: Fault = {
  kind: 'connection-storm',
  weight: 1,
  async run(world, random) {
    const target = await leaderOrAny(world, random);
    const count = MIN_STORM + random.below(MAX_STORM - MIN_STORM);
    const sockets = Array.from({ length: count }, () => open(target));
    for (const socket of sockets) if (random.chance(0.5)) socket.write('{"type":11}\n');
    await world.wait(random.next() * MAX_STAY_MS);
    for (const socket of sockets) leave(socket, random);
    await closed(world, sockets);
    return true;
  },
};

/** Ends what is still open a moment later, so that nothing is left of a fault. */
async function closed(world: World, sockets: readonly Socket[]): Promise<void> {
  await world.wait(SLOW_BYTE_MS);
  for (const socket of sockets) socket.destroy();
}

const overload: Fault = {
  kind: 'overload',
  weight: 1,
  async run(world, random) {
    const target = await leaderOrAny(world, random);
    const sockets = Array.from({ length: 1 + random.below(MAX_OVERLOADERS) }, () => open(target));
    for (const [i, socket] of sockets.entries()) {
      socket.resume();
      const lines = Array.from({ length: REQUESTS_PER_CONNECTION }, (_, no) => {
        const value = encodeKvRequest({ op: 'put', key: `burst-${i}`, value: String(no) });
        return `${JSON.stringify({ type: 7, request: { no: no + 1, value } })}\n`;
      });
      socket.write(`{"type":11}\n${lines.join('')}`);
    }
    await world.wait(random.next() * MAX_STAY_MS);
    for (const socket of sockets) socket.destroy();
    return true;
  },
};

const breakOff: Fault = {
  kind: 'break-off',
  weight: 2,
  async run(world, random) {
    const sockets = Array.from({ length: 10 }, () => open(anyNode(world, random)));
    for (const [i, socket] of sockets.entries()) {
      const value = encodeKvRequest({ op: 'put', key: 'broken-off', value: String(i) });
      socket.write(`{"type":11}\n${JSON.stringify({ type: 7, request: { no: 1, value } })}\n`);
      socket.write('{"type":7,"request":{"no":2,"value":"ha');
    }
    await world.wait(random.next() * MIN_STORM);
    for (const socket of sockets) leave(socket, random);
    await closed(world, sockets);
    return true;
  },
};

const neverRead: Fault = {
  kind: 'never-read',
  weight: 1,
  async run(world, random) {
    const target = await leaderOrAny(world, random);
    const client = open(target).pause();
    const value = encodeKvRequest({ op: 'put', key: 'unread', value: 'u'.repeat(UNREAD_VALUE_CHARACTERS) });
    const get = encodeKvRequest({ op: 'get', key: 'unread' });
    client.write(`{"type":11}\n${JSON.stringify({ type: 7, request: { no: 1, value } })}\n`);
    for (let no = 2; no <= UNREAD_REQUESTS; no++) {
      client.write(`${JSON.stringify({ type: 7, request: { no, value: get } })}\n`);
    }
    const follower = open(target).pause();
    follower.write('{"type":13,"request":{"noset":true}}\n');
    await world.wait(random.next() * MAX_STAY_MS);
    client.destroy();
    follower.destroy();
    return true;
  },
};

const slowWriter: Fault = {
  kind: 'slow-writer',
  weight: 1,
  async run(world, random) {
    const socket = open(await leaderOrAny(world, random));
    socket.resume();
    const value = encodeKvRequest({ op: 'get', key: 'slowly' });
    const text = `{"type":11}\n${JSON.stringify({ type: 7, request: { no: 1, value } })}\n`;
    for (const byte of text) {
      if (world.over || socket.destroyed) break;
      socket.write(byte);
      await world.wait(SLOW_BYTE_MS);
    }
    socket.destroy();
    return true;
  },
};

const comeAndGo: Fault = {
  kind: 'come-and-go',
  weight: 1,
  async run(world, random) {
    for (let i = 0; i < MIN_STORM && !world.over; i++) {
      const socket = open(anyNode(world, random));
      socket.write('{"type":11}\n');
      await world.wait(random.next() * SLOW_BYTE_MS);
      leave(socket, random);
      await closed(world, [socket]);
    }
    return true;
  },
};

/** What strangers and clients do to nodes. */
export const CLIENT_FAULTS: readonly Fault[] = [
  ...[floodOfDatagrams, garbage, storm, overload],
  ...[breakOff, neverRead, slowWriter, comeAndGo],
];
