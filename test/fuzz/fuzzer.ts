import { readdirSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { SeededRandom } from '../support/random.js';
import { storeCase } from './corpus.js';
import { kindOf, type Outcome, type Target } from './target.js';

/** Cases, seeds among them, that new ones are made from, of those taken and of the others; new ones push old ones out. */
const MAX_KEPT = 2_000;

/** Longer cases are tried and not kept: most of a run would go into reading them. */
const MAX_KEPT_BYTES = 2_000;

/** Runs of a failing case while it is made smaller. */
const MAX_SHRINKING_RUNS = 5_000;

/** Signatures that are told apart; past it nothing counts as new. */
const MAX_SIGNATURES = 100_000;

/** What the process takes at one moment. */
export interface Sample {
  readonly cases: number;
  readonly rss_bytes: number;
  readonly heap_bytes: number;
  readonly descriptors: number;
}

export interface Failure {
  readonly target: string;
  readonly kind: string;
  readonly message: string;
  /** Where the case is kept, made small. */
  readonly file: string;
}

export interface Report {
  /** Cases, seeds among them, that others were made from at the end. */
  readonly kept: number;
  readonly cases: number;
  readonly took_ms: number;
  /** What became of cases, or of each message in them, by target and code. */
  readonly codes: ReadonlyMap<string, number>;
  readonly samples: readonly Sample[];
  readonly failure: Failure | undefined;
}

/** How often a case is made from one that was taken: what is refused at the first byte leads nowhere. */
const FROM_TAKEN = 0.7;

/** A target with what was found interesting for it. */
class Pool {
  /** Cases that were taken, and such that weren't. */
  readonly #taken: Buffer[] = [];
  readonly #refused: Buffer[] = [];
  /** Their checksums: texts would make up most of the memory. */
  readonly #signatures = new Set<number>();
  #next = 0;

  private constructor(readonly target: Target) {}

  /** Runs the seeds, to see which of them are taken. */
  static async of(target: Target): Promise<Pool> {
    const pool = new Pool(target);
    for (const seed of target.seeds) {
      const { isTaken } = await target.run(seed);
      (isTaken ? pool.#taken : pool.#refused).push(seed);
    }
    return pool;
  }

  get size(): number {
    return this.#taken.length + this.#refused.length;
  }

  pick(random: SeededRandom): Buffer {
    const isTaken = this.#refused.length === 0 || (this.#taken.length > 0 && random.chance(FROM_TAKEN));
    return random.pick(isTaken ? this.#taken : this.#refused);
  }

  /** Keeps a case that came to something new. */
  note(bytes: Buffer, { signature, isTaken }: Outcome): void {
    if (bytes.length > MAX_KEPT_BYTES) return;
    const checksum = crc32(signature);
    if (this.#signatures.has(checksum) || this.#signatures.size >= MAX_SIGNATURES) return;
    this.#signatures.add(checksum);
    const list = isTaken ? this.#taken : this.#refused;
    // A copy: what a case was cut from must not stay in memory with it.
    if (list.length < MAX_KEPT) list.push(Buffer.from(bytes));
    else list[this.#next++ % MAX_KEPT] = Buffer.from(bytes);
  }
}

/** The platform's collector, if the process was started with `--expose-gc`. */
const collect = (globalThis as { gc?: () => void }).gc;

export function sample(cases: number): Sample {
  collect?.();
  const { rss, heapUsed } = process.memoryUsage();
  return { cases, rss_bytes: rss, heap_bytes: heapUsed, descriptors: readdirSync('/proc/self/fd').length };
}

/** What a case throws, as its kind; undefined if it doesn't. */
async function failureOf(
  target: Target,
  bytes: Buffer,
): Promise<{ kind: string; error: unknown } | undefined> {
  try {
    await target.run(bytes);
    return undefined;
  } catch (error) {
    return { kind: kindOf(error), error };
  }
}

/** The smallest case found that fails in the same way. */
export async function shrink(target: Target, bytes: Buffer, kind: string): Promise<Buffer> {
  let smallest = bytes;
  let runs = 0;
  for (let found = true; found;) {
    found = false;
    for (const candidate of target.smaller(smallest)) {
      if (++runs > MAX_SHRINKING_RUNS) return smallest;
      if (candidate.equals(smallest) || (await failureOf(target, candidate))?.kind !== kind) continue;
      smallest = candidate;
      found = true;
      break;
    }
  }
  return smallest;
}

function pickPool(pools: readonly Pool[], random: SeededRandom): Pool {
  let left = random.next() * pools.reduce((sum, { target }) => sum + target.weight, 0);
  for (const pool of pools) {
    left -= pool.target.weight;
    if (left < 0) return pool;
  }
  return random.pick(pools);
}

export interface FuzzOptions {
  readonly cases: number;
  readonly seed: number;
  /** Where a case that fails is kept; the corpus that the tests run, if absent. */
  readonly corpus?: string;
  readonly onSample?: (sample: Sample) => void;
}

/** Runs `cases` cases drawn from `seed`, up to the first that fails, which is made small and kept in `corpus`. */
export async function fuzz(
  targets: readonly Target[],
  { cases, seed, corpus, onSample }: FuzzOptions,
): Promise<Report> {
  const random = new SeededRandom(seed);
  const pools = await Promise.all(targets.map((target) => Pool.of(target)));
  const codes = new Map<string, number>();
  const samples: Sample[] = [];
  const began_ms = performance.now();
  const quarter = Math.max(1, Math.floor(cases / 4));
  const measure = (): void => {
    const measured = sample(done);
    samples.push(measured);
    onSample?.(measured);
  };
  let failure: Failure | undefined;
  let done = 0;
  for (; done < cases && failure === undefined; done++) {
    if (done % quarter === 0) measure();
    const pool = pickPool(pools, random);
    const { target } = pool;
    const bytes = target.mutate(pool.pick(random), pool.pick(random), random);
    try {
      // Waiting for what is there already would cost a turn per case.
      const outcome = target.run(bytes);
      const become = outcome instanceof Promise ? await outcome : outcome;
      for (const code of become.codes) {
        const name = `${target.name}: ${code}`;
        codes.set(name, (codes.get(name) ?? 0) + 1);
      }
      pool.note(bytes, become);
    } catch (error) {
      failure = await explain(target, bytes, error, corpus);
    }
  }
  measure();
  const kept = pools.reduce((sum, pool) => sum + pool.size, 0);
  return { kept, cases: done, took_ms: performance.now() - began_ms, codes, samples, failure };
}

async function explain(target: Target, bytes: Buffer, error: unknown, corpus?: string): Promise<Failure> {
  const kind = kindOf(error);
  const small = await shrink(target, bytes, kind);
  const found = await failureOf(target, small);
  const reason = found?.error ?? error;
  const message = reason instanceof Error ? reason.message : String(reason);
  return { target: target.name, kind, message, file: storeCase(target.name, small, corpus) };
}

/** What may come and go: a page here, a compiled function there. */
const SPARE_BYTES = 64 * 1024 * 1024;

/** Whether memory and descriptors stayed where they were, once everything was warm. */
export function isFlat({ samples }: Report): boolean {
  const [warm, last] = [samples[1], samples.at(-1)];
  if (warm === undefined || last === undefined) return true;
  return last.rss_bytes <= warm.rss_bytes + SPARE_BYTES && last.descriptors <= warm.descriptors;
}
