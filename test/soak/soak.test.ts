import { expect } from 'chai';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { judgedTitle } from '../faults/support/judge.js';
import type { Cluster, LogEntry } from '../support/cluster.js';
import { Audit, expectOnce, expectOrder } from './audit.js';
import { porcupine } from './judge.js';
import { Violation, type SoakOptions } from './options.js';
import type { Acknowledged } from './record.js';
import { hasStrace, soak } from './soak.js';

/** Longer than a few faults and the checks behind them take on a busy machine. */
const TEST_TIMEOUT_MS = 180_000;

const WITHOUT_STRACE = hasStrace() ? '' : ' (failing disks are skipped: no strace)';

/** A minute made small. */
function small(changes: Partial<SoakOptions> = {}): SoakOptions {
  return {
    ...{ seed: Number(process.env['SEED'] ?? 1), nodes: 3, clients: 3, steady_per_s: 40 },
    ...{ periods: 1, period_ms: 10_000, faults_per_period: 6 },
    ...{ judge: porcupine, say: () => undefined },
    ...changes,
  };
}

/** A request that was answered, asked and answered at these times. */
function acknowledged(no: number, entry: number, called_ns: number, returned_ns: number): Acknowledged {
  const value = JSON.stringify({ op: 'put', key: 'k', value: String(no) });
  const answer = JSON.stringify({ ok: true, value: String(no) });
  return { id: 1, no, entry, asked: value, answer, called_ns, returned_ns };
}

function logged(entry: number, no: number, value = String(no)): LogEntry {
  return { entry, id: 1, no, noset: false, value: JSON.stringify({ op: 'put', key: 'k', value }) };
}

/** A cluster of which only the logs matter. */
function withLogs(...logs: readonly (readonly LogEntry[])[]): Cluster {
  const nodes = logs.map((_, i) => ({ name: `node ${i}` }));
  const log = (node: { name: string }, end: number, first = 0): Promise<readonly LogEntry[]> =>
    Promise.resolve(logs[nodes.indexOf(node)]!.slice(first, end));
  return { nodes, log } as unknown as Cluster;
}

async function violation(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof Violation) return error.message;
    throw error;
  }
  return 'none';
}

describe('soak: the audit', () => {
  it('reads equal logs, and knows what they did', async () => {
    const log = [logged(0, 1), logged(1, 2), logged(2, 1, 'again'), logged(3, 3)];
    const audit = new Audit();
    expect((await audit.read(withLogs(log, log), 2)).size).to.equal(2);
    const executed = await audit.read(withLogs(log, log), 4);
    expect([...executed.keys()]).to.eql(['1:3']);
    expect(audit).to.include({ checked: 4, duplicates: 1 });
    expect(audit.valueOf('k')).to.equal('3');
    expectOnce([acknowledged(3, 3, 0, 1)], executed);
    const cluster = withLogs(log);
    await audit.readAgain(cluster, cluster.nodes[0]!);
  });

  it('finds logs that differ, that have a gap, and that change behind', async () => {
    const log = [logged(0, 1), logged(1, 2)];
    const other = [logged(0, 1), logged(1, 2, 'other')];
    expect(await violation(() => new Audit().read(withLogs(log, other), 2))).to.contain('logs differ');
    expect(await violation(() => new Audit().read(withLogs([log[0]!, logged(2, 2)]), 2))).to.contain('gap');
    const audit = new Audit();
    await audit.read(withLogs(log), 2);
    const changed = withLogs(other);
    expect(await violation(() => audit.readAgain(changed, changed.nodes[0]!))).to.contain('not what it was');
    expect(await violation(() => audit.read(withLogs(log), 1))).to.contain('were chosen before');
  });

  it('finds answers that are lost, given twice, of another entry, or wrong', async () => {
    const executed = await new Audit().read(withLogs([logged(0, 1), logged(1, 2)]), 2);
    const good = acknowledged(1, 0, 0, 1);
    expect(await violation(() => expectOnce([good], executed))).to.equal('none');
    const wrong: readonly [Partial<Acknowledged>, string][] = [
      [{ no: 7 }, 'nowhere in the log'],
      [{ entry: 1 }, 'executed by 0'],
      [{ asked: 'something else' }, 'stands in the log as'],
      [{ answer: 'something else' }, 'the log says'],
    ];
    for (const [change, message] of wrong) {
      expect(await violation(() => expectOnce([{ ...good, ...change }], executed))).to.contain(message);
    }
    expect(await violation(() => expectOnce([good, good], executed))).to.contain('two requests');
  });

  it('finds answers whose order contradicts the log', async () => {
    const overlapping = [acknowledged(1, 1, 0, 10), acknowledged(2, 0, 5, 20)];
    expect(await violation(() => expectOrder(overlapping))).to.equal('none');
    const stale = [acknowledged(1, 1, 0, 10), acknowledged(2, 0, 15, 20)];
    expect(await violation(() => expectOrder(stale))).to.contain('stands before it in the log');
  });
});

describe(`soak: a small one${WITHOUT_STRACE}`, function () {
  this.timeout(TEST_TIMEOUT_MS);

  it(judgedTitle('leaves a cluster well'), async () => {
    const said: string[] = [];
    const totals = await soak(small({ say: (line) => said.push(line) }));
    expect(totals.periods).to.have.length(1);
    const [period] = totals.periods;
    expect([...period!.faults.values()].reduce((sum, each) => sum + each, 0)).to.be.above(0);
    expect(period!.acknowledged).to.be.above(0);
    expect(said.at(-1)).to.contain('each answer once, linearizable');
  });

  it('that finds something says so, and leaves what is needed to look into it', async () => {
    const said: string[] = [];
    const judge = (): Promise<void> => Promise.reject(new Violation('not linearizable, says the test'));
    const options = small({ judge, period_ms: 1_000, say: (line) => said.push(line) });
    expect(await violation(() => soak(options))).to.contain('says the test');
    const folder = /are in (\S+)$/.exec(said.at(-1) ?? '')?.[1] ?? '';
    expect(await readFile(join(folder, 'failure.txt'), 'utf8')).to.contain('says the test');
    expect(await readFile(join(folder, 'output.log'), 'utf8')).to.contain('"code":"started"');
    await rm(folder, { recursive: true });
  });
});
