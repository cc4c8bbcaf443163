/**
 * One of three processes that say and write what those of the unchecked path do, and look at what they are told:
 * `node.js FILE` follows, `node.js FILE PORT PORT` leads the followers at these UDP ports. Each message is read by
 * JSON.parse and each of its fields looked at; a follower compares rounds, keeps what it has accepted, and learns from the
 * commit index what is chosen; everybody folds that into sessions, so that no request is executed twice, and keeps the
 * latest. A group begins when all that was proposed before is chosen. There are no elections, no limits, no invariants, no
 * catching up and no recovery, and so no Heartbeats and no commit indices in the files.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { MessageType } from '../../../src/core/message.js';
import { LOOPBACK } from '../../paths.js';
import type { LogFile } from '../log-file.js';
import { runPathNode, SEND_AGAIN_MS } from '../path-node.js';
import { Group, Outputs, senderOf, sendLines } from '../path-parts.js';

/** Chosen entries that are kept in memory, and numbers of a session. */
const KEPT_ENTRIES = 4096;
const KEPT_NUMBERS = 1024;

/** How far ahead of what is chosen a follower accepts. */
const WINDOW_ENTRIES = 65_536;

const MAX_VALUE_LENGTH = 60_000;

const ROUND = 1;

interface Vote {
  readonly type: typeof MessageType.AcceptRequest | typeof MessageType.Accepted;
  readonly fromaddress: string;
  readonly fromport: string;
  readonly request: { readonly id: number; readonly no: number; readonly entry: number };
  readonly entry: number;
  readonly round: number;
  readonly value: string;
  readonly committed?: number;
}

/** What may be a T: nothing is known of its fields. */
type Unknown<T> = Readonly<Partial<Record<keyof T, unknown>>>;

function isCount(n: unknown): n is number {
  return typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
}

function isValue(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_VALUE_LENGTH;
}

/** The object that a text is; undefined if it is none. */
function parsed(text: string): Unknown<Vote> | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? found : undefined;
  } catch {
    return undefined;
  }
}

function isVote(m: Unknown<Vote>): m is Vote {
  const request = m.request as Unknown<Vote['request']> | null | undefined;
  return (
    (m.type === MessageType.AcceptRequest || m.type === MessageType.Accepted) &&
    typeof request === 'object' &&
    request !== null &&
    isCount(request.id) &&
    isCount(request.no) &&
    isCount(m.entry) &&
    request.entry === m.entry &&
    isCount(m.round) &&
    isValue(m.value) &&
    (m.committed === undefined || isCount(m.committed))
  );
}

/** The votes, or what asks for them, that a datagram of this agent holds. */
function votesIn(bytes: Buffer, type: Vote['type'], port: number): Vote[] {
  const votes: Vote[] = [];
  for (const line of bytes.toString('latin1', 0, bytes.length - 1).split('\n')) {
    const vote = parsed(line);
    if (vote === undefined || !isVote(vote) || vote.type !== type) continue;
    if (vote.fromaddress === LOOPBACK && vote.fromport === String(port)) votes.push(vote);
  }
  return votes;
}

interface Decree {
  readonly id: number;
  readonly no: number;
  readonly value: string;
}

function isSame(a: Decree, b: Decree): boolean {
  return a.id === b.id && a.no === b.no && a.value === b.value;
}

/** What is chosen, from the first entry to the commit index, as far as it is kept. */
class Chosen {
  committed = 1;
  readonly #sessions = new Map<number, Map<number, number>>();
  /** The latest, as a node keeps them for who asks; here nobody does. */
  readonly #decrees = new Array<Decree | undefined>(KEPT_ENTRIES).fill(undefined);

  /** Whether a request was executed. */
  has(id: number, no: number): boolean {
    return this.#sessions.get(id)?.has(no) === true;
  }

  /** Takes the next entry; tells whether its request is to be executed. */
  add(decree: Decree): boolean {
    const { id, no } = decree;
    const entry = this.committed++;
    this.#decrees[entry % KEPT_ENTRIES] = decree;
    const session = this.#sessions.get(id) ?? new Map<number, number>();
    if (session.size === 0) this.#sessions.set(id, session);
    if (session.has(no)) return false;
    session.set(no, entry);
    if (session.size <= KEPT_NUMBERS) return true;
    const [oldest = no] = session.keys();
    return session.delete(oldest);
  }
}

