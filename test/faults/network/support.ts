import { expect } from 'chai';
import type { Cluster, TestNode } from '../../support/cluster.js';
import { eventually } from '../../support/process.js';
import type { Load } from '../support/load.js';
import { deep } from '../support/mode.js';

/** Times by which a busy machine elects nobody by mistake, for rows that count elections. */
export const PATIENT = ['--heartbeat-ms', '100', '--leader-timeout-ms', '800'];

/** As long as several elections take by the times of most tests. */
const CALM_MS = deep(1_500, 5_000);

/** How long a cluster may take to calm down: more than the longest back-off after a try, some times over. */
const UNREST_MS = 40_000;

/** The hosts' numbers of these nodes. */
export function indicesOf(all: Cluster, nodes: readonly TestNode[]): number[] {
  return nodes.map((node) => all.nodes.indexOf(node));
}

export function others(all: Cluster, ...but: readonly TestNode[]): TestNode[] {
  return all.nodes.filter((node) => !but.includes(node));
}

/** Leaves the leader where it was, and in its round. */
export async function expectSameReign(leader: TestNode, what: () => Promise<void>): Promise<void> {
  const before = await leader.until('its status', () => true);
  await what();
  const after = await leader.until('its status', () => true);
  const reign = ({ role, promised_round }: typeof before): object => ({ role, promised_round });
  expect(reign(after)).to.eql(reign(before));
}

/**
 * Elections come to an end: one leader among these stays the one, in one round, for as long as several elections take,
 * while requests are answered.
 */
export async function expectCalm(among: readonly TestNode[], work: Load): Promise<void> {
  let since_ms = performance.now();
  let last = '';
  await eventually(
    'a leader that stays',
    async () => {
      const found = await Promise.all(among.map((node) => node.status()));
      const reigns = found.flatMap((status) =>
        status?.role === 'leader' ? [`${status.address} at ${status.promised_round}`] : [],
      );
      const now = reigns.join(', ');
      if (now !== last || reigns.length !== 1) since_ms = performance.now();
      last = now;
      return performance.now() - since_ms > CALM_MS ? true : undefined;
    },
    { timeout_ms: UNREST_MS, seen: () => last },
  );
  await work.more(50);
}
