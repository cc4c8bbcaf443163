import { expect } from 'chai';
import type { Cluster, TestNode } from '../support/cluster.js';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import { eventually } from '../support/process.js';

/** All orders of some things. */
function permutations<T>(things: readonly T[]): T[][] {
  if (things.length < 2) return [[...things]];
  return things.flatMap((thing, i) =>
    permutations([...things.slice(0, i), ...things.slice(i + 1)]).map((others) => [thing, ...others]),
  );
}

/** The values of the log at `node`, once it knows as many as `values`; no-ops and repetitions left out. */
async function valuesAt(all: Cluster, node: TestNode, count: number): Promise<string[]> {
  return (await all.executed(node, count)).map(({ value }) => value);
}

describe('integration: nodes that die and come back', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('row 1: kill -9 of the leader, the next write is acknowledged, and it catches up on its old port', async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp', default_times: true });
    const leader = await all.leader();
    const client = all.client();
    await client.request('{"op":"put","key":"greeting","value":"hello world"}');

    await leader.kill();
    const killed_ms = performance.now();
    const kept = await client.request('{"op":"get","key":"greeting"}');
    expect(kept.value).to.equal('{"ok":true,"value":"hello world"}');
    expect(performance.now() - killed_ms).to.be.below(10_000);
    const successor = await all.leader();
    expect(successor.name).to.not.equal(leader.name);
    await client.request('{"op":"put","key":"greeting","value":"meanwhile"}');

    await leader.start();
    const count = await all.settled(all.nodes, kept.entry + 2);
    expect((await all.leader()).name).to.equal(successor.name);
    expect(await all.log(leader, count)).to.eql(await all.log(successor, count));
    const found = await all.client({ servers: leader.name }).request('{"op":"get","key":"greeting"}');
    expect(found.value).to.equal('{"ok":true,"value":"meanwhile"}');
  });

  it('row 1: under load every leader in turn is killed, and each acknowledged request is logged once', async () => {
    const all = await cluster({ nodes: 3 });
    const clients = Array.from({ length: 4 }, () => all.client({ silence_ms: 500, greeting_ms: 500 }));
    const acknowledged = new Map<string, number>();
    let going = true;
    const load = clients.map(async (client, c) => {
      for (let i = 0; going; i++) {
        const value = `client ${c}, request ${i}`;
        const answer = await client.request(value, { timeout_ms: 30_000 });
        expect(answer.value).to.equal(value);
        acknowledged.set(value, answer.entry);
      }
    });
    const failed = Promise.race(load);
    for (let round = 0; round < 3; round++) {
      const leader = await all.leader();
      const before = acknowledged.size;
      await Promise.race([
        failed,
        eventually('some load', () => (acknowledged.size > before + 40 ? true : undefined)),
      ]);
      await leader.kill();
      const during = acknowledged.size;
      await Promise.race([
        failed,
        eventually('load after it', () => (acknowledged.size > during + 4 ? true : undefined)),
      ]);
      await leader.start();
    }
    going = false;
    await Promise.all(load);

    const count = await all.settled(all.nodes);
    const logs = await Promise.all(all.nodes.map((node) => all.log(node, count)));
    expect(logs[1]).to.eql(logs[0]);
    expect(logs[2]).to.eql(logs[0]);
    const first = new Map<string, number>();
    for (const { id, no, value, entry } of logs[0]!) {
      if (id > 0 && !first.has(value)) first.set(value, entry);
      if (id > 0) expect(no, 'a request has one number').to.be.above(0);
    }
    for (const [value, entry] of acknowledged) expect(first.get(value), value).to.equal(entry);
  });

  it('a leader whose process is gone is not waited for: its machine refuses connections before its time is over', async () => {
    const flags = ['--heartbeat-ms', '500', '--leader-timeout-ms', '4000'];
    const all = await cluster({ nodes: 3, flags });
    const { leader, follower } = await all.roles();
    await all.client().request('before');
    await leader.kill();
    const successor = await all.leader();
    expect(successor.name).to.not.equal(leader.name);
    const noticed = all.running.filter((node) => node.process.log('leader-gone').length > 0);
    expect(noticed, follower.output).to.not.be.empty;
    expect(noticed[0]!.process.log('leader-gone')[0]!.msg).to.include(leader.name);
    expect((await all.client().request('after')).value).to.equal('after');
  });

  it('row 3: all are killed, and two at a time restarted in every order: everything is there each time', async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const values: string[] = [];
    const client = all.client();
    for (const [i, [first, second]] of permutations(all.nodes).entries()) {
      const value = `{"op":"put","key":"order","value":"${i}"}`;
      await client.request(value);
      values.push(value);
      await Promise.all(all.running.map((node) => node.kill()));
      // The third stays away, and has more to catch up with when its turn comes.
      await first!.start();
      await second!.start();
      const got = await client.request('{"op":"get","key":"order"}');
      expect(got.value).to.equal(`{"ok":true,"value":"${i}"}`);
      values.push('{"op":"get","key":"order"}');
    }
    await all.start();
    await all.settled();
    for (const node of all.nodes) expect(await valuesAt(all, node, values.length)).to.eql(values);
  });

  it('Nappo: a minority of five fails and rejoins on the same ports; what was kept while the leader was down is there', async () => {
    const all = await cluster({ nodes: 5, app: 'kvapp' });
    const { leader, follower } = await all.roles();
    const client = all.client();
    await client.request('{"op":"put","key":"a","value":"1"}');

    await Promise.all([leader.kill(), follower.kill()]);
    expect((await client.request('{"op":"get","key":"a"}')).value).to.equal('{"ok":true,"value":"1"}');
    const { entry } = await client.request('{"op":"put","key":"b","value":"2"}');

    await all.start();
    const count = await all.settled(all.nodes, entry + 1);
    const logs = await Promise.all(all.nodes.map((node) => all.log(node, count)));
    for (const log of logs) expect(log).to.eql(logs[0]);

    // Now the others of the five can fail: those that came back hold everything that they need.
    const next = await all.leader();
    const third = all.nodes.find((node) => ![leader, follower, next].includes(node))!;
    await Promise.all([next.kill(), third.kill()]);
    expect((await client.request('{"op":"get","key":"b"}')).value).to.equal('{"ok":true,"value":"2"}');
  });

  it('row 17: a minority acknowledges nothing, says that it may or may not have happened, and goes on when healed', async () => {
    const all = await cluster({ nodes: 3, flags: ['--request-timeout-ms', '700'] });
    const { raw, id, leader } = await all.session();
    raw.request(1, 'with all');
    expect(await raw.next()).to.deep.include({ type: 8, value: 'with all' });
    const followers = all.nodes.filter((node) => node !== leader);
    await Promise.all(followers.map((node) => node.kill()));
    raw.request(2, 'alone');
    const refusal = await raw.next('an Error');
    expect(refusal.type).to.equal(16);
    expect(refusal.error).to.match(/^(leadership-lost|timeout): /);
    expect(refusal.request).to.deep.include({ id, no: 2 });

    await leader.process.logged('abdicated');
    const stranded = await all.connect(leader);
    const none = await stranded.hello();
    expect(none.error).to.match(/^no-leader: /);

    await all.start();
    const { raw: again } = await all.session(id);
    again.request(2, 'alone');
    expect(await again.next()).to.deep.include({ type: 8, value: 'alone' });
    const count = await all.settled();
    const log = await all.log(leader, count);
    const executed = log.filter(
      (entry, i) => log.findIndex(({ no }) => no === entry.no) === i && entry.id > 0,
    );
    expect(executed.map(({ value }) => value)).to.eql(['with all', 'alone']);
  });
});
