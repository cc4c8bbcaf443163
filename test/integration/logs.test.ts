import { expect } from 'chai';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import type { LogLine } from '../support/process.js';

describe('integration: logs', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('at level debug an entry can be followed from its request to its response, over all nodes', async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP, env: { LOG_LEVEL: 'debug' } });
    await all.client().request('before');
    const { id, no, entry, value } = await all.client().request('followed');
    expect(value).to.equal('2:followed');
    await all.settled(all.nodes, entry + 1);
    const { leader, follower } = await all.roles();

    /** The places of these lines in the log of a node; each is looked for behind the one before. */
    const way = (lines: readonly LogLine[], steps: readonly ((line: LogLine) => boolean)[]): number[] => {
      const places: number[] = [];
      for (const is of steps)
        places.push(lines.findIndex((line, i) => i > (places.at(-1) ?? -1) && is(line)));
      return places;
    };
    const of = (code: string, text: string) => (line: LogLine) =>
      line.code === code && line.msg.includes(text) && line['entry'] === entry;
    const ours = (test: (line: LogLine) => boolean) => (line: LogLine) =>
      test(line) && line['id'] === id && line['no'] === no;

    await leader.process.logged('reply', ours(of('reply', 'ClientResponse')));
    const at_leader = leader.process.log();
    const persisted = at_leader.find(of('persist-accepted', 'accepted'));
    const led = way(at_leader, [
      (line) => line.code === 'request' && line['id'] === id && line['no'] === no,
      ours(of('send', 'AcceptRequest')),
      ours(of('receive', 'Accepted')),
      (line) => line.code === 'committed' && Number(line['committed']) > entry,
      of('app-response', 'answered'),
      ours(of('reply', 'ClientResponse')),
    ]);
    expect(led, JSON.stringify(at_leader.slice(-30))).to.satisfy((places: number[]) =>
      places.every((place) => place >= 0),
    );
    expect(persisted?.['position']).to.be.a('number');

    const at_follower = follower.process.log();
    const accepted = at_follower.find(of('persist-accepted', 'accepted'));
    const sent = at_follower.find(ours(of('send', 'Accepted')));
    expect(sent?.['after']).to.be.at.least(Number(accepted?.['position']));
    const followed = way(at_follower, [
      ours(of('receive', 'AcceptRequest')),
      of('persist-accepted', 'accepted'),
      ours(of('send', 'Accepted')),
      (line) => line.code === 'durable' && Number(line['position']) >= Number(accepted?.['position']),
      (line) => line.code === 'committed' && Number(line['committed']) > entry,
    ]);
    expect(followed).to.satisfy((places: number[]) => places.every((place) => place >= 0));
  });

  it('at level info no line is written for a request', async () => {
    const all = await cluster({ nodes: 1 });
    const node = await all.leader();
    const client = all.client();
    await client.request('first');
    const before = node.process.log().length;
    for (let i = 0; i < 20; i++) await client.request(`number ${i}`);
    expect(node.process.log().slice(before)).to.eql([]);
  });
});
