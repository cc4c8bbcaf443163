import { createSocket } from 'node:dgram';

import { expect } from 'chai';

import type { Address } from '../../src/core/address.js';
import { NO_REQUEST } from '../../src/core/decree.js';
import { agentIndex, entry, NO_ROUND, round, type AgentIndex } from '../../src/core/ids.js';
import { MAX_DATAGRAM_BYTES } from '../../src/core/limits.js';
import {
  MessageType,
  type Accepted,
  type Heartbeat,
  type Nack,
  type PeerMessage,
} from '../../src/core/message.js';
import { openAgentSocket, type AgentSocket, type DropCode } from '../../src/net/agent-socket.js';
import { EVIDENCE_LIFETIME_MS, EVIDENCE_REFRESH_MS, PROBE_INTERVAL_MS } from '../../src/net/coalescing.js';
import { ListenError } from '../../src/net/listen-error.js';
import { encodeMessage } from '../../src/wire/codec.js';
import { COALESCED_BYTES, FRAME_BYTES, WIDE_BYTES } from '../../src/wire/datagram.js';
import { ProposalLine } from '../../src/wire/proposal-line.js';
import { acceptRequest, decree } from '../support/make.js';
import { freeAddresses, Inbox, ManualClock, rawUdp, recordingLog, within, type RawUdp } from './support.js';

interface Node {
  readonly socket: AgentSocket;
  readonly messages: Inbox<{ from: AgentIndex; message: PeerMessage }>;
  readonly drops: Inbox<DropCode>;
  readonly dones: Inbox<AgentIndex>;
}

const accepted = (n: number, value = ''): Accepted => ({
  type: MessageType.Accepted,
  request: NO_REQUEST,
  entry: entry(n),
  round: round(3),
  value,
});

const nack = (n: number): Nack => ({
  type: MessageType.Nack,
  request: NO_REQUEST,
  entry: entry(n),
  round: round(0),
  roundvalue: { round: NO_ROUND, value: '', request: NO_REQUEST },
  promised: round(5),
  leaderaddress: '',
  leaderport: '',
});

const heartbeat = (leader: Address, committed = 0): Heartbeat => ({
  type: MessageType.Heartbeat,
  leaderaddress: leader.address,
  leaderport: leader.port,
  round: round(1),
  committed: entry(committed),
});

