import { expect } from 'chai';
import {
  encodeKvRequest,
  UnknownOutcomeError,
  type Client,
  type KvRequest,
} from '../../clients/typescript/index.js';
import type { AgentStatus } from '../../src/server/status.js';
import type { Cluster } from '../support/cluster.js';
import { useClusters } from '../support/cluster-hooks.js';
import { eventually } from '../support/process.js';
import { errorCode, type Raw } from '../support/process-wire.js';
import type { SeededRandom } from '../support/random.js';
import { PATIENT } from './network/support.js';
import { chance } from './support/chance.js';
import { judgedTitle } from './support/judge.js';
import { executedIn, expectSound, load, RESTLESS, type Acknowledged, type Load } from './support/load.js';
import { deep, FAULTS_TIMEOUT_MS } from './support/mode.js';
import { abandonedSession, EXPIRED, NumberedRequests, Remembered } from './support/numbers.js';

/** Acknowledged requests between two faults. */
const BETWEEN = 30;

/** Numbers with one key: of what is asked at once and answered much later, any order may have been. */
const GROUP = 4;

/** Leaders that stand still with requests that are asked of their successors. */
const STANDSTILLS = deep(2, 50);
const AT_A_STANDSTILL = 12;

/** Leaders that die with requests that nobody else has: so many, of which some are asked of the next leader. */
const COMEBACKS = deep(1, 40);
const IN_A_TAIL = 20;
const ASKED_BETWEEN = 3;

/** Sessions that some clients fight for, and the numbers that each of them asks for in there. */
const FIGHTS = deep(2, 40);
const FIGHTERS = ['left', 'right', 'middle'];
const FOUGHT_FOR = 20;

/** Sessions that somebody else goes on with while their clients are at work. */
const TAKEOVERS = deep(30, 2_000);

/** Numbers that are asked for at random, some new, some old, and how often the leader dies meanwhile. */
const STEPS = deep(120, 6_000);
const BETWEEN_DEATHS = deep(50, 300);
/** More than are remembered of a session, so that some are forgotten from the beginning. */
const HEAD_START = 320;
const AT_ONCE = 64;
const MAX_GAP = 3;

/** Requests in sessions of others. */
const INTRUSIONS = deep(40, 2_000);

/** Of these acknowledged requests the sessions are surely remembered, and alive. */
const RECENT = 20;

/** What a node says that can't answer now, as it doesn't lead any more, or doesn't yet. */
const NOT_NOW = new Set(['leadership-lost', 'no-leader', 'stopping']);

function put(key: string, value: string): KvRequest {
  return { op: 'put', key, value };
}

/** Some numbers have a key together. */
function keyOf(what: string, round: number, no: number): string {
  return `${what} ${round}.${Math.floor(no / GROUP)}`;
}

/** A client that finds out what became of a request whose session was taken over. */
function inquiring(client: Client): Pick<Client, 'request'> {
  return {
    request: (value, options) =>
      client.request(value, options).catch((error: unknown) => {
        if (error instanceof UnknownOutcomeError && error.code !== 'closed')
          return client.outcome(error, options);
        throw error;
      }),
  };
}

/** A request that was acknowledged a moment ago. */
function recent(work: Load, random: SeededRandom): Acknowledged {
  return random.pick(work.acknowledged.slice(-RECENT));
}

/** What a leader says to this, on a new connection that has a session of its own, or has said no hello. */
function saidTo(all: Cluster, message: object, hello = true): Promise<Raw> {
  let last: unknown;
  const look = async (): Promise<Raw | undefined> => {
    try {
      const raw = hello ? (await all.session()).raw : await all.connect(await all.leader());
      last = await raw.send(message).next();
      raw.close();
    } catch (error) {
      // Whoever it was connected to has left it.
      last = String(error);
      return undefined;
    }
    const { type } = last as Raw;
    return type === 9 || NOT_NOW.has(errorCode(last as Raw) ?? '') ? undefined : (last as Raw);
  };
  return eventually(`an answer to ${JSON.stringify(message)}`, look, { seen: () => last });
}

