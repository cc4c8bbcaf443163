import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { LOOPBACK } from '../paths.js';
import { LogFile } from './log-file.js';

/** Of lines in a datagram, which carries 65,507 bytes. */
export const MAX_DATAGRAM_TEXT = 60_000;

/** What isn't answered was dropped by a full buffer; far beyond what a flush takes. */
export const SEND_AGAIN_MS = 200;

/** Some of the largest datagrams; the system gives what it allows. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** What a node of a path does; the rest is the same on all paths. */
export interface PathNode {
  readonly follow: (udp: UdpSocket, log: LogFile) => void;
  /** Leads the followers at these UDP ports; returns what is done with each line of a connection, by its number. */
  readonly lead: (
    udp: UdpSocket,
    log: LogFile,
    followers: readonly number[],
  ) => (socket: Socket, id: number, line: string) => void;
}

/** Runs the program `FILE`, a follower, or `FILE PORT PORT`, the leader of these. It ends with the bench. */
export async function runPathNode({ follow, lead }: PathNode): Promise<void> {
  const [path = '', ...followers] = process.argv.slice(2);
  const log = new LogFile(path);
  const udp = createSocket({
    type: 'udp4',
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    lookup: (address, _options, found) => found(null, address, 4), // every address is one already
  });
  const listening = once(udp, 'listening'); // which is said before `bind` returns
  udp.bind(0, LOOPBACK);
  await listening;
  process.once('disconnect', () => process.exit(0));
  if (followers.length === 0) {
    follow(udp, log);
    process.send?.(udp.address().port);
  } else {
    process.send?.(await serve(lead(udp, log, followers.map(Number))));
  }
}

/** Listens for clients; resolves with the port. */
async function serve(onLine: ReturnType<PathNode['lead']>): Promise<number> {
  let ids = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const id = ++ids;
    let rest = '';
    socket.on('error', () => undefined);
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(socket, id, line);
    });
  });
  server.listen({ port: 0, host: LOOPBACK, backlog: 1024 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
