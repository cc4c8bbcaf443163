import { expect } from 'chai';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import type { Cluster } from '../support/cluster.js';
import { PROJECT, type Program } from '../support/process.js';

/** Puts an acceptor in the place of the third node that knows only the base text. */
async function withLiteralPeer(all: Cluster): Promise<Program> {
  const program = `${PROJECT}dist/test/support/cluster-literal-peer.js`;
  const literal = all.run('literal peer', [process.execPath, program, all.nodes[2]!.name]);
  await literal.until('that it listens', () => (literal.stdout.includes('listens') ? true : undefined));
  return literal;
}

function accepted(literal: Program): string[] {
  return literal.stdout.split('\n').filter((line) => line.startsWith('accepted'));
}

describe('integration: a peer that knows the base text only', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it('Visher: requests are chosen with its acceptances when the other node is dead', async () => {
    const all = await cluster({ nodes: 3, starting: [0, 1] });
    const literal = await withLiteralPeer(all);
    const real = all.running;
    const leader = await all.leader();
    const started_ms = performance.now();
    const other = real.find((node) => node !== leader)!;
    const client = all.client({ servers: real.map(({ name }) => name) });
    await client.request('with everybody');

    await other.kill();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => client.request(`request ${i}`)));
    expect(answers.map(({ value }) => value)).to.eql(Array.from({ length: 20 }, (_, i) => `request ${i}`));
    for (const { entry, value } of answers) {
      const isIt = (line: string) => line.startsWith(`accepted ${entry} `) && line.endsWith(`"${value}"`);
      // Its words come through a pipe, which may be read after the answer that they went before.
      await literal.until(`word of entry ${entry}`, () => accepted(literal).find(isIt));
    }
    expect(literal.stdout).to.contain('heartbeat');
    // What it can't read are probes, one a second from each of the others; all else came to it one by one.
    const probes = 2 * (2 + Math.ceil((performance.now() - started_ms) / 1_000));
    expect(literal.stdout.split('\n').filter((line) => line === 'unreadable').length).to.be.at.most(probes);
  });

  it('Visher: its promise makes a leader, in an empty log', async () => {
    const all = await cluster({ nodes: 3, starting: [0, 1] });
    const literal = await withLiteralPeer(all);
    const real = all.running;
    const leader = await all.leader();
    const survivor = real.find((node) => node !== leader)!;
    await leader.kill();
    await survivor.until('its reign', ({ role }) => role === 'leader');
    const { promised_round } = (await survivor.status())!;
    expect(literal.stdout.split('\n')).to.contain(`promised 0 ${promised_round}`);
    const client = all.client({ servers: survivor.name });
    expect((await client.request('by two')).value).to.equal('by two');
    expect(accepted(literal).at(-1)).to.match(/"by two"$/);
  });
});
