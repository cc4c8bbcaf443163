import { cp, rm } from 'node:fs/promises';
import type { Address } from '../../../src/core/address.js';
import { agentIndex, clientId, entry, requestNumber, round } from '../../../src/core/ids.js';
import type { JournalRecord } from '../../../src/core/record.js';
import { openJournal, type Journal } from '../../../src/journal/journal.js';
import { plainRecord } from '../../journal/support.js';
import type { Cluster, TestNode } from '../../support/cluster.js';

/** Everything that a data directory's journal gives back, by the shipped recovery and on the real disk. */
export async function recoverOn(directory: string, agents: readonly Address[]): Promise<JournalRecord[]> {
  const records: JournalRecord[] = [];
  const journal = await open(directory, agents, (record) => records.push(plainRecord(record)));
  await journal.close();
  return records;
}

function open(
  directory: string,
  agents: readonly Address[],
  onRecord: (record: JournalRecord) => void,
  segment_bytes?: number,
): Promise<Journal> {
  return openJournal({
    directory,
    agents,
    onRecord,
    onDurable: () => undefined,
    onFailure: (error) => {
      throw error;
    },
    log: () => undefined,
    ...(segment_bytes !== undefined && { segment_bytes }),
  });
}

/** The agents of a cluster, as its journals know them. */
export function agentsOf(all: Cluster): Address[] {
  return all.nodes.map(({ address, port }) => ({ address, port }));
}

/** Appended and committed at a time, so that memory stays bounded, here and in whoever recovers it. */
const BATCH = 10_000;

/** Fills the journal of a cluster of one that doesn't run with so many chosen entries. */
export async function fill(all: Cluster, node: TestNode, entries: number): Promise<void> {
  const journal = await open(node.directory, agentsOf(all), () => undefined, 64 * 1024 * 1024);
  const at = { round: round(0), owner: agentIndex(0) };
  journal.append({ verdict: 'promised', ...at, entry: entry(0) });
  for (let n = 0; n < entries; n++) {
    if (n % BATCH === 0) journal.append({ verdict: 'committed', committed: entry(n) });
    const decree = { id: clientId(1), no: requestNumber(n + 1), noset: false, value: `value ${n}` };
    journal.append({ verdict: 'accepted', entry: entry(n), ...at, decree });
    if (n % BATCH === 0) await journal.read(entry(n));
    while (journal.waiting_bytes > 0 && n % BATCH === 0)
      await new Promise((resolve) => setImmediate(resolve));
  }
  journal.append({ verdict: 'committed', committed: entry(entries) });
  await journal.close();
}

/** Runs something on a copy of a directory, which goes with it. */
export async function onCopy<T>(directory: string, work: (copy: string) => Promise<T>): Promise<T> {
  const copy = `${directory}.copy`;
  await cp(directory, copy, { recursive: true });
  try {
    return await work(copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}
