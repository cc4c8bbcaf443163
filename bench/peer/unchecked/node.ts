/**
 * One of three processes that say and write all that the specification has them say and write for a request, and do
 * nothing to make it safe: `node.js FILE` follows, `node.js FILE PORT PORT` leads the followers at these UDP ports.
 * Each request is an AcceptRequest and an Accepted of its own, a record with a checksum in three files, a LogResponse
 * and an AppResponse, as JSON put together and taken apart by searching for what stands in a known place. Texts are
 * believed: there are no rounds, no sessions, no limits, no invariants, and no recovery.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { LOOPBACK } from '../../paths.js';
import { LogFile } from '../log-file.js';

/** A datagram carries 65,507 bytes. */
const MAX_DATAGRAM_BYTES = 60_000;

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** What isn't voted for was dropped by a full buffer; far beyond what a flush takes. */
const SEND_AGAIN_MS = 200;

/** More entries than any load keeps in flight; a power of two. */
const SLOTS = 1 << 16;

const NEWLINE = 0x0a;

/** Room for a checksum, which is filled in once the line's bytes are known. */
const CHECKSUM = '00000000 ';

const HEX = Array.from({ length: 256 }, (_, byte) =>
  Buffer.from(byte.toString(16).padStart(2, '0'), 'latin1').readUInt16LE(),
);

/** The bytes of lines that begin with CHECKSUM, each with the checksum of the rest of it. */
function checksummed(lines: string): Buffer {
  const bytes = Buffer.from(lines, 'latin1');
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, start);
    const sum = crc32(bytes.subarray(start + CHECKSUM.length, end));
    for (let i = 0; i < 4; i++) bytes.writeUInt16LE(HEX[(sum >>> (24 - 8 * i)) & 0xff] ?? 0, start + 2 * i);
    start = end + 1;
  }
  return bytes;
}

/** The number behind a name, from `start` on. */
function numberBehind(text: string, name: string, start = 0): number {
  return parseInt(text.slice(text.indexOf(name, start) + name.length, text.length), 10);
}

const COMMITTED = ',"committed":';
const ACCEPTED = '{"type":5,';

/** The request, entry, round and value of an AcceptRequest or an Accepted, as they stand in it. */
function bodyOf(text: string): string {
  const end = text.startsWith(ACCEPTED) ? -1 : text.lastIndexOf(COMMITTED);
  return text.slice(text.indexOf(',"request":'), end);
}

/** Sends lines in as few datagrams as hold them. */
function sendLines(udp: UdpSocket, lines: readonly string[], ports: readonly number[]): Buffer[] {
  const datagrams: Buffer[] = [];
  let text = '';
  for (const line of lines) {
    if (text.length + line.length > MAX_DATAGRAM_BYTES) {
      datagrams.push(Buffer.from(text, 'latin1'));
      text = '';
    }
    text += line;
  }
  datagrams.push(Buffer.from(text, 'latin1'));
  for (const datagram of datagrams) for (const port of ports) udp.send(datagram, port, LOOPBACK);
  return datagrams;
}

/** Writes what datagrams ask for, those of one flush together, and accepts each. */
function follow(udp: UdpSocket, log: LogFile): void {
  const sender = senderOf(udp);
  let bodies: string[] = [];
  let busy = false;
  const flush = (leader: number): void => {
    if (bodies.length === 0) return;
    const accepted = bodies.map((body) => `{"type":5${sender}${body}}\n`);
    const records = bodies.map((body) => `${CHECKSUM}accepted {"type":4${sender}${body}}\n`).join('');
    bodies = [];
    busy = true;
    log.append(checksummed(records), () => {
      busy = false;
      sendLines(udp, accepted, [leader]);
      flush(leader);
    });
  };
  udp.on('message', (bytes, { port }) => {
    for (const line of bytes.toString('latin1', 0, bytes.length - 1).split('\n')) bodies.push(bodyOf(line));
    if (!busy) flush(port);
  });
}

function senderOf(udp: UdpSocket): string {
  return `,"fromaddress":"${LOOPBACK}","fromport":"${udp.address().port}"`;
}

interface Slot {
  readonly entry: number;
  readonly socket: Socket;
  readonly request: string;
  /** The value's JSON text. */
  readonly value: string;
  readonly body: string;
  voted: boolean;
}

/** Joins what leaves over a connection in one turn. */
class Outputs {
  readonly #texts = new Map<Socket, string>();

