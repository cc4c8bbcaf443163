import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createAgent, initialise, type Agent } from '../../src/index.js';
import { freePorts } from '../support/cluster-ports.js';

describe('server, the agent as a library', () => {
  let folder: string;
  let agent: Agent;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'paxosd-agent-'));
    const [port] = await freePorts(1);
    const self = { address: '127.0.0.1', port: String(port) };
    await initialise(join(folder, 'node'), { self, agents: [self] });
    agent = createAgent({ data_dir: join(folder, 'node') });
  });

  afterEach(async () => {
    await agent.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('leads alone, tells so, and can be started once', async () => {
    const led = once(agent, 'leader');
    await agent.start();
    const [leader] = (await led) as [string];
    expect(leader).to.equal(`${agent.address.address}:${agent.address.port}`);
    expect(agent.status).to.include({ role: 'leader', ready: true, leader });
    const again: unknown = await agent.start().catch((error: unknown) => error);
    expect(again).to.be.an('error').with.property('message', 'an agent is started once; make another one');
  });

  it('gives everything back when it is stopped while it starts', async () => {
    const starting = agent.start().catch((error: unknown) => error);
    await agent.stop();
    expect(await starting)
      .to.be.an('error')
      .with.property('message')
      .that.contains('while it started');

    agent = createAgent({ data_dir: join(folder, 'node') });
    await agent.start(); // the directory and the port are free again
    expect(agent.status.role).to.be.oneOf(['leader', 'candidate', 'follower']);
  });
});
