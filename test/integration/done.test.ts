import { expect } from 'chai';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import { gone, isAlive } from '../support/process.js';
import { RawUdp } from '../support/process-wire.js';

const DONE = { type: 15 };

describe('integration: Done', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('Visher: Done to a follower ends it properly; the others go on, and it is not told so again by its journal', async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP });
    const { leader, follower } = await all.roles();
    await all.client().request('before');
    (await all.connect(follower)).send(DONE);
    expect(await follower.process.ended).to.eql({ code: 0, signal: null });
    expect(follower.process.log('done')).to.have.length(1);
    expect((await all.client().request('without it')).value).to.equal('2:without it');
    expect((await all.leader()).name).to.equal(leader.name);

    await follower.start();
    await all.settled(all.nodes, 2);
    expect(follower.process.log('done')).to.eql([]);
    expect((await all.client().request('with it again')).value).to.equal('3:with it again');
  });

  it('Visher: Done to the leader ends it and its application; another leads, with an application of its own', async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP });
    const leader = await all.leader();
    expect((await all.client().request('before')).value).to.equal('1:before');
    const { app } = await leader.until('an application', (status) => status.app.state === 'connected');
    const pid = 'pid' in app ? app.pid : undefined;
    expect(pid !== undefined && isAlive(pid)).to.equal(true);

    (await all.connect(leader)).send(DONE);
    expect(await leader.process.ended).to.eql({ code: 0, signal: null });
    await gone(pid!);
    expect((await all.client().request('after')).value).to.equal('2:after');
    expect((await all.leader()).name).to.not.equal(leader.name);
  });

  it('a client whose request is open when the node is told Done hears that it may ask elsewhere', async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP });
    const { raw, id, leader } = await all.session();
    raw.request(1, `wait ${all.folder}/never`);
    await leader.until('the request in the log', ({ app }) => 'unanswered' in app && app.unanswered > 0);
    (await all.connect(leader)).send(DONE);
    const told = await raw.next('the goodbye');
    expect(told.error).to.match(/^stopping: /);
    await raw.ended();
    await leader.process.ended;
    expect((await all.session(id)).id).to.equal(id);
  });

  it("row 63: a peer's Done over UDP is obeyed, a stranger's is not, nor one in a peer's name from another port", async () => {
    const all = await cluster({ nodes: 3 });
    const { leader, followers } = await all.roles();
    const [peer, target] = followers;
    await peer!.kill();
    const stranger = await RawUdp.bind({ address: leader.address, port: '0' });
    const asPeer = { ...DONE, fromaddress: peer!.address, fromport: peer!.port };
    await stranger.send(target!, DONE);
    await stranger.send(target!, asPeer);
    await stranger.close();
    await target!.until('both dropped', ({ refused }) => (refused['datagram-stranger'] ?? 0) >= 2);
    expect(target!.running).to.equal(true);

    const played = await RawUdp.bind(peer!);
    await played.send(target!, asPeer);
    expect(await target!.process.ended).to.eql({ code: 0, signal: null });
    await played.close();
  });

  it('Done to a single node, and SIGTERM, leave a log that the next life goes on with', async () => {
    const all = await cluster({ nodes: 1, app: TEST_APP });
    const node = all.nodes[0]!;
    await all.client().request('first');
    (await all.connect(node)).send(DONE);
    expect((await node.process.ended).code).to.equal(0);
    await node.start();
    expect((await all.client().request('second')).value).to.equal('2:second');
    expect(await node.process.end('SIGTERM')).to.eql({ code: 0, signal: null });
    await node.start();
    expect((await all.client().request('third')).value).to.equal('3:third');
  });
});