/** What an AcceptRequest and an Accepted have in common. */
function voteBody({ id, no, value }: Decree, entry: number, round: number): string {
  const request = `{"id":${id},"no":${no},"entry":${entry}}`;
  return `,"request":${request},"entry":${entry},"round":${round},"value":${JSON.stringify(value)}`;
}

class Follower {
  readonly #sender: string;
  readonly #group = new Group();
  readonly #chosen = new Chosen();
  readonly #accepted = new Map<number, { readonly round: number; readonly decree: Decree }>();
  #promised = 0;
  /** What waits for the flush after the one under way. */
  #answers: string[] = [];
  #busy = false;

  constructor(
    private readonly udp: UdpSocket,
    private readonly log: LogFile,
  ) {
    this.#sender = senderOf(udp);
    udp.on('message', (bytes, { port }) => {
      for (const vote of votesIn(bytes, MessageType.AcceptRequest, port)) this.#accept(vote);
      if (!this.#busy) this.#flush(port);
    });
  }

  #accept(asked: Vote): void {
    const { request, entry, round, value, fromaddress, fromport, committed = 0 } = asked;
    if (round < this.#promised || entry >= Math.max(this.#chosen.committed, committed) + WINDOW_ENTRIES)
      return;
    this.#promised = round;
    const decree = { id: request.id, no: request.no, value };
    const before = this.#accepted.get(entry);
    if (before?.round === round && !isSame(before.decree, decree)) return;
    const body = voteBody(decree, entry, round);
    if (before?.round !== round && entry >= this.#chosen.committed) {
      this.#accepted.set(entry, { round, decree });
      this.#group.add(`accepted {"type":4,"fromaddress":"${fromaddress}","fromport":"${fromport}"${body}}`);
    }
    this.#answers.push(`{"type":5${this.#sender}${body}}\n`);
    this.#learn(round, committed);
  }

  /** What was accepted at the leader's round, up to its commit index, is chosen. */
  #learn(round: number, committed: number): void {
    for (let entry = this.#chosen.committed; entry < committed; entry++) {
      const accepted = this.#accepted.get(entry);
      if (accepted?.round !== round) return;
      this.#accepted.delete(entry);
      this.#chosen.add(accepted.decree);
    }
  }

  #flush(leader: number): void {
    if (this.#answers.length === 0) return;
    const answers = this.#answers;
    this.#answers = [];
    this.#busy = true;
    this.#group.write(this.log, () => {
      this.#busy = false;
      sendLines(this.udp, answers, [leader]);
      this.#flush(leader);
    });
  }
}

interface Proposal {
  readonly entry: number;
  readonly socket: Socket;
  readonly decree: Decree;
  /** Whether a follower has. */
  voted: boolean;
}

class Leader {
  readonly #proposals = new Map<number, Proposal>();
  /** Requests that are proposed and not chosen yet, as `ID.NO`. */
  readonly #open = new Set<string>();
  /** What the application was sent, and has not answered. */
  readonly #asked = new Map<number, Proposal>();
  readonly #chosen = new Chosen();
  readonly #sender: string;
  readonly #outputs = new Outputs();
  readonly #group = new Group();
  /** Those that wait to be proposed. */
  #waiting: Proposal[] = [];
  /** Behind the last entry that has a number, was sent, is on the own disk. */
  #entries = 1;
  #proposed = 1;
  #durable = 1;
  /** The entry that the application answers next. */
  #answered = 1;
  #scheduled = false;
  #sent_ms = 0;
  #app: Socket | undefined;

