/** Sub-buckets of each power of two: a bucket is at most 1/128 of its values wide, so figures are true to 1 %. */
const SUB_BITS = 7;
const SUB_BUCKETS = 2 ** SUB_BITS;

/** Values below this have a bucket of their own. */
const EXACT_BELOW = 2 * SUB_BUCKETS;

/** More than half an hour in microseconds; longer ones are counted as this. */
const MAX_VALUE = 2 ** 31 - 1;

const BUCKETS = EXACT_BELOW + (31 - SUB_BITS - 1) * SUB_BUCKETS;

const US_PER_MS = 1000;

/** What is told of a set of durations, in microseconds; all 0 if there were none. */
export interface LatencySummary {
  readonly count: number;
  readonly mean_us: number;
  readonly p50_us: number;
  readonly p90_us: number;
  readonly p99_us: number;
  readonly p999_us: number;
  readonly max_us: number;
}

/** Counts durations in buckets that widen with the value: recording is two additions, and memory is fixed. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum_us = 0;
  #max_us = 0;

  get count(): number {
    return this.#count;
  }

  record(duration_ms: number): void {
    const us = Math.min(MAX_VALUE, Math.max(0, Math.round(duration_ms * US_PER_MS)));
    const bucket = bucketOf(us);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    this.#sum_us += us;
    if (us > this.#max_us) this.#max_us = us;
  }

  /** The smallest value, to 1 %, that at least this share (0 to 1) of all values doesn't exceed; 0 if there are none. */
  quantile_us(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted) return Math.min(this.#max_us, middleOf(bucket));
    }
    return 0;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      mean_us: this.#count === 0 ? 0 : this.#sum_us / this.#count,
      p50_us: this.quantile_us(0.5),
      p90_us: this.quantile_us(0.9),
      p99_us: this.quantile_us(0.99),
      p999_us: this.quantile_us(0.999),
      max_us: this.#max_us,
    };
  }
}

function bucketOf(value: number): number {
  if (value < EXACT_BELOW) return value;
  const shift = 31 - Math.clz32(value) - SUB_BITS;
  return EXACT_BELOW + (shift - 1) * SUB_BUCKETS + (value >>> shift) - SUB_BUCKETS;
}

function middleOf(bucket: number): number {
  if (bucket < EXACT_BELOW) return bucket;
  const above = bucket - EXACT_BELOW;
  const shift = Math.floor(above / SUB_BUCKETS) + 1;
  const first = ((above % SUB_BUCKETS) + SUB_BUCKETS) * 2 ** shift;
  return first + 2 ** (shift - 1);
}
