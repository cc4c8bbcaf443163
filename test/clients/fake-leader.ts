import { FakeNode, type FakeConnection } from './fake-node.js';

interface ClientMessage {
  readonly type: number;
  readonly request?: { readonly id?: number; readonly no?: number; readonly value?: string };
}

/**
 * Two nodes over one exactly-once log, of which the first or the second leads. They redirect, drop connections before and
 * after executing, change leaders, answer out of order and refuse for a moment, as a seed has it.
 */
export class FakeLeader {
  /** Values in the order of their execution. */
  readonly log: string[] = [];
  readonly #entries = new Map<string, number>();
  readonly #nodes: readonly [FakeNode, FakeNode];
  readonly #mischief: number;
  #random: number;
  #leader = 0;
  #sessions = 0;

  private constructor(nodes: readonly [FakeNode, FakeNode], seed: number, mischief: number) {
    this.#nodes = nodes;
    this.#random = seed >>> 0;
    this.#mischief = mischief;
    for (const [i, node] of nodes.entries()) {
      node.onConnection = (connection): void => {
        this.#converse(i, connection).catch(() => connection.drop());
      };
    }
  }

  /** `mischief`: how often, of one, something goes wrong with a message. */
  static async start(seed: number, mischief = 0.05): Promise<FakeLeader> {
    return new FakeLeader([await FakeNode.start(), await FakeNode.start()], seed, mischief);
  }

  get servers(): string[] {
    return this.#nodes.map((node) => `127.0.0.1:${node.port}`);
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes) await node.stop();
  }

  async #converse(i: number, connection: FakeConnection): Promise<void> {
    let session = 0;
    for (;;) {
      const message = (await connection.hear()) as ClientMessage;
      if (i !== this.#leader) {
        const leaderport = `${this.#nodes[this.#leader]!.port}`;
        connection.say({ type: 9, leaderaddress: '127.0.0.1', leaderport });
        continue;
      }
      if (message.type === 11) {
        session = message.request?.id ?? 65_536 + ++this.#sessions;
        connection.say({ type: 10, request: { id: session, no: 1 } });
        continue;
      }
      const { id = session, no = 0, value = '' } = message.request ?? {};
      if (this.#happens()) this.#leader = 1 - this.#leader;
      if (this.#happens()) {
        connection.drop();
        return;
      }
      if (this.#happens()) {
        connection.say({ type: 16, error: 'overloaded: for a moment', request: { id, no } });
        continue;
      }
      const response = this.#execute(id, no, value);
      if (this.#happens()) {
        connection.drop();
        return;
      }
      // An answer that is held back is overtaken by others.
      if (this.#happens()) setImmediate(() => connection.say(response));
      else connection.say(response);
    }
  }

  #execute(id: number, no: number, value: string): object {
    const name = `${id}.${no}`;
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = this.log.push(value) - 1;
      this.#entries.set(name, entry);
    }
    return { type: 8, request: { id, no }, entry, value: `answer to ${this.log[entry] ?? ''}` };
  }

  #happens(): boolean {
    // A linear congruential generator: the seed alone decides.
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random / 2 ** 32 < this.#mischief;
  }
}