  constructor(
    private readonly udp: UdpSocket,
    private readonly log: LogFile,
    private readonly followers: readonly number[],
  ) {
    this.#sender = senderOf(udp);
    udp.on('message', (bytes, { port }) => {
      if (!followers.includes(port)) return;
      for (const vote of votesIn(bytes, MessageType.Accepted, port)) this.#count(vote);
      this.#advance();
    });
    setInterval(() => this.#sendAgain(), SEND_AGAIN_MS);
  }

  /** Takes what a client or the application said; `id` is the number of its connection. */
  take(socket: Socket, id: number, line: string): void {
    const message = parsed(line);
    switch (message?.type) {
      case MessageType.ClientRequest:
        return this.#propose(socket, id, message.request as Unknown<Decree> | null | undefined);
      case MessageType.ClientConnectRequest:
        socket.write(`{"type":10,"request":{"id":${id},"no":1}}\n`);
        return;
      case MessageType.ClientApp:
        this.#app = socket;
        return this.#advance();
      case MessageType.AppResponse:
        return this.#answer(message);
    }
  }

  #propose(socket: Socket, id: number, request: Unknown<Decree> | null | undefined): void {
    if (typeof request !== 'object' || request === null) return;
    const { no, value } = request;
    if (!isCount(no) || !isValue(value)) return;
    const name = `${id}.${no}`;
    if (this.#chosen.has(id, no) || this.#open.has(name)) return;
    this.#open.add(name);
    const proposal = { entry: this.#entries++, socket, decree: { id, no, value }, voted: false };
    this.#proposals.set(proposal.entry, proposal);
    this.#waiting.push(proposal);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#writeNext();
    });
  }

  /** Begins the next group, if all that was proposed before is chosen. */
  #writeNext(): void {
    const group = this.#waiting;
    if (group.length === 0 || this.#chosen.committed < this.#proposed || this.#durable < this.#proposed)
      return;
    this.#waiting = [];
    const bodies = group.map(({ decree, entry }) => voteBody(decree, entry, ROUND));
    this.#send(bodies);
    this.#proposed += group.length;
    const proposed = this.#proposed;
    for (const body of bodies) this.#group.add(`accepted {"type":4${this.#sender}${body}}`);
    this.#group.write(this.log, () => {
      this.#durable = proposed;
      this.#advance();
    });
  }

  #send(bodies: readonly string[]): void {
    this.#sent_ms = performance.now();
    const committed = `,"committed":${this.#chosen.committed}}\n`;
    sendLines(
      this.udp,
      bodies.map((body) => `{"type":4${this.#sender}${body}${committed}`),
      this.followers,
    );
  }

  #count({ request, entry, round, value }: Vote): void {
    const proposal = this.#proposals.get(entry);
    if (proposal === undefined || round !== ROUND) return;
    if (isSame(proposal.decree, { id: request.id, no: request.no, value })) proposal.voted = true;
  }

  /** All that is not chosen, when nothing was sent for so long. */
  #sendAgain(): void {
    if (performance.now() - this.#sent_ms < SEND_AGAIN_MS) return;
    const bodies: string[] = [];
    for (let entry = this.#chosen.committed; entry < this.#proposed; entry++) {
      const proposal = this.#proposals.get(entry);
      if (proposal !== undefined) bodies.push(voteBody(proposal.decree, entry, ROUND));
    }
    if (bodies.length > 0) this.#send(bodies);
  }

  /** Its own disk and one follower are two of three. */
  #advance(): void {
    const app = this.#app;
    if (app === undefined) return;
    let log = '';
    for (let entry = this.#chosen.committed; entry < this.#durable; entry++) {
      const proposal = this.#proposals.get(entry);
      if (proposal?.voted !== true) break;
      const { id, no, value } = proposal.decree;
      this.#proposals.delete(entry);
      this.#open.delete(`${id}.${no}`);
      if (!this.#chosen.add(proposal.decree)) continue;
      this.#asked.set(entry, proposal);
      const request = `{"id":${id},"no":${no},"entry":${entry}}`;
      log += `{"type":12${this.#sender},"request":${request},"entry":${entry},"value":${JSON.stringify(value)}}\n`;
    }
    this.#writeNext();
    if (log !== '') app.write(log, 'latin1');
  }

  #answer({ entry, value }: Unknown<Vote>): void {
    if (entry !== this.#answered || !isValue(value)) return;
    const asked = this.#asked.get(entry);
    if (asked === undefined) return;
    this.#answered++;
    this.#asked.delete(entry);
    const { id, no } = asked.decree;
    const request = `{"id":${id},"no":${no},"entry":${entry}}`;
    const answer = `{"type":8${this.#sender},"request":${request},"entry":${entry},"value":${JSON.stringify(value)}}\n`;
    this.#outputs.add(asked.socket, answer);
  }
}

await runPathNode({
  follow: (udp, log) => new Follower(udp, log),
  lead: (udp, log, followers) => {
    const leader = new Leader(udp, log, followers);
    return (socket, id, line) => leader.take(socket, id, line);
  },
});
