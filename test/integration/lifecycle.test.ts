import { expect } from 'chai';
import { decodeKvAnswer, encodeKvRequest, type Client } from '../../clients/typescript/index.js';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';

async function put(client: Client, key: string, value: string): Promise<unknown> {
  return decodeKvAnswer((await client.request(encodeKvRequest({ op: 'put', key, value }))).value);
}

async function get(client: Client, key: string): Promise<unknown> {
  return decodeKvAnswer((await client.request(encodeKvRequest({ op: 'get', key }))).value);
}

describe('integration: clusters of real processes', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('Visher: one node is a cluster: it leads at once and serves its application', async () => {
    const one = await cluster({ nodes: 1, app: 'kvapp' });
    const leader = await one.leader();
    const client = one.client();
    expect(await put(client, 'greeting', 'hello world')).to.eql({ ok: true, value: 'hello world' });
    expect(await get(client, 'greeting')).to.eql({ ok: true, value: 'hello world' });
    const { peers, role } = await leader.until('an attached app', ({ app }) => app.state === 'connected');
    expect({ peers, role }).to.eql({ peers: [], role: 'leader' });
  });

  for (const nodes of [3, 5]) {
    it(`Nappo: ${nodes} nodes elect unasked, put and get through every node, and keep one log`, async () => {
      const all = await cluster({ nodes, app: 'kvapp', default_times: true });
      const { leader, followers } = await all.roles();

      for (const [i, node] of all.nodes.entries()) {
        const client = all.client({ servers: node.name });
        expect(await put(client, `key ${i}`, `value ${i}`)).to.eql({ ok: true, value: `value ${i}` });
      }
      const client = all.client({ servers: followers.at(-1)!.name });
      for (const i of all.nodes.keys()) {
        expect(await get(client, `key ${i}`)).to.eql({ ok: true, value: `value ${i}` });
      }
      expect(await get(client, 'nothing')).to.eql({ ok: false, error: 'not found' });

      for (const follower of followers) {
        const redirect = await (await all.connect(follower)).hello();
        expect(redirect).to.deep.include({ type: 9, leaderaddress: leader.address, leaderport: leader.port });
      }
      const count = await all.settled(all.nodes, 2 * nodes + 1);
      const logs = await Promise.all(all.nodes.map((node) => all.log(node, count)));
      for (const log of logs) expect(log).to.eql(logs[0]);
      expect(logs[0]!.filter(({ noset }) => !noset)).to.have.length(2 * nodes + 1);
    });
  }

  it('Fauerbach: four peers install a leader at start without any client, and execute an update by printing', async () => {
    const four = await cluster({ nodes: 4, app: 'printapp' });
    const leader = await four.leader();
    const before = await Promise.all(four.nodes.map((node) => node.status()));
    expect(before.map((status) => status?.leader)).to.eql(four.nodes.map(() => leader.name));
    expect(before.map((status) => status?.clients.sessions)).to.eql([0, 0, 0, 0]);

    const { value, id, no, entry } = await four.client().request('move the ship to C7');
    expect(value).to.equal('move the ship to C7');
    const line = `app | entry ${entry}, client ${id}, request ${no}: "move the ship to C7"`;
    await leader.process.logged('app-output', ({ msg }) => msg === line);
    expect(await four.settled(four.nodes, entry + 1)).to.equal(entry + 1);
  });

  it('Nappo: every process can be initialised and started by hand, with the log level from its environment', async () => {
    const one = await cluster({ nodes: 1, env: { LOG_LEVEL: 'debug' } });
    const { value } = await one.client().request('say it aloud');
    expect(value).to.equal('say it aloud');
    const node = one.nodes[0]!;
    const debug = await node.process.until('the way of the request in the log', () => {
      const lines = node.process.log().filter(({ level }) => level === 20);
      return lines.length > 0 ? lines : undefined;
    });
    expect(debug).to.not.be.empty;

    const directory = `${one.folder}/by-hand`;
    const init = await one.command('init', '--listen', '127.0.0.1:45999', '--data-dir', directory);
    expect(init).to.deep.include({ code: 0, stderr: '' });
    expect(init.stdout).to.contain(`--data-dir ${directory}`);
    const again = await one.command('init', '--listen', '127.0.0.1:45999', '--data-dir', directory);
    expect(again.code).to.equal(1);
    expect(again.stderr).to.contain('is not empty').and.contain('paxosd start');
  });
});
