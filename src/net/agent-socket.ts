import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

import { formatAddress, sameAddress, type Address } from '../core/address.js';
import { agentIndex, type AgentIndex } from '../core/ids.js';
import { MAX_DATAGRAM_BYTES } from '../core/limits.js';
import {
  isPeerMessage,
  MESSAGE_NAMES,
  MessageType,
  type Message,
  type PeerMessage,
} from '../core/message.js';
import { decodeMessage, encodeMessage } from '../wire/codec.js';
import { DatagramJoiner, DatagramPacker, splitDatagram, type Split } from '../wire/datagram.js';
import { ProposalReader } from '../wire/proposal-reader.js';
import { CoalescingEvidence } from './coalescing.js';
import { DatagramSize } from './datagram-size.js';
import { errorCode, listenError } from './listen-error.js';
import { limitedLog, type Log } from './logging.js';
import { separately, type Together } from './together.js';
import { TokenBucket } from './token-bucket.js';

/** Asked of the system for each direction: a burst of a few dozen full datagrams. It may give less. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * Bytes that may wait in the process because the system takes no more. Past it the newest are dropped, as UDP may
 * lose anything: what waits is as old as the trouble, and what is still wanted then is retransmitted.
 */
const MAX_SEND_QUEUE_BYTES = 8 * 1024 * 1024;

/** Heartbeats may exceed that: they are small and few, and without them a busy leader would be deposed. */
const MAX_HEARTBEAT_QUEUE_BYTES = MAX_SEND_QUEUE_BYTES + 1024 * 1024;

/**
 * Nacks towards one peer. One tells it all; more are answers to a pipeline that was under way, or to a flood, and must
 * not become one (spec.md, "Limits").
 */
const NACK_RATE = { burst: 50, per_s: 100 };

/** Reads of 32 datagrams each that `drain` waits for at most: more than a receive buffer of small ones holds. */
const MAX_DRAIN_ROUNDS = 512;

/** Why a datagram, or a message in one, was dropped: on the way in, or (the last four) on the way out. */
export type DropCode =
  | 'datagram-stranger'
  | 'datagram-malformed'
  | 'datagram-forged'
  | 'datagram-not-allowed'
  | 'receive-error'
  | 'nack-limited'
  | 'send-too-large'
  | 'send-queue-full'
  | 'send-error';

export interface AgentSocketOptions {
  readonly self: AgentIndex;
  /** All agents, sorted; the own address is where the socket is bound. */
  readonly agents: readonly Address[];
  /** A validated message of types 1 to 6 from a configured peer. */
  onMessage(from: AgentIndex, message: PeerMessage): void;
  /** A peer said Done. */
  onDone(from: AgentIndex): void;
  /** Something was dropped; for counting. */
  onDropped(code: DropCode): void;
  /** For the messages of one datagram; absent: each is handled by itself. */
  readonly together?: Together;
  readonly log: Log;
  /** Milliseconds of a clock that never goes back; for tests. */
  readonly now_ms?: () => number;
}