describe(judgedTitle('faults: sessions'), function () {
  this.timeout(FAULTS_TIMEOUT_MS);
  const cluster = useClusters();

  it(`row 56: requests that a leader holds while it stands still, asked of its successor, ${STANDSTILLS} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    for (let round = 0; round < STANDSTILLS; round++) {
      await work.more(BETWEEN);
      const { raw, id, leader } = await all.session();
      const asked = new NumberedRequests(work, id);
      const numbers = Array.from({ length: AT_A_STANDSTILL }, (_, i) => i + 1);
      const request = (no: number): KvRequest => {
        const key = keyOf('standstill', round, no);
        return no % GROUP === 0 ? { op: 'get', key } : put(key, `${round}.${no}`);
      };
      leader.process.signal('SIGSTOP');
      for (const no of numbers) raw.request(no, asked.begin(no, request(no)));
      const others = all.nodes.filter((node) => node !== leader);
      await all.leader(others);
      // It goes on while its successor is asked.
      const servers = others.map(({ name }) => name);
      const client = all.client({ ...RESTLESS, servers, session: { id, no: 1 } });
      const answers = numbers.map((no) => asked.insist(client, no, request(no)));
      await Promise.any(answers);
      leader.process.signal('SIGCONT');
      await Promise.all(answers);
      // Whatever it says, it says nothing else; and it may have left before it said anything.
      await raw.until('what it says to them', () => raw.all.length > numbers.length).catch(() => undefined);
      for (const { type, request: of, entry = 0, value = '' } of raw.all) {
        if (type === 8) asked.end(of?.no ?? 0, { entry, value });
      }
      raw.close();
      client.close();
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it(`row 56: what only a dead leader has comes back behind what was asked again, ${COMEBACKS} times`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp', flags: PATIENT });
    const work = load(all);
    await work.more(BETWEEN);
    // With it the log would grow beyond what is to come back.
    await work.stop();
    const numbers = Array.from({ length: IN_A_TAIL }, (_, i) => i + 1);
    const twice: NumberedRequests[] = [];
    for (let tries = 0; twice.length < COMEBACKS; tries++) {
      const { raw, id, leader } = await all.session();
      const asked = new NumberedRequests(work, id);
      const request = (no: number): KvRequest => put(keyOf('tail', tries, no), `${tries}.${no}`);
      const followers = all.nodes.filter((node) => node !== leader);
      const { entries: before } = await leader.until('its status', () => true);
      for (const follower of followers) follower.process.signal('SIGSTOP');
      for (const no of numbers) raw.request(no, asked.begin(no, request(no)));
      // On its disk, or else the last of it dies with the process.
      const isKept = ({ entries, journal }: AgentStatus): boolean =>
        entries.accepted >= before.accepted + IN_A_TAIL && journal.unflushed === 0;
      const last = await leader.until(
        'all accepted by itself, or its end as a leader',
        (status) => isKept(status) || status.role !== 'leader',
      );
      // What is on its way to the others dies with them.
      await Promise.all(all.nodes.map((node) => node.kill()));
      raw.close();
      await all.start(followers);
      const client = all.client({ ...RESTLESS, session: { id, no: 1 } });
      for (const no of numbers.slice(-ASKED_BETWEEN)) await asked.insist(client, no, request(no));
      // The other two are a quorum with what comes back.
      await (await all.leader(followers)).kill();
      await leader.start();
      for (const no of numbers) await asked.insist(client, no, request(no));
      client.close();
      await all.start();
      if (isKept(last)) twice.push(asked);
    }
    const log = await expectSound(all, work);
    for (const { id } of twice) {
      const executed = log.filter((one) => one.id === id && one.no === IN_A_TAIL);
      expect(executed, `the last request of session ${id} in the log`).to.have.length.above(1);
    }
  });

  it(`row 57: ${FIGHTERS.length} clients fight for one id while leaders die, ${FIGHTS} times: each number happens once`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    const numbers = Array.from({ length: FOUGHT_FOR }, (_, i) => i + 1);
    const request = (fight: number, no: number, name: string): KvRequest => {
      const key = keyOf('fight', fight, no);
      return no % GROUP === 0 ? { op: 'get', key } : put(key, `${name} ${fight}.${no}`);
    };
    for (let fight = 0; fight < FIGHTS; fight++) {
      await work.more(BETWEEN);
      const id = await abandonedSession(all);
      const asked = new NumberedRequests(work, id);
      let fighting = FIGHTERS.length;
      const fighters = FIGHTERS.map(async (name) => {
        const client = all.client({ ...RESTLESS, session: { id, no: 1 } });
        for (const no of numbers) await asked.ask(client, no, request(fight, no, name));
        client.close();
        fighting--;
      });
      const isMidst = (): true | undefined =>
        asked.answered > FOUGHT_FOR / 3 || fighting === 0 ? true : undefined;
      await eventually('the midst of the fight', isMidst, { timeout_ms: FAULTS_TIMEOUT_MS });
      const leader = await all.leader();
      await leader.kill();
      await Promise.all(fighters);
      await leader.start();
      // Who comes last learns what all of them got, and executes what nobody did.
      const last = all.client({ ...RESTLESS, session: { id, no: 1 } });
      for (const no of numbers) await asked.insist(last, no, request(fight, no, 'last'));
      last.close();
    }
    await work.more(BETWEEN);
    await expectSound(all, work);
  });

  it(`row 57: somebody goes on with the sessions of clients at work, ${TAKEOVERS} times, while leaders die: old numbers keep their answers`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all, { client: () => inquiring(all.client(RESTLESS)) });
    const random = chance(all);
    const taker = all.client(RESTLESS);
    await work.more(BETWEEN);
    for (let taken = 0; taken < TAKEOVERS;) {
      const { answer } = recent(work, random);
      const { id, no } = answer;
      const value = encodeKvRequest(put('taken over', `${taken}: ${id}.${no}`));
      work.refused.push(value);
      const again = await taker.askAgain({ id, no, value }).catch((error: unknown) => {
        // Its client was quicker to take it back.
        expect(error).to.be.instanceOf(UnknownOutcomeError);
        return undefined;
      });
      if (again === undefined) continue;
      expect(again).to.eql(answer);
      if (taken++ % BETWEEN > 0) continue;
      const leader = await all.leader();
      await leader.kill();
      await work.more(BETWEEN);
      await leader.start();
    }
    await expectSound(all, work);
  });

  it(`row 58: ${STEPS} numbers with gaps, old ones, old ones with another value, and forgotten ones, while leaders die`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    const random = chance(all);
    await work.more(BETWEEN);
    const asked = new NumberedRequests(work, await abandonedSession(all));
    const remembered = new Remembered();
    const client = all.client({ ...RESTLESS, session: { id: asked.id, no: 1 } });
    let highest = 0;
    const request = (no: number, times: number): KvRequest => {
      const key = `numbers ${no % 40}`;
      return no % 3 === 0 ? { op: 'get', key } : put(key, `${no}, ${times}`);
    };
    const fresh = (): number => (highest += 1 + random.below(MAX_GAP));
    for (let i = 0; i < HEAD_START; i += AT_ONCE) {
      const numbers = Array.from({ length: AT_ONCE }, fresh);
      await Promise.all(numbers.map((no) => asked.insist(client, no, request(no, 0))));
      for (const no of numbers) remembered.execute(no);
    }
    const seen = { fresh: 0, again: 0, gap: 0, expired: 0 };
    for (let step = 1; step <= STEPS; step++) {
      // Mostly old ones and gaps: what has been asked for below the highest, and what hasn't.
      const no = random.chance(0.2) ? fresh() : 1 + random.below(highest);
      const fate = remembered.fate(no, highest);
      // It would be forgotten as soon as it is executed: nobody could be told a second time.
      if (fate === 'fleeting') continue;
      seen[fate]++;
      const dying = step % BETWEEN_DEATHS === 0 ? await all.leader() : undefined;
      const outcome = asked.settle(client, no, request(no, step));
      await dying?.kill();
      if (fate === 'expired') {
        expect(await outcome, `number ${no}`).to.eql({ code: EXPIRED });
        asked.expired(no);
      } else {
        expect(await outcome, `number ${no}`).to.have.property('answer');
        if (fate !== 'again') remembered.execute(no);
      }
      await dying?.start();
    }
    for (const [kind, count] of Object.entries(seen)) expect(count, kind).to.be.above(0);
    await expectSound(all, work);
  });

  it(`row 59: ${INTRUSIONS} requests with the id of somebody else, of a dead connection, of nobody are executed nowhere`, async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    const random = chance(all);
    await work.more(BETWEEN);
    const dead = new NumberedRequests(work, await abandonedSession(all));
    for (let i = 0; i < INTRUSIONS; i++) {
      if (i === INTRUSIONS / 2) await (await all.leader()).kill();
      const { answer } = recent(work, random);
      const nobody = 2 ** 50 + i;
      const id = random.pick([answer.id, dead.id, nobody]);
      // Old numbers, and some that their clients have yet to use.
      const no = Math.max(0, answer.no + random.below(5) - 2);
      const value = encodeKvRequest(put('intruded', `${i}: ${id}.${no}`));
      work.refused.push(value);
      const hello = random.chance(0.7);
      const said = await saidTo(all, { type: 7, request: { id, no, value } }, hello);
      expect(errorCode(said), JSON.stringify(said)).to.equal(hello ? 'foreign-id' : 'not-connected');
      const greeted = await saidTo(all, { type: 11, request: { id: nobody } }, hello);
      expect(errorCode(greeted), JSON.stringify(greeted)).to.equal('no-such-session');
    }
    await all.start();
    // Whose id it is goes on with it.
    const back = all.client({ ...RESTLESS, session: { id: dead.id, no: 1 } });
    await dead.insist(back, 1, put('back again', 'once'));
    const log = await expectSound(all, work);
    expect([...executedIn(log).values()].filter(({ value }) => value.includes('intruded'))).to.eql([]);
  });
});
