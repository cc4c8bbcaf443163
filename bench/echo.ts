/**
 * What answers with as little work as can be, as a process of its own: datagrams and bytes sent back as they came, for
 * the floor, and ClientResponses to requests that nobody has logged, for the load generator's own ceiling.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { LOOPBACK } from './paths.js';

export interface EchoPorts {
  readonly udp: number;
  readonly tcp: number;
  readonly answers: number;
}

const NO_KEY = '"no":';

/** As long as an answer of the key-value application to a put of 64 bytes. */
const VALUE = JSON.stringify(JSON.stringify({ ok: true, value: 'v'.repeat(64) }));

async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  server.listen({ port: 0, host: LOOPBACK, backlog: 1024 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function answerRequests(socket: Socket): void {
  const id = 65_537;
  const { localPort = 0 } = socket;
  const from = `"fromaddress":"${LOOPBACK}","fromport":"${localPort}"`;
  let rest = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    const text = rest + chunk;
    let output = '';
    let start = 0;
    for (let end = text.indexOf('\n', start); end >= 0; end = text.indexOf('\n', start)) {
      if (text.startsWith('{"type":11', start)) {
        output += `{"type":10,${from},"request":{"id":${id},"no":1}}\n`;
      } else {
        const at = text.indexOf(NO_KEY, start) + NO_KEY.length;
        const no = text.slice(at, text.indexOf(',', at));
        output += `{"type":8,${from},"request":{"id":${id},"no":${no},"entry":${no}},"entry":${no},"value":${VALUE}}\n`;
      }
      start = end + 1;
    }
    rest = text.slice(start);
    socket.write(output, 'latin1');
  });
}

const udp = createSocket('udp4');
udp.on('message', (bytes, { address, port }) => udp.send(bytes, port, address));
udp.bind(0, LOOPBACK);
await once(udp, 'listening');
const tcp = await listen((socket) => void socket.on('data', (bytes) => socket.write(bytes)));
const answers = await listen(answerRequests);
process.once('disconnect', () => process.exit(0));
process.send?.({ udp: udp.address().port, tcp, answers } satisfies EchoPorts);