/** UDP between agents (spec.md, "Encoding"). Sends are best effort: they may be lost, and nothing is reported. */
export interface AgentSocket {
  /**
   * Sends a message. Those of one turn to the same peer share datagrams, unless the peer is not known to understand
   * that or `alone` is set; they leave at the turn's end. The message object must not change: a broadcast of the same
   * object is encoded once.
   */
  send(to: AgentIndex, message: PeerMessage, alone: boolean): void;
  /** Lets what waits for the end of the turn leave now. */
  flush(): void;
  /** Resolves when what had arrived before has been read and handed on; to be awaited before a timer is believed. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Binds the agent's own address. Rejects with a `ListenError` that says what to do if it can't be had.
 *
 * Accepted are only datagrams whose source is a configured peer and whose objects all name that peer as sender; what
 * comes from elsewhere is dropped before it is parsed. A malformed object is dropped alone, and nothing that is
 * dropped is ever answered (spec.md, "Limits").
 */
export async function openAgentSocket(options: AgentSocketOptions): Promise<AgentSocket> {
  const socket = new BoundSocket(options);
  await socket.bind();
  return socket;
}

/** One peer, and what waits to be sent to it at the end of this turn. */
interface Peer {
  readonly index: AgentIndex;
  readonly address: Address;
  readonly port: number;
  readonly packer: DatagramPacker;
  readonly reader: ProposalReader;
  readonly evidence: CoalescingEvidence;
  readonly size: DatagramSize;
  readonly nacks: TokenBucket;
  /** Whether a heartbeat is among what waits. */
  urgent: boolean;
  /** Whether it understands coalesced datagrams, as found when it was sent something first in this turn. */
  coalesces: boolean;
}

/** The text of a message, and its length in UTF-8. */
interface Encoded {
  readonly message: PeerMessage;
  readonly text: string;
  readonly size_bytes: number;
}

class BoundSocket implements AgentSocket {
  readonly #options: AgentSocketOptions;
  readonly #self: Address;
  readonly #log: Log;
  readonly #now_ms: () => number;
  readonly #together: Together;
  readonly #socket: Socket;
  readonly #peers = new Map<AgentIndex, Peer>();
  /** Peers by `ADDRESS:PORT`. */
  readonly #by_source = new Map<string, Peer>();
  /** Peers that something was sent to in this turn. */
  readonly #touched = new Set<Peer>();
  readonly #probe: string;
  readonly #joiner = new DatagramJoiner();
  #encoded: Encoded | undefined;
  #turn_end: NodeJS.Immediate | undefined;
  #received = 0;
  #state: 'binding' | 'bound' | 'closed' = 'binding';

