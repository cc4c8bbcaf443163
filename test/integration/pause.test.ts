import { expect } from 'chai';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';

/** For at least so long somebody is stopped, while the others work: several leader timeouts. */
const PAUSE_MS = 2_000;

const put = (value: string): string => JSON.stringify({ op: 'put', key: 'k', value });
const GET = '{"op":"get","key":"k"}';

describe('integration: processes that are stopped for a while', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('row 5: a leader stopped while another commits steps down when it goes on, and gives no stale answer', async () => {
    const all = await cluster({ nodes: 3, app: 'kvapp', default_times: true });
    const { raw, id, leader } = await all.session();
    raw.request(1, put('old'));
    expect((await raw.next()).value).to.equal('{"ok":true,"value":"old"}');
    const { promised_round } = (await leader.status())!;

    leader.process.signal('SIGSTOP');
    const others = all.nodes.filter((node) => node !== leader);
    const client = all.client({ servers: others.map(({ name }) => name), greeting_ms: 500 });
    const end_ms = performance.now() + PAUSE_MS;
    let newest = '';
    for (let i = 0; performance.now() < end_ms; i++) {
      newest = `{"ok":true,"value":"new ${i}"}`;
      expect((await client.request(put(`new ${i}`))).value).to.equal(newest);
    }
    // Asked of the stopped one: the question waits in its socket, before everything that could depose it.
    raw.request(2, GET);
    leader.process.signal('SIGCONT');
    const answer = await raw.next('an answer of the deposed leader');
    expect(answer.value ?? '', 'a value can only be the newest').to.be.oneOf(['', newest]);
    if (answer.type !== 9) expect(answer.error).to.match(/^(leadership-lost|no-leader|timeout): /);
    await leader.process.logged('abdicated');

    const successor = await all.leader();
    expect(successor.name).to.not.equal(leader.name);
    expect((await leader.status())!.promised_round).to.be.above(promised_round);
    const again = await all.session(id);
    again.raw.request(2, GET);
    expect((await again.raw.next()).value).to.equal(newest);
    const count = await all.settled();
    expect(await all.log(leader, count)).to.eql(await all.log(successor, count));
  });

  it('row 6: a follower stopped while heartbeats queue elects nobody when it goes on', async () => {
    const all = await cluster({ nodes: 3, default_times: true });
    const { leader, follower } = await all.roles();
    const client = all.client({ servers: leader.name });
    await client.request('before');
    const { promised_round } = (await leader.status())!;
    // Both may have stood when they began.
    const stood = follower.process.log('standing').length;

    follower.process.signal('SIGSTOP');
    const end_ms = performance.now() + PAUSE_MS;
    let last = 0;
    while (performance.now() < end_ms) last = (await client.request('meanwhile')).entry;
    follower.process.signal('SIGCONT');
    await follower.until('all that it missed', ({ entries }) => entries.chosen > last);
    expect((await client.request('after')).value).to.equal('after');

    expect((await all.leader()).name).to.equal(leader.name);
    for (const node of all.nodes) expect((await node.status())!.promised_round).to.equal(promised_round);
    expect(follower.process.log('standing')).to.have.length(stood);
  });

  it('row 8: all stopped at once and going on one after the other agree and lose nothing', async () => {
    const all = await cluster({ nodes: 3 });
    const client = all.client({ silence_ms: 1_000 });
    const { entry } = await client.request('before');
    for (const node of all.nodes) node.process.signal('SIGSTOP');
    const waiting = client.request('while nobody runs');
    for (const node of all.nodes) {
      node.process.signal('SIGCONT');
      await node.until('a sign of life', () => true);
    }
    expect((await waiting).value).to.equal('while nobody runs');
    const count = await all.settled(all.nodes, entry + 2);
    const logs = await Promise.all(all.nodes.map((node) => all.log(node, count)));
    expect(logs[1]).to.eql(logs[0]);
    expect(logs[2]).to.eql(logs[0]);
  });
});
