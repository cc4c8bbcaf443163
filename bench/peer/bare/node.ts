/**
 * One of three processes that do of the protocol only what no server can leave out, to show how near any program on
 * Node could come: `node.js FILE` follows, `node.js FILE PORT PORT` leads the followers at these UDP ports. The leader
 * gives each request a number, writes it to its file and to two datagrams, and answers when its own disk and one
 * follower have it. There are no rounds, no checks, no sessions, no application, and no recovery.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { LOOPBACK } from '../../paths.js';
import type { LogFile } from '../log-file.js';
import { MAX_DATAGRAM_TEXT, runPathNode, SEND_AGAIN_MS } from '../path-node.js';

/** Writes what datagrams hold, those of one flush together, and tells their sender the numbers of the groups. */
function follow(udp: UdpSocket, log: LogFile): void {
  let groups: number[] = [];
  let datagrams: Buffer[] = [];
  let busy = false;
  const flush = (leader: number): void => {
    if (groups.length === 0) return;
    const answer = JSON.stringify({ durable: groups });
    const bytes = datagrams.length === 1 && datagrams[0] ? datagrams[0] : Buffer.concat(datagrams);
    groups = [];
    datagrams = [];
    busy = true;
    log.append(bytes, () => {
      busy = false;
      udp.send(answer, leader, LOOPBACK);
      flush(leader);
    });
  };
  udp.on('message', (bytes, { port }) => {
    const header = JSON.parse(bytes.toString('latin1', 0, bytes.indexOf('\n'))) as { group: number };
    groups.push(header.group);
    datagrams.push(bytes);
    if (!busy) flush(port);
  });
}

interface Group {
  readonly number: number;
  text: string;
  /** Who gets an answer, and the answer, in turn. */
  readonly sockets: Socket[];
  readonly answers: string[];
  bytes: Buffer;
  sent_ms: number;
  durable_here: boolean;
  durable_there: boolean;
}

class Leader {
  /** Groups to be written; the last one takes requests. */
  #queue: Group[] = [];
  /** Groups that are sent and not answered. */
  readonly #open = new Map<number, Group>();
  #groups = 0;
  #entries = 0;
  #writing = false;
  #scheduled = false;

  constructor(
    private readonly udp: UdpSocket,
    private readonly log: LogFile,
    private readonly followers: readonly number[],
  ) {
    udp.on('message', (bytes) => {
      const { durable } = JSON.parse(bytes.toString('latin1')) as { durable: number[] };
      for (const number of durable) {
        const group = this.#open.get(number);
        if (group === undefined) continue;
        group.durable_there = true;
        this.#settle(group);
      }
    });
    setInterval(() => this.#sendAgain(), SEND_AGAIN_MS);
  }

  /** A request as it came, without its newline: `{"type":7,"request":{"no":NO,"value":VALUE}}`. */
  add(socket: Socket, id: number, line: string): void {
    const at = line.indexOf('"no":') + '"no":'.length;
    const comma = line.indexOf(',', at);
    const no = line.slice(at, comma);
    const entry = this.#entries++;
    const group = this.#groupFor(line.length);
    group.text += `{"entry":${entry},"id":${id},"asked":${line}}\n`;
    group.sockets.push(socket);
    // What follows the number is the value and two braces, one of them of `request`.
    const value = line.slice(comma, -1);
    group.answers.push(
      `{"type":8,"request":{"id":${id},"no":${no},"entry":${entry}},"entry":${entry}${value}\n`,
    );
    if (this.#writing || this.#scheduled) return;
    this.#scheduled = true;
    // All that one turn of the loop reads shares a group.
    setImmediate(() => {
      this.#scheduled = false;
      this.#writeNext();
    });
  }

  #groupFor(length: number): Group {
    const last = this.#queue.at(-1);
    if (last !== undefined && last.text.length + length < MAX_DATAGRAM_TEXT) return last;
    const group = {
      number: ++this.#groups,
      text: `{"group":${this.#groups}}\n`,
      sockets: [],
      answers: [],
      bytes: Buffer.alloc(0),
      sent_ms: 0,
      durable_here: false,
      durable_there: false,
    };
    this.#queue.push(group);
    return group;
  }

  #writeNext(): void {
    const group = this.#queue.shift();
    if (group === undefined) return;
    this.#writing = true;
    group.bytes = Buffer.from(group.text, 'latin1');
    this.#open.set(group.number, group);
    this.#send(group);
    this.log.append(group.bytes, () => {
      this.#writing = false;
      group.durable_here = true;
      this.#writeNext();
      this.#settle(group);
    });
  }

  #send(group: Group): void {
    group.sent_ms = performance.now();
    for (const port of this.followers) this.udp.send(group.bytes, port, LOOPBACK);
  }

  #sendAgain(): void {
    const before_ms = performance.now() - SEND_AGAIN_MS;
    for (const group of this.#open.values()) {
      if (!group.durable_there && group.sent_ms < before_ms) this.#send(group);
    }
  }

  /** Its own disk and one follower are two of three. */
  #settle(group: Group): void {
    if (!group.durable_here || !group.durable_there) return;
    this.#open.delete(group.number);
    const outputs = new Map<Socket, string>();
    for (const [i, socket] of group.sockets.entries()) {
      outputs.set(socket, (outputs.get(socket) ?? '') + (group.answers[i] ?? ''));
    }
    for (const [socket, output] of outputs) socket.write(output, 'latin1');
  }
}

await runPathNode({
  follow,
  lead: (udp, log, followers) => {
    const leader = new Leader(udp, log, followers);
    return (socket, id, line) => {
      if (line.startsWith('{"type":11')) socket.write(`{"type":10,"request":{"id":${id},"no":1}}\n`);
      else leader.add(socket, id, line);
    };
  },
});