  constructor(options: AgentSocketOptions) {
    const self = options.agents[options.self];
    if (self === undefined) throw new RangeError(`agent ${options.self} is not among the agents`);
    this.#options = options;
    this.#self = self;
    this.#now_ms = options.now_ms ?? (() => performance.now());
    this.#together = options.together ?? separately;
    this.#log = limitedLog(options.log, this.#now_ms);
    const empty = encodeMessage({ type: MessageType.Empty }, self);
    this.#probe = `${empty}\n${empty}`;
    options.agents.forEach((address, index) => {
      if (!sameAddress(address, self)) this.#addPeer(agentIndex(index), address);
    });
    this.#socket = createSocket({
      type: 'udp4',
      // Agents are named by dotted addresses: there is nothing to look up.
      lookup: (host, _options, callback) => callback(null, host, 4),
    });
  }

  #addPeer(index: AgentIndex, address: Address): void {
    const peer: Peer = {
      index,
      address,
      port: Number(address.port),
      packer: new DatagramPacker(undefined, this.#joiner),
      reader: new ProposalReader(address),
      evidence: new CoalescingEvidence(),
      size: new DatagramSize(this.#now_ms()),
      nacks: new TokenBucket({ ...NACK_RATE, now_ms: this.#now_ms }),
      urgent: false,
      coalesces: false,
    };
    this.#peers.set(index, peer);
    this.#by_source.set(formatAddress(address), peer);
  }

  async bind(): Promise<void> {
    const { address, port } = this.#self;
    await new Promise<void>((resolve, reject) => {
      this.#socket.on('error', (error) => {
        if (this.#state === 'binding') reject(listenError(error, 'UDP', this.#self));
        else this.#dropped('receive-error', `reading from the socket failed (${errorCode(error)})`);
      });
      this.#socket.on('message', (bytes, source) => this.#receive(bytes, source));
      this.#socket.bind({ address, port: Number(port), exclusive: true }, () => {
        this.#state = 'bound';
        resolve();
      });
    });
    this.#enlargeBuffers();
  }

  send(to: AgentIndex, message: PeerMessage, alone: boolean): void {
    const peer = this.#peers.get(to);
    if (peer === undefined) throw new RangeError(`agent ${to} is not a peer of agent ${this.#options.self}`);
    if (this.#state === 'closed') return;
    if (message.type === MessageType.Nack && !peer.nacks.take()) {
      this.#options.onDropped('nack-limited');
      return;
    }
    if (alone) peer.size.alone(message, this.#now_ms());
    this.#touch(peer, message);
    const encoded = this.#encode(message);
    const urgent = message.type === MessageType.Heartbeat;
    if (alone || !peer.coalesces) {
      // What was sent before goes first, so that order is kept as far as UDP keeps it.
      this.#flushPeer(peer);
      this.#transmit(peer, Buffer.from(encoded.text), urgent);
    } else {
      this.#pack(peer, encoded, urgent);
      peer.size.packed(message);
    }
  }

  drain(): Promise<void> {
    return new Promise((resolve) => {
      let rounds = 0;
      let received = this.#received;
      const look = (): void => {
        rounds++;
        // The first round may have begun after this turn's polling: only a quiet one after it proves anything.
        const quiet = rounds > 1 && this.#received === received;
        received = this.#received;
        if (quiet || rounds >= MAX_DRAIN_ROUNDS || this.#state === 'closed') resolve();
        else setImmediate(look);
      };
      setImmediate(look);
    });
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.flush();
    this.#state = 'closed';
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #enlargeBuffers(): void {
    try {
      this.#socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
      this.#socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
    } catch {
      // The system's default serves too: what a burst loses is retransmitted.
    }
  }

  #receive(bytes: Buffer, source: RemoteInfo): void {
    this.#received++;
    if (this.#state !== 'bound') return;
    const from = `${source.address}:${source.port}`;
    const peer = this.#by_source.get(from);
    if (peer === undefined) {
      this.#dropped('datagram-stranger', `dropped a datagram of ${from}, which is no agent of this cluster`);
      return;
    }
    peer.size.received(bytes.length, this.#now_ms());
    const messages = peer.reader.readAll(bytes) ?? this.#readAny(peer, bytes);
    if (messages === undefined) return;
    if (messages.length > 1) peer.evidence.heard(this.#now_ms());
    this.#together(() => {
      for (const message of messages) {
        peer.size.hears(message);
        this.#deliver(peer, message);
      }
    });
  }

  /** The well-formed messages of any datagram; undefined if it is dropped as a whole. */
  #readAny(peer: Peer, bytes: Buffer): Message[] | undefined {
    const datagram = splitDatagram(bytes);
    if (datagram.ok) return this.#decode(peer, datagram);
    const from = formatAddress(peer.address);
    this.#dropped('datagram-malformed', `dropped a datagram of ${from}: ${datagram.reason}`);
    return undefined;
  }

  /** The well-formed messages of its texts; undefined if one of them names another sender than its source. */
  #decode(peer: Peer, { text, bounds }: Split & { readonly ok: true }): Message[] | undefined {
    const messages: Message[] = [];
    for (let i = 0; i < bounds.length; i += 2) {
      const decoded = decodeMessage(text, bounds[i], bounds[i + 1]);
      if (!decoded.ok) {
        const from = formatAddress(peer.address);
        this.#dropped('datagram-malformed', `dropped a message of ${from}: ${decoded.code}: ${decoded.text}`);
      } else if (decoded.from === undefined || !sameAddress(decoded.from, peer.address)) {
        const claim = decoded.from === undefined ? 'nobody' : formatAddress(decoded.from);
        const from = formatAddress(peer.address);
        this.#dropped('datagram-forged', `dropped a datagram of ${from} that names ${claim} as its sender`);
        return undefined;
      } else messages.push(decoded.message);
    }
    return messages;
  }

  #deliver(peer: Peer, message: Message): void {
    // A handler before this one may have closed the socket.
    if (this.#state !== 'bound') return;
    if (isPeerMessage(message)) this.#options.onMessage(peer.index, message);
    else if (message.type === MessageType.Done) this.#options.onDone(peer.index);
    else if (message.type !== MessageType.Empty) {
      const name = MESSAGE_NAMES[message.type] ?? 'a message';
      const from = formatAddress(peer.address);
      this.#dropped('datagram-not-allowed', `dropped ${name} of ${from}: agents don't say it to each other`);
    }
  }

  /** A message as it is sent. A broadcast sends the same object to one peer after another. */
  #encode(message: PeerMessage): Encoded {
    if (this.#encoded?.message !== message) {
      const text = encodeMessage(message, this.#self);
      this.#encoded = { message, text, size_bytes: Buffer.byteLength(text) };
    }
    return this.#encoded;
  }

  #touch(peer: Peer, message: PeerMessage): void {
    if (!this.#touched.has(peer)) {
      const now_ms = this.#now_ms();
      this.#touched.add(peer);
      peer.coalesces = peer.evidence.understood(now_ms);
      peer.packer.resize(peer.size.bytes(message, now_ms));
    }
    // Not a microtask: those run after every single datagram read, an immediate after all those read in one poll, so
    // that the answers to a burst are coalesced. It costs no waiting, as the loop doesn't sleep before it.
    this.#turn_end ??= setImmediate(() => this.flush());
  }

  flush(): void {
    // What leaves before the turn's end needs no round of the loop of its own.
    clearImmediate(this.#turn_end);
    this.#turn_end = undefined;
    if (this.#state !== 'bound') return;
    for (const peer of this.#touched) {
      this.#flushPeer(peer);
      this.#probeIfDue(peer);
    }
    this.#touched.clear();
    this.#encoded = undefined;
  }

  #pack(peer: Peer, { text, size_bytes }: Encoded, urgent: boolean): void {
    const packed = peer.packer.waiting;
    const full = peer.packer.add(text, size_bytes);
    if (full !== undefined) this.#transmitPacked(peer, full, packed);
    peer.urgent ||= urgent;
  }

  #flushPeer(peer: Peer): void {
    const packed = peer.packer.waiting;
    const datagram = peer.packer.flush();
    if (datagram !== undefined) this.#transmitPacked(peer, datagram, packed);
  }

  #transmitPacked(peer: Peer, datagram: Buffer, packed: number): void {
    const now_ms = this.#now_ms();
    if (packed > 1) peer.evidence.shown(now_ms);
    peer.size.sent(datagram.length, now_ms);
    this.#transmit(peer, datagram, peer.urgent);
    peer.urgent = false;
  }

  #probeIfDue(peer: Peer): void {
    const now_ms = this.#now_ms();
    if (!peer.evidence.probeDue(now_ms)) return;
    peer.evidence.shown(now_ms);
    this.#transmit(peer, Buffer.from(this.#probe), false);
  }

  #transmit(peer: Peer, bytes: Buffer, urgent: boolean): void {
    if (this.#state !== 'bound') return;
    if (bytes.length > MAX_DATAGRAM_BYTES) {
      const text = `a message of ${bytes.length} bytes does not fit into a datagram`;
      this.#dropped('send-too-large', text);
      return;
    }
    const max_bytes = urgent ? MAX_HEARTBEAT_QUEUE_BYTES : MAX_SEND_QUEUE_BYTES;
    if (this.#socket.getSendQueueSize() + bytes.length > max_bytes) {
      this.#dropped('send-queue-full', 'the system takes no more datagrams: dropping new ones');
      return;
    }
    this.#socket.send(bytes, peer.port, peer.address.address, (error) => {
      if (error !== null && this.#state === 'bound') {
        const where = formatAddress(peer.address);
        this.#dropped('send-error', `sending to ${where} failed (${errorCode(error)})`);
      }
    });
  }

  #dropped(code: DropCode, text: string): void {
    this.#options.onDropped(code);
    this.#log('warn', code, text);
  }
}
