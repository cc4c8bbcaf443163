import type { Effect } from '../../core/effect.js';
import type { Event, TimerName } from '../../core/event.js';
import { connectionId, position, type AgentIndex } from '../../core/ids.js';
import { MESSAGE_NAMES, type PeerMessage } from '../../core/message.js';
import type { JournalRecord } from '../../core/record.js';
import type { AgentState } from '../../core/state.js';
import type { Explorer, Move } from './explorer.js';
import { readPart, type Item } from './items.js';
import { configOf, type Action } from './local.js';
import type { Protocol } from './protocol.js';

type SendEffect = Effect & { type: 'send' };

interface Actor {
  state: AgentState;
  records: JournalRecord[];
  disk: JournalRecord[];
  held: SendEffect[];
  timers: Set<TimerName>;
}

interface Sent {
  readonly from: AgentIndex;
  readonly to: AgentIndex;
  readonly message: PeerMessage;
  name: string | undefined;
}

/** Firings of a timer after which whatever it is patient about has happened. */
const MAX_FIRINGS = 8;

/**
 * Tells a path through the explorer as a scenario (test/scenarios): the commands that bring it about on agents whose
 * timers run and whose disks are slow. It follows the path on agents of its own, to know what has to be said.
 */
export class ScenarioWriter {
  readonly #lines: string[] = [];
  readonly #actors: Actor[];
  readonly #sent: Sent[] = [];
  #names = 0;
  #clients = 0;

