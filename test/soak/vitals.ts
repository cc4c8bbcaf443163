import { readdirSync, readFileSync } from 'node:fs';
import type { Cluster, TestNode } from '../support/cluster.js';
import { eventually } from '../support/process.js';
import { must } from './options.js';

/** Several times what a node takes at rest: one that grows with the length of the log gets there. */
export const MAX_RSS_BYTES = 512 * 1024 * 1024;

/** Descriptors that a node may have more than at the beginning, once nobody but the load is connected. */
const SPARE_DESCRIPTORS = 48;

/** Bytes of the journal per entry beside its value, on one node: its records and the group's frames. */
const MAX_ENTRY_BYTES = 2_048;

/** Segments that are prepared, begun or copied. */
const SPARE_JOURNAL_BYTES = 8 * 1024 * 1024;

/** Tries of candidates per fault, and per check: many mean that candidates keep each other from leading. */
const TRIES_PER_FAULT = 12;

/** What one check saw of the nodes. */
export interface Vitals {
  readonly rss_bytes: number;
  readonly peak_rss_bytes: number;
  readonly descriptors: number;
  readonly journal_bytes: number;
  /** Reigns, and tries to reign, since the last check. */
  readonly elections: number;
  readonly tries: number;
  /** How far the highest promised round has gone since. */
  readonly rounds: number;
}

function descriptorsOf({ process: { pid } }: TestNode): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** A field of `/proc/PID/status`, in bytes. */
function memoryOf({ process: { pid } }: TestNode, field: 'VmRSS' | 'VmHWM'): number {
  const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(
    readFileSync(`/proc/${pid}/status`, 'utf8'),
  )?.[1];
  return Number(kib ?? 0) * 1024;
}

/** Counts what nodes have logged, each line once. */
class LogCounter {
  /** Per life, up to where it was read. */
  readonly #read = new WeakMap<object, number>();

  count(nodes: readonly TestNode[], code: string): number {
    const mark = `"code":"${code}"`;
    let found = 0;
    for (const life of nodes.flatMap(({ lives }) => lives)) {
      const text = life.stderr;
      for (let at = text.indexOf(mark, this.#read.get(life) ?? 0); at >= 0; at = text.indexOf(mark, at + 1)) {
        found++;
      }
      this.#read.set(life, text.length);
    }
    return found;
  }
}

/** Looks after what must stay small however long a cluster runs. */
export class Doctor {
  readonly #standing = new LogCounter();
  readonly #leading = new LogCounter();
  #descriptors = 0;
  #round = 0;

  constructor(readonly cluster: Cluster) {}

  /** Notes how nodes are before anything happens to them. */
  async begin(): Promise<void> {
    this.#descriptors = Math.max(...this.cluster.nodes.map(descriptorsOf));
    await this.#examine();
  }

  /** Throws a Violation if anything has grown past its bound after `faults` faults. */
  async look(faults: number, entries: number, value_length: number): Promise<Vitals> {
    await this.#expectFewDescriptors();
    const vitals = await this.#examine();
    const { peak_rss_bytes, journal_bytes, tries, rounds } = vitals;
    must(peak_rss_bytes <= MAX_RSS_BYTES, `a node took ${peak_rss_bytes} bytes, more than ${MAX_RSS_BYTES}`);
    const max_journal_bytes = SPARE_JOURNAL_BYTES + value_length * 2 + entries * MAX_ENTRY_BYTES;
    must(
      journal_bytes <= max_journal_bytes,
      `a journal of ${entries} entries has ${journal_bytes} bytes, more than ${max_journal_bytes}`,
    );
    const max_tries = TRIES_PER_FAULT * (faults + 1);
    must(tries <= max_tries, `${tries} tries to lead after ${faults} faults, more than ${max_tries}`);
    const max_rounds = 2 * this.cluster.nodes.length * tries;
    must(rounds <= max_rounds, `rounds grew by ${rounds} in ${tries} tries, more than ${max_rounds}`);
    return vitals;
  }

  async #expectFewDescriptors(): Promise<void> {
    const max = this.#descriptors + SPARE_DESCRIPTORS;
    const seen = (): number[] => this.cluster.nodes.map(descriptorsOf);
    const areFew = (): true | undefined => seen().every((count) => count <= max) || undefined;
    await eventually(`at most ${max} descriptors per node`, areFew, { seen });
  }

  async #examine(): Promise<Vitals> {
    const { nodes } = this.cluster;
    const statuses = await Promise.all(nodes.map((node) => node.until('its status', () => true)));
    const round = Math.max(...statuses.map(({ promised_round }) => promised_round));
    const rounds = round - this.#round;
    this.#round = round;
    return {
      rss_bytes: Math.max(...nodes.map((node) => memoryOf(node, 'VmRSS'))),
      peak_rss_bytes: Math.max(...nodes.map((node) => memoryOf(node, 'VmHWM'))),
      descriptors: Math.max(...nodes.map(descriptorsOf)),
      journal_bytes: Math.max(...statuses.map(({ journal }) => journal.bytes)),
      elections: this.#leading.count(nodes, 'leading'),
      tries: this.#standing.count(nodes, 'standing'),
      rounds,
    };
  }
}
