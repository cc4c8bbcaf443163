/** How often things were seen: faults by kind, elections, and what a set of runs must see at least once. */
export class Counters {
  readonly counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  most(name: string, value: number): void {
    this.counts.set(name, Math.max(this.counts.get(name) ?? 0, value));
  }

  get(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  merge(other: Counters): void {
    for (const [name, count] of other.counts) {
      if (name.startsWith('most ')) this.most(name, count);
      else this.add(name, count);
    }
  }
}

/** A set of runs that never sees one of these proves little, and fails. */
export const SOMETIMES = [
  'leader change with a tail not chosen',
  'no-op proposed',
  'old value proposed again',
  'torn tail dropped',
  'duplicate answered from the table',
  'Nack sent',
  'AcceptRequests read as they came',
  'catch-up finished',
  'commit at a round above 0',
  'leaders found gone',
  'step-down for a silent disk',
  'damaged journal refused',
  'died in recovery',
  'died at a file operation',
  'segment begun',
  'entries loaded',
  'hostile datagrams',
  'sessions taken over',
] as const;

/** So many seeds see everything on the list. */
export const ENOUGH_SEEDS = 100;

/** What a set of runs had to see and didn't; nothing is asked of a small one. */
export function unseen(counters: Counters, runs: number): string[] {
  return runs < ENOUGH_SEEDS ? [] : SOMETIMES.filter((name) => counters.get(name) === 0);
}