  constructor(
    private readonly explorer: Explorer,
    private readonly protocol: Protocol,
  ) {
    const { agents } = explorer.bounds;
    this.#actors = Array.from({ length: agents }, (_unused, i) => ({
      state: protocol.newAgent(configOf(i as AgentIndex, agents)),
      records: [],
      disk: [],
      held: [],
      timers: new Set(),
    }));
  }

  write(title: string, moves: readonly Move[]): string {
    this.#say(`# ${title}`, '', `> cluster ${this.#actors.length}`);
    for (let i = 0; i < this.#actors.length; i++) this.#say(`> disk ${i} slow`);
    this.#say('> start all');
    for (const actor of this.#actors) this.#step(actor, { type: 'start' });
    for (const move of moves) {
      this.#say('');
      try {
        this.#move(move);
      } catch (error) {
        this.#say(`# Here it breaks: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    this.#say('> state', '> chosen', '');
    return this.#lines.join('\n');
  }

  #say(...lines: string[]): void {
    this.#lines.push(...lines);
  }

  #actor(i: AgentIndex): Actor {
    const actor = this.#actors[i];
    if (actor === undefined) throw new RangeError(`there is no agent ${i}`);
    return actor;
  }

  #step(actor: Actor, event: Event): void {
    for (const effect of this.protocol.step(actor.state, event)) {
      if (effect.type === 'persist') actor.records.push(effect.record);
      else if (effect.type === 'set-timer') actor.timers.add(effect.timer);
      else if (effect.type === 'clear-timer') actor.timers.delete(effect.timer);
      else if (effect.type === 'send') {
        if (effect.after > actor.state.journal.durable) actor.held.push(effect);
        else this.#leave(actor, effect);
      }
    }
  }

  #leave(actor: Actor, { to, message }: SendEffect): void {
    this.#sent.push({ from: actor.state.config.self, to, message, name: undefined });
  }

  #move({ agent, action, durable }: Move): void {
    const actor = this.#actor(agent);
    this.#act(actor, action);
    if (durable === undefined || action.kind === 'flush') return;
    const count = durable === 'all' ? actor.records.length : durable;
    if (count > 0) this.#flush(actor, count);
  }

  #act(actor: Actor, action: Action): void {
    const { self } = actor.state.config;
    switch (action.kind) {
      case 'timer':
        return this.#timer(actor, action.timer);
      case 'silent-disk':
        return this.#silentDisk(actor);
      case 'client': {
        const name = `c${++this.#clients}`;
        this.#say(`> client ${name} ${self} connect`, `> client ${name} request no=1 value=v${self}`);
        this.#say(`> client ${name} close`);
        for (const event of this.explorer.clientEvents(self, connectionId(this.#clients)))
          this.#step(actor, event);
        return;
      }
      case 'flush':
        return this.#flush(actor, action.count);
      case 'restart':
        return this.#restart(actor);
      case 'deliver':
        return this.#deliver(actor, this.explorer.items.get(action.item));
    }
  }

  #fire(actor: Actor, timer: TimerName): void {
    this.#say(`> timer ${actor.state.config.self} ${timer}`);
    actor.timers.delete(timer);
    this.#step(actor, { type: 'timer', timer });
  }

  #fireUntil(actor: Actor, timer: TimerName, isDone: () => boolean): void {
    for (let i = 0; i < MAX_FIRINGS && !isDone() && actor.timers.has(timer); i++) this.#fire(actor, timer);
  }

  #timer(actor: Actor, timer: TimerName): void {
    const { proposer } = actor.state;
    if (timer === 'try') return this.#fireUntil(actor, 'try', () => proposer.candidate === undefined);
    if (timer === 'progress') return this.#fireUntil(actor, 'progress', () => proposer.reign === undefined);
    if (timer === 'election') this.#forgetLeader(actor);
    this.#fire(actor, timer);
  }

  /** The explorer flushes early, and leaves it open how long that took. */
  #silentDisk(actor: Actor): void {
    const { proposer, journal, config } = actor.state;
    this.#say(`> disk ${config.self} silent`);
    journal.appended = position(journal.appended + 1);
    for (let i = 0; i < MAX_FIRINGS && proposer.reign !== undefined; i++) {
      actor.timers.delete('progress');
      this.#step(actor, { type: 'timer', timer: 'progress' });
    }
    journal.appended = position(journal.appended - 1);
  }

  #forgetLeader(actor: Actor): void {
    if (actor.timers.has('leader')) this.#fire(actor, 'leader');
  }

  #flush(actor: Actor, count: number): void {
    this.#say(`> durable ${actor.state.config.self} ${count}`);
    actor.disk.push(...actor.records.splice(0, count));
    const durable = position(actor.state.journal.appended - actor.records.length);
    const waiting = actor.held;
    actor.held = waiting.filter(({ after }) => after > durable);
    for (const effect of waiting) if (effect.after <= durable) this.#leave(actor, effect);
    this.#step(actor, { type: 'durable', position: durable });
  }

  #restart(actor: Actor): void {
    const { config } = actor.state;
    this.#say(`> crash ${config.self}`, `> restart ${config.self}`);
    actor.state = this.protocol.newAgent(config);
    actor.records = [];
    actor.held = [];
    actor.timers.clear();
    for (const record of actor.disk) this.protocol.recover(actor.state, record);
    this.#step(actor, { type: 'start' });
  }

  #deliver(actor: Actor, item: Item): void {
    if (item.kind === 'streamed') return this.#stream(actor, item);
    if (item.kind !== 'message') return;
    if (actor.state.proposer.reign === undefined) this.#forgetLeader(actor);
    const sent = this.#find(item);
    sent.name ??= this.#copy(sent);
    this.#say(`> deliver ${sent.name}`);
    this.#step(actor, { type: 'message', from: item.from, message: sent.message });
  }

  /** The message that was sent, of which the item is the part that receivers read. */
  #find(item: Item & { kind: 'message' }): Sent {
    const wanted = JSON.stringify(item.message);
    const { learners } = this.explorer.bounds;
    const sent = this.#sent.find(({ from, to, message }) => {
      return from === item.from && to === item.to && JSON.stringify(readPart(message, learners)) === wanted;
    });
    if (sent === undefined) throw new Error(`nobody has sent ${wanted}`);
    return sent;
  }

  #copy({ from, to, message }: Sent): string {
    const name = `m${++this.#names}`;
    const shown = Object.entries(message)
      .filter(([key, value]) => key !== 'type' && typeof value !== 'object' && value !== '')
      .map(([key, value]) => `${key}=${String(value)}`);
    this.#say(`> copy ${from}->${to} ${MESSAGE_NAMES[message.type] ?? ''} ${shown.join(' ')} as ${name}`);
    return name;
  }

  #stream(actor: Actor, { from: peer, entry, decree }: Item & { kind: 'streamed' }): void {
    const { catchup, config } = actor.state;
    this.#say(`> stream ${config.self} from ${peer} ${entry}`);
    catchup.source = peer;
    this.#step(actor, { type: 'fetched', peer, entry, decrees: [decree] });
  }
}
