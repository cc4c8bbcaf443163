import { newAgent, step } from '../../src/core/agent.js';
import type { ClientReply, Effect } from '../../src/core/effect.js';
import type { Event, TimerName } from '../../src/core/event.js';
import { entry } from '../../src/core/ids.js';
import {
  MessageType,
  type ClientConnectRequest,
  type ClientRequest,
  type PeerMessage,
} from '../../src/core/message.js';
import type { JournalRecord } from '../../src/core/record.js';
import type { AgentConfig, AgentState } from '../../src/core/state.js';
import { accepted, agent as agentOf, ask, config, connection, decree, hello, promise } from './make.js';

/** One agent's core, whose peers, clients and disk are played by the test. */
export class OneAgent {
  readonly state: AgentState;
  /** What the last call brought about, the disk's part included. */
  effects: Effect[] = [];
  readonly records: JournalRecord[] = [];
  /** Whether everything is durable at once. */
  fast_disk = true;

  constructor(self = 0, agents = 3, changes: Partial<AgentConfig> = {}) {
    this.state = newAgent(config(self, agents, changes));
  }

  step(event: Event): this {
    this.effects = [];
    this.#step(event);
    while (this.fast_disk && this.state.journal.appended > this.state.journal.durable) this.#flush();
    return this;
  }

  #step(event: Event): void {
    const effects = step(this.state, event);
    for (const effect of effects) if (effect.type === 'persist') this.records.push(effect.record);
    this.effects.push(...effects);
  }

  #flush(): void {
    this.#step({ type: 'durable', position: this.state.journal.appended });
  }

  durable(position = this.state.journal.appended): this {
    return this.step({ type: 'durable', position: position });
  }

  message(from: number, message: PeerMessage): this {
    return this.step({ type: 'message', from: agentOf(from), message });
  }

  timer(timer: TimerName): this {
    return this.step({ type: 'timer', timer });
  }

  client(n: number, message: ClientConnectRequest | ClientRequest): this {
    return this.step({ type: 'client', connection: connection(n), message });
  }

  /** Lets its leader timer and its random wait run out: it stands. */
  stand(): this {
    return this.timer('leader').timer('election');
  }

  /** Makes it the leader, with one peer that reports an empty log, at the round that it chose. */
  lead(from = (this.state.config.self + 1) % 3): this {
    this.stand();
    const { round } = this.state.proposer.candidate!;
    return this.message(
      from,
      promise(this.state.learner.committed, round, { committed: this.state.learner.committed }),
    );
  }

  /** As leader: a client's request, chosen at once. Connects connection `n` if it hasn't yet. */
  log(value: string, no: number, n = 1): this {
    if (this.state.clients.connections.get(connection(n)) === undefined) this.client(n, hello());
    const e = this.state.proposer.reign!.next;
    this.client(n, ask(no, value));
    const id = this.state.clients.connections.get(connection(n))!.session;
    return this.accept(e, value, id, no);
  }

  /** A peer accepts what this leader proposed at entry `e`. */
  accept(e: number, value: string, id: number, no: number, from = (this.state.config.self + 1) % 3): this {
    return this.message(from, accepted(e, this.state.proposer.reign!.round, decree(value, id, no)));
  }

  get session(): number {
    return this.state.clients.connections.get(connection(1))?.session ?? 0;
  }

  get committed(): number {
    return this.state.learner.committed;
  }

  /** The effects of one type among the last. */
  of<T extends Effect['type']>(type: T): (Effect & { type: T })[] {
    return this.effects.filter((effect): effect is Effect & { type: T } => effect.type === type);
  }

  sent<T extends PeerMessage['type']>(type: T): (PeerMessage & { type: T })[] {
    return this.of('send')
      .map(({ message }) => message)
      .filter((message): message is PeerMessage & { type: T } => message.type === type);
  }

  replies(n = 1): ClientReply[] {
    return this.of('reply')
      .filter((effect) => effect.connection === connection(n))
      .map(({ message }) => message);
  }

  /** Each reply to a client as a short text. */
  told(n = 1): string[] {
    return this.replies(n).map((reply) => {
      switch (reply.type) {
        case MessageType.ClientConn:
          return `connected ${reply.request.id}`;
        case MessageType.ClientRedirect:
          return `redirected to ${reply.leaderport}`;
        case MessageType.ClientResponse:
          return `${reply.request.no}: ${reply.value} at ${reply.entry}`;
        case MessageType.Error:
          return `${reply.request.no}: ${reply.error.split(':')[0] ?? ''}`;
        case MessageType.LogResponse:
          return `entry ${reply.entry}: ${reply.value}`;
      }
    });
  }

  get notes(): string[] {
    return this.of('note').map(({ code }) => code);
  }

  fetched(peer: number, e: number, ...decrees: ReturnType<typeof decree>[]): this {
    return this.step({ type: 'fetched', peer: agentOf(peer), entry: entry(e), decrees });
  }
}
