import type { Decree } from '../core/decree.js';
import { agentIndex, clientId, entry as entryOf, requestNumber, round } from '../core/ids.js';
import type { JournalRecord } from '../core/record.js';
import type { Node } from './node.js';
import { Random } from './random.js';
import { majorityOf } from './votes.js';
import type { World } from './world.js';

/** Sessions that the past's requests came from, if nothing is said. */
const PAST_SESSIONS = 7;

function pastDecree(entry: number, sessions: number): Decree {
  const id = clientId(1 + (entry % sessions));
  return { id, no: requestNumber(entry), noset: false, value: `past ${entry}` };
}

/**
 * A log from before the run: agent 0 led at round 0, a quorum accepted all of it, the others some beginning; and each
 * knows another part of it chosen.
 */
export async function writePrehistory({ plan, checker }: World, nodes: readonly Node[]): Promise<void> {
  const random = new Random(plan.seed, 'prehistory');
  const others = random
    .shuffle(nodes.filter(({ index }) => index !== 0))
    .slice(0, majorityOf(plan.nodes) - 1);
  const full = new Set([0, ...others.map(({ index }) => index)]);
  for (const node of nodes) {
    const length = full.has(node.index) ? plan.prehistory : random.below(plan.prehistory);
    const records = pastRecords(
      node.index,
      length,
      random.chance(0.7) ? length : random.below(length + 1),
      plan.past_sessions ?? PAST_SESSIONS,
    );
    await node.write(records);
    checker.onDurable(node.index, records);
  }
}

function pastRecords(node: number, length: number, committed: number, sessions: number): JournalRecord[] {
  const first = round(0);
  const owner = agentIndex(0);
  const records: JournalRecord[] = [];
  if (node === 0) records.push({ verdict: 'used', round: first, entry: entryOf(0) });
  if (node === 0 || length > 0) records.push({ verdict: 'promised', round: first, owner, entry: entryOf(0) });
  for (let e = 0; e < length; e++) {
    records.push({
      verdict: 'accepted',
      entry: entryOf(e),
      round: first,
      owner,
      decree: pastDecree(e, sessions),
    });
  }
  if (committed > 0) records.push({ verdict: 'committed', committed: entryOf(committed) });
  return records;
}
