import { expect } from 'chai';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { eventually } from '../support/process.js';
import { errorCode, RawUdp } from '../support/process-wire.js';

/** Longer than any test: a node that never stands by itself. */
const PASSIVE = ['--leader-timeout-ms', '3600000', '--heartbeat-ms', '50', '--request-timeout-ms', '400'];

interface Received {
  readonly type?: number;
  readonly entry?: number;
  readonly round?: number;
  readonly value?: string;
  readonly length?: number;
  readonly promised?: number;
  readonly roundvalue?: { readonly round?: number; readonly value?: string };
  readonly leaderaddress?: string;
}

const PREPARE = 1;
const PROMISE = 2;
const NACK = 3;
const ACCEPT_REQUEST = 4;
const ACCEPTED = 5;
const HEARTBEAT = 6;

/** A peer played by hand: it says what it is told to, and keeps what it hears. */
class Played {
  readonly #udp: RawUdp;
  readonly #place: TestNode;
  readonly #to: TestNode;

  private constructor(udp: RawUdp, place: TestNode, to: TestNode) {
    this.#udp = udp;
    this.#place = place;
    this.#to = to;
  }

  static async as(place: TestNode, to: TestNode): Promise<Played> {
    return new Played(await RawUdp.bind(place), place, to);
  }

  /** Everything that was said to it, but probes. */
  get heard(): Received[] {
    return this.#udp.received
      .flatMap((text) => text.split('\n'))
      .map((text) => JSON.parse(text) as Received)
      .filter(({ type = 0 }) => type > 0);
  }

  say(type: number, fields: object = {}): Promise<void> {
    const { address: fromaddress, port: fromport } = this.#place;
    return this.#udp.send(this.#to, { type, fromaddress, fromport, request: {}, ...fields });
  }

  /** Waits for what `test` wants among the things heard after the first `after`. */
  hears(what: string, test: (message: Received) => boolean, after = 0): Promise<Received> {
    return eventually(what, () => this.heard.slice(after).find(test), { seen: () => this.heard.slice(-3) });
  }

  close(): Promise<void> {
    return this.#udp.close();
  }
}

