import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { encodeKvRequest } from '../../../clients/typescript/index.js';
import type { TestNode } from '../../support/cluster.js';
import { PAXOSD, Program } from '../../support/process.js';
import { chance } from '../support/chance.js';
import { expectSound, load, sameLog } from '../support/load.js';
import { deep } from '../support/mode.js';
import type { Rows } from '../support/rows.js';
import { indicesOf, others, PATIENT } from './support.js';

const FLAPPING_MS = deep(5_000, 120_000);

/** A cable is in or out for a random time of these. */
const MIN_FLAP_MS = 150;
const MAX_FLAP_MS = 450;

/** The least that every IPv4 host takes. */
const SMALL_MTU_BYTES = 576;

/** 500 requests under way: a group of them takes several packets. */
const MUCH = ['--clients', '10', '--in-flight', '50', '--seconds', String(deep(6, 60))];
const IN_FLIGHT = 500;

/** Near the largest value there is. */
const LARGE_LENGTH = 60_000;

async function round(node: TestNode): Promise<number> {
  return (await node.until('its status', () => true)).promised_round;
}

export const rows: Rows = {
  'row 20: the leader’s cable flaps every 150 to 450 ms: rounds grow slowly': async ({ start }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp' });
    const work = load(all);
    await work.more(50);
    const [host] = indicesOf(all, [await all.leader()]);
    const [watched] = others(all, all.nodes[host!]!);
    const before = await round(watched!);
    const end_ms = performance.now() + FLAPPING_MS;
    const random = chance(all);
    let flaps = 0;
    for (; performance.now() < end_ms; flaps++) {
      await network.plug(host!, flaps % 2 === 0 ? 'down' : 'up');
      await pause(MIN_FLAP_MS + random.next() * (MAX_FLAP_MS - MIN_FLAP_MS));
    }
    await network.plug(host!, 'up');
    await all.leader();
    const grown = (await round(watched!)) - before;
    // A node's next round is as many higher as there are nodes: on average less than one election for each flap.
    expect(grown).to.be.within(0, flaps * all.nodes.length);
    await work.more(50);
    await expectSound(all, work);
  },

  'row 26: interfaces that carry no more than 576 bytes at a time, and values of 60,000': async ({
    start,
  }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp', flags: PATIENT });
    for (const host of all.nodes.keys()) await network.setMtu(host, SMALL_MTU_BYTES, { both: true });
    const work = load(all);
    await work.more(100);
    const client = all.client();
    const value = 'x'.repeat(LARGE_LENGTH);
    for (const key of ['a', 'b', 'c']) {
      const { entry } = await client.request(encodeKvRequest({ op: 'put', key: `large ${key}`, value }));
      expect((await client.query(entry)).value).to.contain(value);
    }
    await work.more(100);
    await expectSound(all, work);
  },

  'row 26: longer packets than 576 bytes vanish on their way to the one follower that is left': async ({
    start,
  }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp', flags: PATIENT });
    const work = load(all);
    await work.more(50);
    const { followers } = await all.roles();
    const [host] = indicesOf(all, [followers[0]!]);
    await network.setMtu(host!, SMALL_MTU_BYTES, { both: false });
    await followers[1]!.kill();
    // What coalesces is lost; what is sent again comes alone, and passes.
    await work.more(300);
    await followers[1]!.start();
    const large = encodeKvRequest({ op: 'put', key: 'large', value: 'x'.repeat(LARGE_LENGTH) });
    await all.client().request(large);
    // The two others choose it, and the third fetches it.
    await expectSound(all, work);
  },

  'row 26: no fragment arrives, much is asked, and the leader dies': async ({ start }) => {
    const { all, network } = await start({ nodes: 3, app: 'kvapp', flags: PATIENT });
    const leader = await all.leader();
    await network.loseFragments();
    const addresses = all.nodes.map(({ name }) => name);
    const much = new Program('load', [process.execPath, PAXOSD, 'bench', ...addresses, ...MUCH, '--json']);
    const { entries } = await leader.until(
      'many answers',
      ({ entries: { chosen } }) => chosen > 2 * IN_FLIGHT,
    );
    await leader.kill();
    const { code } = await much.ended;
    expect(code, much.stderr).to.equal(0);
    const { totals } = JSON.parse(much.stdout) as { totals: { answered: number; unanswered: number } };
    expect(totals.unanswered).to.equal(0);
    expect(totals.answered, 'more than the dead leader had chosen and under way').to.be.above(
      entries.chosen + IN_FLIGHT,
    );
    expect((await sameLog(all)).length).to.be.at.least(totals.answered);
  },
};