describe('net: UDP between agents', () => {
  const SELF = agentIndex(0);
  const PEER = agentIndex(1);
  let agents: Address[];
  let self: Address;
  let peer_address: Address;
  let cleanups: (() => Promise<void>)[];

  async function open(index: AgentIndex, clock?: ManualClock, log = recordingLog().log): Promise<Node> {
    const messages: Node['messages'] = new Inbox('messages');
    const drops: Node['drops'] = new Inbox('drops');
    const dones: Node['dones'] = new Inbox('Dones');
    const socket = await openAgentSocket({
      self: index,
      agents,
      onMessage: (from, message) => messages.push({ from, message }),
      onDone: (from) => dones.push(from),
      onDropped: (code) => drops.push(code),
      log,
      ...(clock === undefined ? {} : { now_ms: clock.now_ms }),
    });
    cleanups.push(() => socket.close());
    return { socket, messages, drops, dones };
  }

  async function raw(address?: Address): Promise<RawUdp> {
    const socket = await rawUdp(address);
    cleanups.push(() => socket.close());
    return socket;
  }

  /** What the peer played by hand says. */
  const said = (message: PeerMessage, from = peer_address): string => encodeMessage(message, from);

  beforeEach(async () => {
    cleanups = [];
    agents = await freeAddresses(3);
    self = agents[0]!;
    peer_address = agents[1]!;
  });

  afterEach(async () => {
    await Promise.all(cleanups.map((cleanup) => cleanup()));
  });

  it('carries a message from agent to agent', async () => {
    const [a, b] = [await open(SELF), await open(PEER)];
    a.socket.send(PEER, accepted(7, 'привет\n\u2028'), false);
    expect(await b.messages.next()).to.deep.equal({ from: SELF, message: accepted(7, 'привет\n\u2028') });
  });

  it('reads AcceptRequests as they came, and whatever else is in their datagram by itself', async () => {
    const node = await open(SELF);
    const peer = await raw(peer_address);
    const requests = ['first', 'second "quoted"'].map((value, i) =>
      acceptRequest(i + 1, 2, decree(value), 1),
    );
    const asked = requests.map((request) => said(request));
    await peer.send(self, asked.join('\n'));
    const read = await node.messages.take(2);
    expect(read.map(({ message }) => message)).to.satisfy((all: PeerMessage[]) =>
      all.every((message) => message instanceof ProposalLine),
    );
    expect(read.map(({ message }) => said(message))).to.deep.equal(asked);

    await peer.send(self, [...asked, said(heartbeat(peer_address))].join('\n'));
    expect((await node.messages.take(3)).slice(0, 2)).to.deep.equal(
      requests.map((message) => ({ from: PEER, message })),
    );
    await peer.send(self, `${asked.join('\n')}\n{`);
    expect(await node.messages.take(2)).to.deep.equal(requests.map((message) => ({ from: PEER, message })));
    expect(await node.drops.next()).to.equal('datagram-malformed');
  });

  it('carries the longest message that fits, and counts one that does not', async () => {
    const [a, b] = [await open(SELF), await open(PEER)];
    const overhead = Buffer.byteLength(encodeMessage(accepted(1, ''), self)) + ',"value":""'.length;
    a.socket.send(PEER, accepted(1, 'x'.repeat(MAX_DATAGRAM_BYTES - overhead + 1)), false);
    expect(await a.drops.next()).to.equal('send-too-large');
    a.socket.send(PEER, accepted(1, 'x'.repeat(MAX_DATAGRAM_BYTES - overhead)), true);
    const { message } = await b.messages.next();
    expect((message as Accepted).value).to.have.length(MAX_DATAGRAM_BYTES - overhead);
  });

  describe('refusals', () => {
    it('drops what a stranger sends, also in the name of a peer, before it is parsed', async () => {
      const { log, lines } = recordingLog();
      const node = await open(SELF, undefined, log);
      const stranger = await raw();
      await stranger.send(self, said(heartbeat(peer_address)));
      await stranger.send(self, 'not even JSON');
      expect(await node.drops.take(2)).to.deep.equal(['datagram-stranger', 'datagram-stranger']);
      expect(node.messages.all).to.be.empty;
      expect(lines.all[0]!.text).to.include(stranger.address.port);
    });

    it('drops a datagram as a whole if an object in it names another sender, or none', async () => {
      const node = await open(SELF);
      const peer = await raw(peer_address);
      const honest = said(accepted(1));
      for (const forged of [said(accepted(1), agents[2]), said(accepted(1), self), '{"type":15}']) {
        await peer.send(self, forged);
        await peer.send(self, `${honest}\n${forged}`);
        expect(await node.drops.take(2)).to.deep.equal(['datagram-forged', 'datagram-forged']);
      }
      expect(node.messages.all).to.be.empty;
    });

    it('drops and counts what is malformed, and answers nothing', async () => {
      const node = await open(SELF);
      const peer = await raw(peer_address);
      const sender = `"fromaddress":"${peer_address.address}","fromport":"${peer_address.port}"`;
      const cases: (string | Uint8Array)[] = [
        '{',
        '[]',
        'null',
        `{"type":17,${sender}}`,
        `{"type":"6",${sender}}`,
        `{"type":2,"round":1,"request":{},${sender}}`,
        '['.repeat(60_000),
        new Uint8Array(MAX_DATAGRAM_BYTES),
        Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d),
      ];
      for (const bytes of cases) {
        await peer.send(self, bytes);
        expect(await node.drops.next()).to.equal('datagram-malformed');
      }
      expect(node.messages.all).to.be.empty;
      // Datagrams on loopback keep their order: had anything been answered, it would stand before this.
      node.socket.send(PEER, accepted(9), true);
      expect(await peer.datagrams.next()).to.equal(encodeMessage(accepted(9), self));
    });

    it('drops and counts a datagram without a byte', async () => {
      const node = await open(SELF);
      const peer = await raw(peer_address);
      await peer.send(self, '');
      expect(await node.drops.next()).to.equal('datagram-malformed');
    });

    it('takes the message before trailing garbage', async () => {
      const node = await open(SELF);
      const peer = await raw(peer_address);
      await peer.send(self, `${said(accepted(4))}\n\u0000garbage`);
      expect(await node.drops.next()).to.equal('datagram-malformed');
      expect(await node.messages.next()).to.deep.equal({ from: PEER, message: accepted(4) });
    });

    it('ignores Empty, hands Done over, and drops what agents do not say by UDP', async () => {
      const node = await open(SELF);
      const peer = await raw(peer_address);
      const sender = `"fromaddress":"${peer_address.address}","fromport":"${peer_address.port}"`;
      await peer.send(self, `{${sender}}`);
      const foreign = [
        `{"type":7,${sender},"request":{"no":1,"value":"x"}}`,
        `{"type":9,${sender},"leaderaddress":"127.0.0.1","leaderport":"1"}`,
        `{"type":11,${sender}}`,
        `{"type":13,${sender}}`,
        `{"type":16,${sender},"error":"timeout: x"}`,
      ];
      for (const text of foreign) await peer.send(self, text);
      await peer.send(self, `{"type":15,${sender}}`);
      expect(await node.dones.next()).to.equal(PEER);
      expect(node.drops.all).to.deep.equal(foreign.map(() => 'datagram-not-allowed'));
      expect(node.messages.all).to.be.empty;
    });

    it('keeps the lines of a flood few, and fit for a terminal', async () => {
      const { log, lines } = recordingLog();
      const node = await open(SELF, new ManualClock(), log);
      const peer = await raw(peer_address);
      for (let i = 0; i < 100; i++) await peer.send(self, '{"type":"\u001b[31m"}');
      await node.drops.take(100);
      expect(lines.all).to.have.length.within(1, 10);
      for (const line of lines.all) expect(line.text).not.to.include('\u001b');
    });
  });

  describe('coalescing', () => {
    const objects = (datagram: string): number => datagram.split('\n').length;

    /** A node, a peer played by hand, and the node's clock; with the probe of the first traffic out of the way. */
    async function probed(): Promise<{ node: Node; peer: RawUdp; clock: ManualClock }> {
      const clock = new ManualClock();
      const node = await open(SELF, clock);
      const peer = await raw(peer_address);
      node.socket.send(PEER, accepted(0), false);
      const [message, probe] = await peer.datagrams.take(2);
      expect(message).to.equal(encodeMessage(accepted(0), self));
      const empty = `{"fromaddress":"${self.address}","fromport":"${self.port}"}`;
      expect(probe!.split('\n').map((text) => JSON.parse(text) as unknown)).to.deep.equal([
        JSON.parse(empty),
        JSON.parse(empty),
      ]);
      return { node, peer, clock };
    }

    /** Gives the node evidence that the peer coalesces. */
    async function showEvidence({ node, peer }: { node: Node; peer: RawUdp }): Promise<void> {
      await peer.send(self, `${said(accepted(90))}\n${said(accepted(91))}`);
      await node.messages.take(2);
    }

    it('sends a literal peer one message per datagram, and a probe once a second', async () => {
      const { node, peer, clock } = await probed();
      for (let second = 0; second < 3; second++) {
        for (let i = 0; i < 3; i++) node.socket.send(PEER, accepted(i), false);
        expect((await peer.datagrams.take(3)).map(objects)).to.deep.equal([1, 1, 1]);
        await peer.send(self, said(accepted(50)));
        await node.messages.next();
        clock.time_ms += PROBE_INTERVAL_MS - 1;
        node.socket.send(PEER, accepted(10), false);
        expect(objects(await peer.datagrams.next())).to.equal(1);
        clock.time_ms += 1;
        node.socket.send(PEER, accepted(11), false);
        expect((await peer.datagrams.take(2)).map(objects)).to.deep.equal([1, 2]);
      }
    });

    it('packs the messages of a turn for a peer that coalesces; those alone keep their own datagram', async () => {
      const { node, peer } = await probed();
      await showEvidence({ node, peer });
      for (let i = 1; i <= 3; i++) node.socket.send(PEER, accepted(i), false);
      node.socket.send(PEER, accepted(4), true);
      for (let i = 5; i <= 6; i++) node.socket.send(PEER, accepted(i), false);
      const datagrams = await peer.datagrams.take(3);
      const entries = datagrams.map((datagram) =>
        datagram.split('\n').map((text) => (JSON.parse(text) as { entry: number }).entry),
      );
      expect(entries).to.deep.equal([[1, 2, 3], [4], [5, 6]]);
    });

    it('fills datagrams in a burst, and loses nothing', async () => {
      const { node, peer } = await probed();
      await showEvidence({ node, peer });
      const what = decree('x'.repeat(1000));
      for (let i = 0; i < 150; i++) node.socket.send(PEER, acceptRequest(i, 1, what), false);
      await peer.datagrams.until(
        () => peer.datagrams.all.slice(2).join('\n').split('\n').length >= 150,
        'all 150',
      );
      expect(peer.datagrams.all.slice(2)).to.have.length.below(20);
      for (const datagram of peer.datagrams.all)
        expect(Buffer.byteLength(datagram)).to.be.at.most(MAX_DATAGRAM_BYTES);
    });

    it('fills as large datagrams as arrive, and answers in no larger ones than came', async () => {
      const { node, peer, clock } = await probed();
      await showEvidence({ node, peer });
      const proposed = (n: number): PeerMessage => acceptRequest(n, 1, decree('x'.repeat(100)));
      const voted = (n: number): PeerMessage => accepted(n, 'x'.repeat(100));
      let received = peer.datagrams.all.length;
      const largest = async (make: (n: number) => PeerMessage): Promise<number> => {
        for (let i = 1; i <= 200; i++) node.socket.send(PEER, make(i), false);
        const come = (): string[] => peer.datagrams.all.slice(received);
        const count = (): number =>
          come()
            .join('\n')
            .split('\n')
            .filter((one) => one.includes('xx')).length;
        await peer.datagrams.until(() => count() === 200, 'all 200');
        const bytes = Math.max(...come().map((text) => text.length));
        received = peer.datagrams.all.length;
        return bytes;
      };
      expect(await largest(voted), 'nothing large has come').to.be.within(FRAME_BYTES - 500, FRAME_BYTES);
      await peer.send(
        self,
        Array<string>(60)
          .fill(said(voted(1)))
          .join('\n'),
      );
      await node.messages.take(60);
      expect(await largest(voted)).to.be.within(COALESCED_BYTES - 500, COALESCED_BYTES);
      expect(await largest(proposed)).to.be.within(COALESCED_BYTES - 500, COALESCED_BYTES);
      clock.time_ms += 2_000;
      expect(await largest(proposed)).to.be.within(COALESCED_BYTES + 1, WIDE_BYTES);
      clock.time_ms += 400;
      node.socket.send(PEER, proposed(1), true);
      await peer.datagrams.until(() => peer.datagrams.all.length > received, 'what was said again');
      received = peer.datagrams.all.length;
      expect(await largest(proposed), 'no vote came').to.be.within(FRAME_BYTES - 500, FRAME_BYTES);
    });

    it('sends single ones again to a peer that has restarted as a literal one', async () => {
      const { node, peer, clock } = await probed();
      await showEvidence({ node, peer });
      clock.time_ms += EVIDENCE_LIFETIME_MS - 1;
      for (let i = 1; i <= 2; i++) node.socket.send(PEER, accepted(i), false);
      expect(objects(await peer.datagrams.next())).to.equal(2);
      await peer.send(self, said(accepted(50)));
      await node.messages.next();
      clock.time_ms += 1;
      for (let i = 1; i <= 2; i++) node.socket.send(PEER, accepted(i), false);
      expect((await peer.datagrams.take(2)).map(objects)).to.deep.equal([1, 1]);
    });

    it('keeps showing a peer with evidence that it coalesces itself', async () => {
      const { node, peer, clock } = await probed();
      await showEvidence({ node, peer });
      clock.time_ms += EVIDENCE_REFRESH_MS - 1;
      node.socket.send(PEER, accepted(1), false);
      expect(objects(await peer.datagrams.next())).to.equal(1);
      clock.time_ms += 1;
      node.socket.send(PEER, accepted(2), false);
      expect((await peer.datagrams.take(2)).map(objects)).to.deep.equal([1, 2]);
    });

    it('does not take a datagram with a malformed half as evidence', async () => {
      const { node, peer } = await probed();
      await peer.send(self, `${said(accepted(1))}\n{"type":99}`);
      await node.messages.next();
      for (let i = 1; i <= 2; i++) node.socket.send(PEER, accepted(i), false);
      expect((await peer.datagrams.take(2)).map(objects)).to.deep.equal([1, 1]);
    });

    it('two agents find out about each other by the first traffic', async () => {
      const [a, b] = [await open(SELF), await open(PEER)];
      a.socket.send(PEER, heartbeat(self), false);
      await b.messages.next();
      b.socket.send(SELF, accepted(1), false);
      await a.messages.next();
      // The probes travel behind the messages; one more round trip, and both have been handled.
      a.socket.send(PEER, heartbeat(self), true);
      await b.messages.next();
      b.socket.send(SELF, accepted(2), true);
      await a.messages.next();
      await b.socket.close();
      const peer = await raw(peer_address);
      for (let i = 1; i <= 3; i++) a.socket.send(PEER, accepted(i), false);
      expect(objects(await peer.datagrams.next())).to.equal(3);
    });
  });

  it('limits the rate of Nacks towards a peer, and of nothing else', async () => {
    const clock = new ManualClock();
    const node = await open(SELF, clock);
    const peer = await raw(peer_address);
    for (let i = 0; i < 60; i++) node.socket.send(PEER, nack(i), true);
    expect(await node.drops.take(10)).to.deep.equal(new Array(10).fill('nack-limited'));
    node.socket.send(agentIndex(2), nack(0), true);
    node.socket.send(PEER, accepted(1), true);
    clock.time_ms += 20;
    for (let i = 0; i < 3; i++) node.socket.send(PEER, nack(100 + i), true);
    node.socket.send(PEER, accepted(2), true);
    const types = (await peer.datagrams.take(54)).map((text) => (JSON.parse(text) as { type: number }).type);
    expect(types).to.deep.equal([...new Array<number>(50).fill(3), 5, 3, 3, 5]);
    expect(node.drops.all).to.have.length(11);
  });

  it('drain waits until a burst that queued in the system has been read', async () => {
    const node = await open(SELF);
    const peer = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) });
    cleanups.push(() => new Promise((resolve) => peer.close(() => resolve())));
    await new Promise<void>((resolve) => peer.bind(Number(peer_address.port), peer_address.address, resolve));
    for (let i = 0; i < 150; i++) peer.send(said(accepted(i)), Number(self.port), self.address);
    expect(node.messages.all).to.be.empty;
    await within(node.socket.drain(), 'the drain');
    expect(node.messages.all).to.have.length(150);
  });

  it('drain ends without any input, and on a closed socket', async () => {
    const node = await open(SELF);
    await within(node.socket.drain(), 'the drain');
    await node.socket.close();
    await within(node.socket.drain(), 'the drain of a closed socket');
  });

  it('counts what the system refuses to send, and goes on', async () => {
    // To broadcast takes a permission that the socket hasn't asked for.
    agents[2] = { address: '255.255.255.255', port: '9' };
    const node = await open(SELF);
    const peer = await raw(peer_address);
    node.socket.send(agentIndex(2), heartbeat(self), false);
    expect(await node.drops.next()).to.equal('send-error');
    node.socket.send(PEER, heartbeat(self), false);
    expect(await peer.datagrams.next()).to.equal(encodeMessage(heartbeat(self), self));
  });

  it('sends to nobody listening, and after closing, without an error', async () => {
    const node = await open(SELF);
    for (let i = 0; i < 100; i++) node.socket.send(PEER, accepted(i), i % 2 === 0);
    await node.socket.drain();
    await node.socket.close();
    node.socket.send(PEER, accepted(0), true);
    await node.socket.close();
  });

  it('refuses to send to itself or to an agent that does not exist', async () => {
    const node = await open(SELF);
    expect(() => node.socket.send(SELF, accepted(0), true)).to.throw(RangeError);
    expect(() => node.socket.send(agentIndex(3), accepted(0), true)).to.throw(RangeError);
  });

  async function bindError(): Promise<ListenError> {
    try {
      await open(SELF);
    } catch (error) {
      expect(error).to.be.instanceOf(ListenError);
      return error as ListenError;
    }
    throw new Error('the socket was bound');
  }

  it('says which port is taken, and what to do', async () => {
    await open(SELF);
    const error = await bindError();
    expect(error.code).to.equal('EADDRINUSE');
    expect(error.message).to.match(
      new RegExp(`UDP 127\\.0\\.0\\.1:${self.port}: another process .* earlier run`),
    );
  });

  it('says that an address is not this machine’s', async () => {
    agents[0] = { address: '192.0.2.1', port: self.port };
    const error = await bindError();
    expect(error.code).to.equal('EADDRNOTAVAIL');
    expect(error.message).to.include('UDP 192.0.2.1').and.to.include('no network interface');
  });
});
