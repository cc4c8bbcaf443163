/**
 * One of three processes that say and write all that the specification has them say and write for a request, and do
 * nothing to make it safe: `node.js FILE` follows, `node.js FILE PORT PORT` leads the followers at these UDP ports.
 * Each request is an AcceptRequest and an Accepted of its own, a record with a checksum in three files, a LogResponse
 * and an AppResponse, as JSON put together and taken apart by searching for what stands in a known place. Texts are
 * believed: there are no rounds, no sessions, no limits, no invariants, and no recovery, and so no Heartbeats and
 * no commit indices in the files.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { LogFile } from '../log-file.js';
import { runPathNode, SEND_AGAIN_MS } from '../path-node.js';
import { Group, Outputs, senderOf, sendLines } from '../path-parts.js';

/** More entries than any load keeps in flight; a power of two. */
const SLOTS = 1 << 16;

/** The number behind a name, from `start` on. */
function numberBehind(text: string, name: string, start = 0): number {
  return parseInt(text.slice(text.indexOf(name, start) + name.length), 10);
}

const COMMITTED = ',"committed":';

/** The request, entry, round and value of an AcceptRequest or an Accepted, as they stand in it up to `end`. */
function bodyOf(text: string, end: number): string {
  return text.slice(text.indexOf(',"request":'), end);
}

/** Writes what datagrams ask for, those of one flush together, and accepts each. */
function follow(udp: UdpSocket, log: LogFile): void {
  const sender = senderOf(udp);
  const group = new Group();
  let accepted: string[] = [];
  let busy = false;
  const flush = (leader: number): void => {
    if (accepted.length === 0) return;
    const answers = accepted;
    accepted = [];
    busy = true;
    group.write(log, () => {
      busy = false;
      sendLines(udp, answers, [leader]);
      flush(leader);
    });
  };
  udp.on('message', (bytes, { port }) => {
    for (const line of bytes.toString('latin1', 0, bytes.length - 1).split('\n')) {
      const end = line.lastIndexOf(COMMITTED);
      accepted.push(`{"type":5${sender}${bodyOf(line, end)}}\n`);
      group.add(`accepted ${line.slice(0, end)}}`);
    }
    if (!busy) flush(port);
  });
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

class Leader {
  readonly #slots = new Array<Slot | undefined>(SLOTS).fill(undefined);
  readonly #sender: string;
  readonly #outputs = new Outputs();
  readonly #group = new Group();
  /** Those that wait to be proposed. */
  #waiting: Slot[] = [];
  /** Behind the last entry that has a number, was sent, is on the own disk, is chosen. */
  #entries = 1;
  #proposed = 1;
  #durable = 1;
  #committed = 1;
  #writing = false;
  #scheduled = false;
  #sent_ms = 0;
  #app: Socket | undefined;

  constructor(
    private readonly udp: UdpSocket,
    private readonly log: LogFile,
    private readonly followers: readonly number[],
  ) {
    this.#sender = senderOf(udp);
    udp.on('message', (bytes) => {
      for (const line of bytes.toString('latin1', 0, bytes.length - 1).split('\n'))
        this.#count(bodyOf(line, -1));
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
    this.#send(group);
    this.#proposed = (group.at(-1)?.entry ?? 0) + 1;
    const proposed = this.#proposed;
    for (const { body } of group) this.#group.add(`accepted ${this.#asking(body)}}`);
    this.#group.write(this.log, () => {
      this.#writing = false;
      this.#durable = proposed;
      this.#writeNext();
      this.#advance();
    });
  }

  #asking(body: string): string {
    return `{"type":4${this.#sender}${body}`;
  }

  #send(group: readonly Slot[]): void {
    this.#sent_ms = performance.now();
    const committed = `${COMMITTED}${this.#committed}}\n`;
    sendLines(
      this.udp,
      group.map(({ body }) => this.#asking(body) + committed),
      this.followers,
    );
  }

  #count(body: string): void {
    const slot = this.#slots[numberBehind(body, '"entry":') % SLOTS];
    if (slot?.body === body) slot.voted = true;
  }

  /** All that is not chosen, when nothing was sent for so long. */
  #sendAgain(): void {
    if (this.#committed === this.#proposed || performance.now() - this.#sent_ms < SEND_AGAIN_MS) return;
    const open: Slot[] = [];
    for (let entry = this.#committed; entry < this.#proposed; entry++) {
      const slot = this.#slots[entry % SLOTS];
      if (slot !== undefined) open.push(slot);
    }
    this.#send(open);
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

await runPathNode({
  follow,
  lead: (udp, log, followers) => {
    const leader = new Leader(udp, log, followers);
    return (socket, id, line) => {
      if (line.startsWith('{"type":7')) leader.propose(socket, id, line);
      else if (line.startsWith('{"type":14')) leader.answer(line);
      else if (line.startsWith('{"type":13')) leader.register(socket);
      else socket.write(`{"type":10,"request":{"id":${id},"no":1}}\n`);
    };
  },
});
