import { expect } from 'chai';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';

describe('integration: status over HTTP', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('/healthz, /readyz and /status tell a node without a leader from a cluster that works', async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp' });
    const { leader, followers } = await all.roles();
    await all.client().request('{"op":"put","key":"k","value":"v"}');
    const chosen = await all.settled(all.nodes, 1);
    const { status, body } = await leader.get('/readyz');
    expect({ status, ready: body['ready'], leader: body['leader'] }).to.eql({
      status: 200,
      ready: true,
      leader: leader.name,
    });

    const at_leader = await leader.until('an application', ({ app }) => app.state === 'connected');
    expect(at_leader).to.deep.include({
      address: leader.name,
      role: 'leader',
      leader: leader.name,
      ready: true,
    });
    expect(at_leader.entries).to.deep.include({ accepted: chosen, chosen, applied: chosen });
    expect(at_leader.pid).to.equal(leader.process.pid);
    expect(at_leader.journal.bytes).to.be.above(0);
    expect(at_leader.peers.map(({ address }) => address)).to.eql(followers.map(({ name }) => name));
    for (const peer of at_leader.peers) {
      expect(peer.last_message).to.be.a('string');
      expect(peer.last_heard_ms_ago).to.be.a('number');
    }
    const at_follower = (await followers[0]!.status())!;
    expect(at_follower).to.deep.include({ role: 'follower', leader: leader.name, ready: true });
    expect(at_follower.promised_round).to.equal(at_leader.promised_round);
    expect(at_follower.app.state).to.equal('stopped');

    await Promise.all([leader.kill(), followers[1]!.kill()]);
    const alone = followers[0]!;
    await alone.until('no leader', (now) => now.leader === null);
    expect(await alone.get('/healthz')).to.eql({ status: 200, body: { alive: true } });
    expect((await alone.get('/readyz')).status).to.equal(503);
    expect((await alone.status())?.ready).to.equal(false);

    await leader.start();
    await alone.until('a leader again', (now) => now.ready);
    expect((await alone.get('/readyz')).status).to.equal(200);
    expect((await alone.get('/nothing')).status).to.equal(404);
  });
});
