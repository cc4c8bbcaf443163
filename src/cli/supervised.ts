import { Exit } from './failure.js';

/**
 * What a node that `paxosd cluster` has started tells it, over the channel between them.
 * `started`: it listens. `leader`: whom it follows, itself perhaps; null: it knows nobody.
 */
export type NodeReport =
  { readonly report: 'started' } | { readonly report: 'leader'; readonly leader: string | null };

/** Tells the cluster command; it may be gone, and then nobody is to be told. */
export function reportToCluster(report: NodeReport): void {
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
}

/** A child's report, if what came is one. */
export function asReport(message: unknown): NodeReport | undefined {
  if (typeof message !== 'object' || message === null || !('report' in message)) return undefined;
  if (message.report === 'started') return { report: 'started' };
  if (message.report !== 'leader' || !('leader' in message)) return undefined;
  const { leader } = message;
  return typeof leader === 'string' || leader === null ? { report: 'leader', leader } : undefined;
}

/** How long a node that has lost the cluster command may take to stop; nobody else would end one that hangs. */
const ORPHAN_GRACE_MS = 10_000;

/** Calls `stop` when the cluster command is gone, however it ended: its nodes must not be left over. */
export function onClusterGone(stop: () => void): void {
  const end = (): void => {
    setTimeout(() => process.exit(Exit.Failed), ORPHAN_GRACE_MS).unref();
    stop();
  };
  if (process.connected) process.once('disconnect', end);
  else end();
}
