import { createHash } from 'node:crypto';
import { KvStore } from '../../clients/typescript/index.js';
import type { Cluster, LogEntry, TestNode } from '../support/cluster.js';
import { must } from './options.js';
import type { Acknowledged } from './record.js';

/** Entries asked of a node at a time, so that a long log needn't be in memory at once. */
const CHUNK_ENTRIES = 10_000;

/** The constants of the session table (spec.md, "Limits"); this one is folded by hand. */
const MAX_SESSIONS = 4096;
const MAX_NUMBERS = 256;

/** What a chosen entry did. */
interface Executed {
  readonly entry: number;
  readonly asked: string;
  readonly answer: string;
}

interface Session {
  floor: number;
  readonly numbers: Set<number>;
}

/**
 * What the cluster must have done, told by the log alone: the log is read from every node and compared, folded into a
 * session table and a key-value store of its own, and every answer that a client got is held against it.
 */
export class Audit {
  readonly #sessions = new Map<number, Session>();
  #floor = 0;
  readonly #store = new KvStore();
  readonly #hash = createHash('sha256');
  /** Entries that were read, compared and folded. */
  checked = 0;
  duplicates = 0;
  no_ops = 0;
  /** Total length of the values read, in characters. */
  value_length = 0;

  /** What the key-value store holds at `checked`; undefined: nothing. */
  valueOf(key: string): string | undefined {
    const answer = JSON.parse(this.#store.apply(JSON.stringify({ op: 'get', key }))) as {
      ok: boolean;
      value?: string;
    };
    return answer.ok ? answer.value : undefined;
  }

  /** Reads what was chosen since; `count` entries are chosen on every node. Returns what they executed, by request. */
  async read(cluster: Cluster, count: number): Promise<Map<string, Executed>> {
    must(count >= this.checked, `${count} entries are chosen, ${this.checked} were chosen before`);
    const executed = new Map<string, Executed>();
    while (this.checked < count) {
      const end = Math.min(count, this.checked + CHUNK_ENTRIES);
      const entries = await sameEverywhere(cluster, this.checked, end);
      for (const entry of entries) this.#fold(entry, executed);
      this.checked = end;
    }
    return executed;
  }

  /** Reads the whole log of a node once more and holds it against all that was read before. */
  async readAgain(cluster: Cluster, node: TestNode): Promise<void> {
    const hash = createHash('sha256');
    for (let first = 0; first < this.checked; first += CHUNK_ENTRIES) {
      const entries = await cluster.log(node, Math.min(this.checked, first + CHUNK_ENTRIES), first);
      for (const entry of entries) hash.update(textOf(entry));
    }
    const [was, is] = [this.#hash.copy().digest('hex'), hash.digest('hex')];
    must(
      was === is,
      `the log of ${node.name} up to entry ${this.checked} is not what it was: ${is}, not ${was}`,
    );
  }

  #fold(log_entry: LogEntry, executed: Map<string, Executed>): void {
    const { entry, id, no, noset, value } = log_entry;
    this.#hash.update(textOf(log_entry));
    this.value_length += value.length;
    if (noset) {
      this.no_ops++;
      return;
    }
    if (!this.#isNew(id, no)) {
      this.duplicates++;
      return;
    }
    executed.set(`${id}:${no}`, { entry, asked: value, answer: this.#store.apply(value) });
  }

  /** Folds a request into the table; whether it is executed here (spec.md, "Exactly once"). */
  #isNew(id: number, no: number): boolean {
    const known = this.#sessions.get(id);
    if (known === undefined && id <= this.#floor) return false;
    if (known !== undefined && (known.numbers.has(no) || no <= known.floor)) return false;
    const session = known ?? { floor: -1, numbers: new Set<number>() };
    if (known === undefined && this.#sessions.size === MAX_SESSIONS) this.#forgetOldest();
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    session.numbers.add(no);
    if (session.numbers.size > MAX_NUMBERS) {
      session.floor = Math.min(...session.numbers);
      session.numbers.delete(session.floor);
    }
    return true;
  }

  #forgetOldest(): void {
    for (const id of this.#sessions.keys()) {
      this.#sessions.delete(id);
      this.#floor = Math.max(this.#floor, id);
      return;
    }
  }
}

function textOf({ entry, id, no, noset, value }: LogEntry): string {
  return JSON.stringify([entry, id, no, noset, value]);
}

/** Entries as every node has them. */
async function sameEverywhere(cluster: Cluster, first: number, end: number): Promise<LogEntry[]> {
  const logs = await Promise.all(cluster.nodes.map((node) => cluster.log(node, end, first)));
  const [one = []] = logs;
  for (const [i, log] of logs.entries()) {
    const at = log.findIndex((entry, k) => textOf(entry) !== textOf(one[k] ?? entry));
    must(at < 0, () => {
      const name = cluster.nodes[i]?.name ?? '';
      return `logs differ: ${name} has ${textOf(log[at]!)}, ${cluster.nodes[0]?.name ?? ''} ${textOf(one[at]!)}`;
    });
  }
  must(
    one.every(({ entry }, k) => entry === first + k),
    `the log has a gap between ${first} and ${end}`,
  );
  return one;
}

/** Every answer that was given is that of the one entry which executed its request. */
export function expectOnce(
  acknowledged: readonly Acknowledged[],
  executed: ReadonlyMap<string, Executed>,
): void {
  const taken = new Map<number, string>();
  for (const { id, no, entry, asked, answer } of acknowledged) {
    const name = `request ${no} of session ${id} (${asked})`;
    const found = executed.get(`${id}:${no}`);
    must(found !== undefined, `${name} was answered and stands nowhere in the log`);
    must(found.entry === entry, `${name} was answered for entry ${entry}, and executed by ${found.entry}`);
    must(found.asked === asked, `${name} stands in the log as ${found.asked}`);
    must(found.answer === answer, `${name} was answered ${answer}, and the log says ${found.answer}`);
    const other = taken.get(entry);
    must(other === undefined, `entry ${entry} answers two requests: ${other ?? ''} and ${name}`);
    taken.set(entry, name);
  }
}

/** What was answered before another was asked stands before it in the log: with equal answers, that is linearizability. */
export function expectOrder(acknowledged: readonly Acknowledged[]): void {
  const by_return = [...acknowledged].sort((a, b) => a.returned_ns - b.returned_ns);
  let returned = 0;
  let last: Acknowledged | undefined;
  for (const one of [...acknowledged].sort((a, b) => a.called_ns - b.called_ns)) {
    for (let next = by_return[returned]; next !== undefined && next.returned_ns < one.called_ns;) {
      if (last === undefined || next.entry > last.entry) last = next;
      next = by_return[++returned];
    }
    must(
      last === undefined || last.entry < one.entry,
      () =>
        `${one.asked} was asked after ${last?.asked ?? ''} had been answered, and stands before it in the log`,
    );
  }
}
