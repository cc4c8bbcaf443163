import type { Period } from './soak.js';

const MIB = 1024 * 1024;

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Faults by kind, the most frequent first. */
function listed(faults: ReadonlyMap<string, number>): string {
  const all = [...faults].sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
  return all.map(([kind, count]) => `${kind} ${count}`).join(', ');
}

function sum(faults: ReadonlyMap<string, number>): number {
  return [...faults.values()].reduce((total, each) => total + each, 0);
}

/** One line that says what a period brought. It is only printed when all checks have passed. */
export function periodLine(period: Period): string {
  const { number, faults, acknowledged, abandoned, refused, leader_ms, answer_ms, entries, vitals } = period;
  const { elections, tries, rounds, rss_bytes, peak_rss_bytes, descriptors, journal_bytes } = vitals;
  return [
    `${number}: ${sum(faults)} faults (${listed(faults)})`,
    `${acknowledged} acknowledged, ${abandoned} abandoned, ${refused} refused`,
    `${elections} elections in ${tries} tries, rounds +${rounds}`,
    `healed: leader ${seconds(leader_ms)}, answer ${seconds(answer_ms)}`,
    `rss ${mib(rss_bytes)} (peak ${mib(peak_rss_bytes)}), ${descriptors} descriptors, journal ${mib(journal_bytes)}`,
    `${entries} entries: equal logs, each answer once, linearizable`,
  ].join(' | ');
}

/** What all periods brought together. */
export class Totals {
  readonly periods: Period[] = [];

  add(period: Period): void {
    this.periods.push(period);
  }

  /** Lines for the end of a run. */
  lines(): string[] {
    const { periods } = this;
    const faults = new Map<string, number>();
    for (const period of periods) {
      for (const [kind, count] of period.faults) faults.set(kind, (faults.get(kind) ?? 0) + count);
    }
    const total = (of: (period: Period) => number): number =>
      periods.reduce((all, each) => all + of(each), 0);
    const most = (of: (period: Period) => number): number => Math.max(0, ...periods.map(of));
    const last = periods.at(-1);
    return [
      `${sum(faults)} faults: ${listed(faults)}`,
      `${total((p) => p.acknowledged)} requests acknowledged, ${total((p) => p.abandoned)} abandoned with unknown ` +
        `outcome, ${total((p) => p.refused)} refused for certain, ${total((p) => p.lost_sessions)} lost with their session`,
      `${last?.entries ?? 0} entries, of them ${last?.no_ops ?? 0} no-ops and ${last?.duplicates ?? 0} repeated requests`,
      `${total((p) => p.vitals.elections)} elections in ${total((p) => p.vitals.tries)} tries, rounds grew by ` +
        `${total((p) => p.vitals.rounds)}`,
      `after healing a leader within ${seconds(most((p) => p.leader_ms))} and an answer within ` +
        seconds(most((p) => p.answer_ms)),
      `at most ${mib(most((p) => p.vitals.peak_rss_bytes))} resident, ${most((p) => p.vitals.descriptors)} ` +
        `descriptors, a journal of ${mib(most((p) => p.vitals.journal_bytes))} per node`,
    ];
  }
}