describe('integration: where it departs from the letter of the base text', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();
  let all: Cluster;
  let played: Played[] = [];

  afterEach(async () => {
    await Promise.all(played.map((one) => one.close()));
    played = [];
  });

  /** The second of three nodes with these flags; the first and the third are played. */
  async function second(...flags: readonly string[]): Promise<{ node: TestNode; low: Played; high: Played }> {
    all = await cluster({ nodes: 3, starting: [] });
    const [first, node, third] = all.nodes;
    played = [await Played.as(first!, node!), await Played.as(third!, node!)];
    await node!.start(...flags);
    const [low, high] = played;
    return { node: node!, low: low!, high: high! };
  }

  it('a node elects unasked, and its rounds start at its index and are never those of another', async () => {
    const { low, high } = await second();
    const rounds = (): number[] => {
      const prepares = low.heard.filter(({ type }) => type === PREPARE);
      return [...new Set(prepares.map(({ round = 0 }) => round))];
    };
    const found = await eventually('three tries', () => (rounds().length >= 3 ? rounds() : undefined));
    expect(found.map((round) => round % 3)).to.eql(found.map(() => 1));
    expect(found).to.eql([...found].sort((a, b) => a - b));
    expect(high.heard.some(({ type }) => type === PREPARE)).to.equal(true);
  });

  it('in a fresh cluster the first round of agent 1 is 1; ClientConn gives 1 as the first number', async () => {
    const one = await cluster({ nodes: 3 });
    const { raw, leader } = await one.session();
    const index = one.nodes.indexOf(leader);
    expect((await leader.status())!.promised_round % 3).to.equal(index);
    const { request } = await (await one.connect(leader)).hello();
    expect(request?.no).to.equal(1);
    raw.request(0, 'number 0');
    expect(await raw.next()).to.deep.include({ type: 8, value: 'number 0' });
  });

  it('a very long leader timeout makes it passive: no Prepare, and no ClientConn without a leader', async () => {
    const { node, high } = await second(...PASSIVE);
    const raw = await all.connect(node);
    expect(errorCode(await raw.hello())).to.equal('no-leader');
    await high.say(PREPARE, { round: 2 });
    await high.hears('a Promise', ({ type }) => type === PROMISE);
    expect(high.heard.filter(({ type }) => type === PREPARE)).to.eql([]);
    expect((await node.status())!.role).to.equal('follower');
  });

  it('promises are for the whole log, AcceptRequests above them are taken, and reports name every entry', async () => {
    const { node, low, high } = await second(...PASSIVE);
    // Accepted above the promise, from one that was never its leader.
    await high.say(ACCEPT_REQUEST, { round: 5, value: 'zero', request: { id: 9, no: 1 } });
    expect(await high.hears('Accepted', ({ type }) => type === ACCEPTED)).to.deep.include({
      round: 5,
      value: 'zero',
    });
    await high.say(ACCEPT_REQUEST, { entry: 2, round: 5, value: 'two', request: { id: 9, no: 2, entry: 2 } });
    await high.hears('Accepted', ({ type, entry }) => type === ACCEPTED && entry === 2);
    expect((await node.status())!.promised_round).to.equal(5);

    // After that round 0 is refused at every entry, and so is 5 to everybody else.
    for (const entry of [0, 7]) {
      const after = low.heard.length;
      await low.say(ACCEPT_REQUEST, { entry, value: 'late', request: { id: 3, no: 1, entry } });
      const nack = await low.hears('a Nack', ({ type }) => type === NACK, after);
      expect(nack).to.deep.include({ promised: 5 });
      expect(nack.entry ?? 0).to.equal(entry);
    }
    const after = low.heard.length;
    await low.say(ACCEPT_REQUEST, {
      entry: 1,
      round: 5,
      value: 'taken',
      request: { id: 3, no: 2, entry: 1 },
    });
    await low.hears('a Nack', ({ type, round }) => type === NACK && round === 5, after);
    await low.say(HEARTBEAT, {
      round: 3,
      leaderaddress: all.nodes[0]!.address,
      leaderport: all.nodes[0]!.port,
    });
    await low.hears('a Nack of the Heartbeat', ({ type, round }) => type === NACK && round === 3, after);

    // One Prepare draws a Promise for each entry, holes included.
    await high.say(PREPARE, { round: 8 });
    await high.hears('the last of them', ({ type, entry }) => type === PROMISE && entry === 2);
    const promises = high.heard.filter(({ type }) => type === PROMISE);
    const reported = new Map(promises.map(({ entry = 0, roundvalue }) => [entry, roundvalue]));
    expect([...reported.keys()].sort()).to.eql([0, 1, 2]);
    expect(reported.get(0)).to.deep.include({ round: 5, value: 'zero', request: { id: 9, no: 1 } });
    expect(reported.get(1)).to.deep.include({ round: -1 });
    expect(reported.get(2)).to.deep.include({ round: 5, value: 'two', request: { id: 9, no: 2 } });
    for (const { length, round } of promises) expect({ length, round }).to.eql({ length: 3, round: 8 });

    // The owner of a promise is answered again, and nobody else.
    const before = high.heard.length;
    await high.say(PREPARE, { round: 8 });
    await high.hears('the Promise again', ({ type }) => type === PROMISE, before);
    const refused = low.heard.length;
    await low.say(PREPARE, { round: 8 });
    await low.hears('a Nack', ({ type, promised }) => type === NACK && promised === 8, refused);
  });

  it('who accepts does not commit: only a notice of that very round makes it chosen', async () => {
    const { node, high } = await second(...PASSIVE);
    const [, , third] = all.nodes;
    const heartbeat = { leaderaddress: third!.address, leaderport: third!.port };
    await high.say(ACCEPT_REQUEST, { round: 2, value: 'x', request: { id: 9, no: 1 } });
    await high.hears('Accepted', ({ type }) => type === ACCEPTED);
    const raw = await all.connect(node);
    raw.send({ type: 7, request: { noset: true, entry: 0 } });
    expect(errorCode(await raw.next())).to.equal('not-known-chosen');
    // A notice of a later round than the acceptance proves nothing about it.
    await high.say(HEARTBEAT, { ...heartbeat, round: 5, committed: 1 });
    await node.until(
      'the new leader',
      ({ leader, entries }) => leader !== null && entries.known_chosen_elsewhere === 1,
    );
    raw.send({ type: 7, request: { noset: true, entry: 0 } });
    expect(errorCode(await raw.next())).to.equal('not-known-chosen');
    await high.say(ACCEPT_REQUEST, { round: 5, value: 'y', committed: 1, request: { id: 9, no: 2 } });
    await node.until('it chosen', ({ entries }) => entries.chosen === 1);
    raw.send({ type: 7, request: { noset: true, entry: 0 } });
    expect(await raw.next()).to.deep.include({ type: 8, value: 'y' });
  });

  it("row 77: datagrams must come from the peer's own port, and name it; a Heartbeat without a round counts from the owner", async () => {
    const { node, low, high } = await second(...PASSIVE);
    const [first, , third] = all.nodes;
    const leader = { leaderaddress: third!.address, leaderport: third!.port };
    const stranger = await RawUdp.bind({ address: '127.0.0.1', port: '0' });
    const from = { fromaddress: third!.address, fromport: third!.port };
    await stranger.send(node, { type: PREPARE, ...from, request: {}, round: 2 });
    await node.until('the stranger counted', ({ refused }) => refused['datagram-stranger'] === 1);
    await stranger.close();
    await low.say(PREPARE, { round: 2, ...from });
    await node.until('the forger counted', ({ refused }) => refused['datagram-forged'] === 1);
    expect((await node.status())!.promised_round).to.equal(-1);

    await high.say(PREPARE, { round: 2 });
    await high.hears('a Promise', ({ type }) => type === PROMISE);
    expect((await node.status())!.leader, 'a candidate is no leader yet').to.equal(null);
    await low.say(HEARTBEAT, { leaderaddress: first!.address, leaderport: first!.port });
    await high.say(HEARTBEAT, leader);
    await node.until('the leader', (status) => status.leader === third!.name);
    const raw = await all.connect(node);
    expect(await raw.hello()).to.deep.include({ type: 9, leaderport: third!.port });
    // While it lives, others are refused on its behalf.
    await low.say(PREPARE, { round: 3 });
    const nack = await low.hears('a Nack', ({ type, round }) => type === NACK && round === 3);
    expect(nack).to.deep.include({ leaderaddress: third!.address });
    expect((await node.status())!.promised_round).to.equal(2);
  });
});
