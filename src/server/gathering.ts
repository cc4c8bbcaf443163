import type { ClientId } from '../core/ids.js';

/**
 * How long a group waits at most for clients that come back. Longer than an answer takes to its client and the next
 * request to here, in one room.
 */
export const MAX_GATHER_MS = 2;

/** Requests in a group beyond which it waits for nobody: what a group costs is little beside what they cost. */
const MAX_GATHERED = 64;

/** What the latest group says of how many come back, against those before it. */
const WEIGHT = 1 / 4;

/**
 * Whether the next group is worth waiting for. Most clients ask, wait for the answer and ask again. Without a pause
 * they come apart into two parts of which one always waits while the other is served: each gets half the groups, and
 * every group costs each node a write, a flush and two datagrams, however few requests it holds. So the leader watches
 * who asks again right after being answered, and where most do, it waits for as many before it begins the next group.
 */
export class Gathering {
  /** Whose requests the group under way holds, and the one that was chosen last. */
  #under_way = new Set<ClientId>();
  #answered = new Set<ClientId>();
  #requests = 0;
  /** Of the answered, how many came back. */
  #returned = 0;
  /** Of the answered, what part has come back lately. */
  #share = 0;
  #chosen_ms = -Infinity;

  /** A request has come, and waits for the next group. */
  came(client: ClientId, now_ms: number): void {
    if (this.#answered.size > 0 && now_ms - this.#chosen_ms < MAX_GATHER_MS && this.#answered.delete(client))
      this.#returned++;
  }

  /** The request leaves with the group that is under way from now on. */
  leaves(client: ClientId): void {
    if (++this.#requests <= MAX_GATHERED) this.#under_way.add(client);
  }

  /** The group that was under way is chosen: its clients are being answered. */
  chosen(now_ms: number): void {
    const expected = this.#returned + this.#answered.size;
    if (expected > 0) this.#share += (this.#returned / expected - this.#share) * WEIGHT;
    const watched = this.#answered;
    watched.clear();
    this.#answered = this.#requests <= MAX_GATHERED ? this.#under_way : watched;
    this.#under_way = this.#answered === watched ? this.#under_way : watched;
    this.#under_way.clear();
    this.#requests = 0;
    this.#returned = 0;
    this.#chosen_ms = now_ms;
  }

  /** For how long, in milliseconds, the next group is worth waiting for; 0: not at all. */
  wait_ms(now_ms: number): number {
    const wanted = Math.round(this.#share * (this.#returned + this.#answered.size));
    if (this.#returned >= wanted) return 0;
    return Math.max(0, this.#chosen_ms + MAX_GATHER_MS - now_ms);
  }
}