  add(socket: Socket, line: string): void {
    if (this.#texts.size === 0) setImmediate(() => this.#leave());
    this.#texts.set(socket, (this.#texts.get(socket) ?? '') + line);
  }

  #leave(): void {
    for (const [socket, text] of this.#texts) socket.write(text, 'latin1');
    this.#texts.clear();
  }
}

class Leader {
  readonly #slots = new Array<Slot | undefined>(SLOTS).fill(undefined);
  readonly #sender: string;
  readonly #outputs = new Outputs();
  /** Those that wait to be proposed. */
  #waiting: Slot[] = [];
  #entries = 1;
  #durable = 1;
  #committed = 1;
  #writing = false;
  #scheduled = false;
  /** What was sent last, in case it gets lost. */
  #sent: { readonly datagrams: readonly Buffer[]; readonly end: number; readonly at_ms: number } | undefined;
  #app: Socket | undefined;

  constructor(
    private readonly udp: UdpSocket,
    private readonly log: LogFile,
    private readonly followers: readonly number[],
  ) {
    this.#sender = senderOf(udp);
    udp.on('message', (bytes) => {
      for (const line of bytes.toString('latin1', 0, bytes.length - 1).split('\n')) this.#count(bodyOf(line));
      this.#advance();
    });
    setInterval(() => this.#sendAgain(), SEND_AGAIN_MS);
  }

  /** The application's connection; what came before it has waited for it. */
  register(app: Socket): void {
    this.#app = app;
    this.#advance();
  }

  /** A request without its newline: `{"type":7,"request":{"no":NO,"value":VALUE}}`. */
  propose(socket: Socket, id: number, line: string): void {
    const at = line.indexOf('"no":') + '"no":'.length;
    const comma = line.indexOf(',', at);
    const no = line.slice(at, comma);
    const value = line.slice(comma + ',"value":'.length, -2);
    const entry = this.#entries++;
    const request = `,"request":{"id":${id},"no":${no},"entry":${entry}},"entry":${entry}`;
    const body = `${request},"round":1,"value":${value}`;
    const slot = { entry, socket, request, value, body, voted: false };
    this.#slots[entry % SLOTS] = slot;
    this.#waiting.push(slot);
    if (this.#writing || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#writeNext();
    });
  }

  #writeNext(): void {
    const group = this.#waiting;
    if (group.length === 0) return;
    this.#waiting = [];
    this.#writing = true;
    const texts = group.map(({ body }) => `{"type":4${this.#sender}${body}${COMMITTED}${this.#committed}}\n`);
    const end = (group.at(-1)?.entry ?? 0) + 1;
    this.#sent = { datagrams: sendLines(this.udp, texts, this.followers), end, at_ms: performance.now() };
    this.log.append(checksummed(texts.map((text) => `${CHECKSUM}accepted ${text}`).join('')), () => {
      this.#writing = false;
      this.#durable = end;
      this.#writeNext();
      this.#advance();
    });
  }

  #count(body: string): void {
    const slot = this.#slots[numberBehind(body, '"entry":') % SLOTS];
    if (slot?.body === body) slot.voted = true;
  }

  #sendAgain(): void {
    const sent = this.#sent;
    if (sent === undefined || this.#committed >= sent.end || performance.now() - sent.at_ms < SEND_AGAIN_MS)
      return;
    for (const datagram of sent.datagrams)
      for (const port of this.followers) this.udp.send(datagram, port, LOOPBACK);
  }

  /** Its own disk and one follower are two of three. */
  #advance(): void {
    if (this.#app === undefined) return;
    let log = '';
    for (; this.#committed < this.#durable; this.#committed++) {
      const slot = this.#slots[this.#committed % SLOTS];
      if (slot?.voted !== true) break;
      log += `{"type":12${this.#sender}${slot.request},"value":${slot.value}}\n`;
    }
    if (log !== '') this.#app.write(log, 'latin1');
  }

  /** An AppResponse: `{"type":14,"request":…,"entry":ENTRY,"value":VALUE}`. */
  answer(line: string): void {
    const at = line.indexOf('},"entry":');
    const slot = this.#slots[numberBehind(line, '},"entry":', at) % SLOTS];
    if (slot === undefined) return;
    const value = line.slice(line.indexOf(',"value":', at));
    this.#outputs.add(slot.socket, `{"type":8${this.#sender}${slot.request}${value}\n`);
  }
}

/** Listens for clients and the application; resolves with the port. */
async function serve(leader: Leader): Promise<number> {
  let ids = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const id = ++ids;
    let rest = '';
    socket.on('error', () => undefined);
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('{"type":7')) leader.propose(socket, id, line);
        else if (line.startsWith('{"type":14')) leader.answer(line);
        else if (line.startsWith('{"type":13')) leader.register(socket);
        else socket.write(`{"type":10,"request":{"id":${id},"no":1}}\n`);
      }
    });
  });
  server.listen({ port: 0, host: LOOPBACK, backlog: 1024 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

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
  process.send?.(await serve(new Leader(udp, log, followers.map(Number))));
}
