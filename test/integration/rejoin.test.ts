import { expect } from 'chai';
import type { Client } from '../../clients/typescript/index.js';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';

/** More than an acceptor's window and than what nodes keep in memory. */
const MISSED_ENTRIES = 5_500;

async function writeMany(clients: readonly Client[], count: number): Promise<void> {
  const each = Math.ceil(count / clients.length);
  await Promise.all(
    clients.flatMap((client, c) =>
      Array.from({ length: each }, (_, i) => client.request(`${c}/${i}`, { timeout_ms: 60_000 })),
    ),
  );
}

describe('integration: those who fell behind', function () {
  this.timeout(2 * TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it(`Fauerbach: reconciliation: a node that missed ${MISSED_ENTRIES} entries catches up and can lead`, async () => {
    const all = await cluster({ nodes: 3 });
    const { follower: absent } = await all.roles();
    await all.client().request('before');
    await all.settled();
    await absent.kill();
    await writeMany(
      Array.from({ length: 8 }, () => all.client()),
      MISSED_ENTRIES,
    );

    await absent.start();
    const count = await all.settled(all.nodes, MISSED_ENTRIES + 1);
    const present = all.nodes.find((node) => node !== absent)!;
    const log = await all.log(absent, count);
    expect(log.map(({ entry }) => entry)).to.eql(Array.from({ length: count }, (_, i) => i));
    expect(log).to.eql(await all.log(present, count));

    // Its own disk holds all of it: with either of the others it goes on, and old entries are read back.
    await absent.kill();
    await present.kill();
    await all.start([absent]);
    expect(await all.log(absent, count, count - 10)).to.eql(log.slice(-10));
    const third = all.nodes.find((node) => node !== absent && node !== present)!;
    expect((await all.client({ servers: absent.name }).query(1)).value).to.equal(log[1]!.value);
    expect((await all.client().request('after')).value).to.equal('after');
    expect(await all.settled([absent, third], count + 1)).to.be.above(count);
  });

  it('an application that starts when there are thousands of entries is given all of them in order', async () => {
    const all = await cluster({ nodes: 1 });
    await writeMany([all.client(), all.client()], 2_000);
    const node = all.nodes[0]!;
    await node.kill();
    await node.start('--app', TEST_APP);
    expect((await all.client().request('one more')).value).to.equal('2001:one more');
  });
});
