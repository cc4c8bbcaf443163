import { NO_OP, NO_REQUEST, type Decree } from '../../src/core/decree.js';
import type { Effect } from '../../src/core/effect.js';
import { TIMER_NAMES, type Event, type TimerName } from '../../src/core/event.js';
import { entry, position, type Entry } from '../../src/core/ids.js';
import { MESSAGE_NAMES, type PeerMessage } from '../../src/core/message.js';
import { CoreNode, type Sent } from './core-node.js';
import * as make from './make.js';
import { SafetyWatch } from './safety-watch.js';
import { nameOf, showDecree, showEffect, showMessage, showState } from './scenario-text.js';

/** A mistake in a scenario's own text: it asks for something that isn't there. */
export class ScenarioError extends Error {}

type Words = readonly string[];

/** More than a leader's patience with its own disk. */
const MAX_PROGRESS_TICKS = 8;

/**
 * A cluster that does nothing by itself: a scenario's commands fire its timers and deliver its messages, one at a time
 * (test/scenarios/README.md lists them). Each command returns the lines of its transcript.
 */
export class Scenario {
  #watch = new SafetyWatch(0);
  #nodes: CoreNode[] = [];
  #transit: Sent[] = [];
  #departed: Sent[] = [];
  readonly #aside = new Map<string, Sent>();
  readonly #cut = new Set<string>();
  readonly #slow = new Set<number>();
  readonly #clients = new Map<string, { at: number; connection: number }>();
  #connections = 0;
  #timers_shown = false;
  #out: string[] = [];

  /** Carries out one command line. Throws a `ScenarioError` if it makes no sense here. */
  run(line: string): string[] {
    this.#out = [];
    const [verb = '', ...words] = line.trim().split(/\s+/);
    const commands: Record<string, (words: Words) => void> = {
      cluster: (w) => this.#cluster(w),
      start: (w) => this.#forNodes(w[0], (node) => this.#event(node, { type: 'start' })),
      timer: (w) => this.#timer(w),
      elect: (w) => this.#elect(this.#node(w[0])),
      timers: (w) => void (this.#timers_shown = w[0] === 'shown'),
      deliver: (w) => this.#deliver(w),
      drop: (w) => this.#drop(w),
      duplicate: (w) => this.#duplicate(w),
      hold: (w) => this.#hold(w, true),
      copy: (w) => this.#hold(w, false),
      cut: (w) => this.#cutLinks(w),
      heal: () => this.#cut.clear(),
      network: () => this.#showNetwork(),
      disk: (w) => this.#disk(w),
      durable: (w) => this.#durable(w),
      crash: (w) => this.#forNodes(w[0], (node) => this.#crash(node)),
      restart: (w) => this.#forNodes(w[0], (node) => this.#step(node, () => node.restart())),
      client: (w) => this.#client(w),
      app: (w) => this.#app(w),
      stream: (w) => this.#stream(w),
      send: (w) => this.#forge(w),
      state: (w) =>
        this.#forNodes(w[0] ?? 'all', (node) => this.#say(showState(node.self, node.state, node.up))),
      chosen: () => this.#showChosen(),
    };
    const command = commands[verb];
    if (command === undefined) throw new ScenarioError(`there is no command "${verb}"`);
    command(words);
    return this.#out;
  }

  #say(line: string): void {
    this.#out.push(line);
  }

  #node(word: string | undefined): CoreNode {
    const node = this.#nodes[Number(word)];
    if (node === undefined) throw new ScenarioError(`there is no agent "${word ?? ''}"`);
    return node;
  }

  #forNodes(word: string | undefined, act: (node: CoreNode) => void): void {
    for (const node of word === 'all' ? this.#nodes : [this.#node(word)]) act(node);
  }

  #cluster(words: Words): void {
    const agents = Number(words[0]);
    const has_app = words.includes('app');
    this.#watch = new SafetyWatch(agents);
    this.#transit = [];
    for (const forgotten of [this.#aside, this.#cut, this.#slow, this.#clients]) forgotten.clear();
    this.#nodes = Array.from(
      { length: agents },
      (_unused, i) =>
        new CoreNode(make.config(i, agents, { has_app }), this.#watch, (sent) => this.#left(sent)),
    );
  }

  /** Lets one thing happen at an agent, and with a fast disk also what becomes durable by it. */
  #step(node: CoreNode, act: () => Effect[]): void {
    this.#show(node, act);
    while (!this.#slow.has(node.self) && node.pending > 0) this.#show(node, () => node.flush());
  }

  #event(node: CoreNode, event: Event): void {
    if (!node.up) throw new ScenarioError(`agent ${node.self} is down`);
    this.#step(node, () => node.step(event));
  }

  /** The transcript of one step: first what was held back till now and leaves, then the effects in their order. */
  #show(node: CoreNode, act: () => Effect[]): void {
    this.#departed = [];
    const effects = act();
    const sends = effects.filter((effect) => effect.type === 'send');
    const released = this.#departed.filter(
      ({ to, message }) => !sends.some((s) => s.message === message && s.to === to),
    );
    this.#showSends(node, released);
    let group: Sent[] = [];
    const names = { client: (n: number) => this.#clientName(node.self, n), timers: this.#timers_shown };
    for (const effect of effects) {
      if (effect.type === 'send') {
        const left = this.#departed.find(({ to, message }) => message === effect.message && to === effect.to);
        if (left !== undefined) group.push(left);
        else if (this.#slow.has(node.self) && node.held.includes(effect)) this.#showHeld(node, effect);
        continue;
      }
      const line = showEffect(node.self, effect, names);
      if (line === undefined) continue;
      this.#showSends(node, group);
      group = [];
      this.#say(line);
    }
    this.#showSends(node, group);
  }

  #showHeld(node: CoreNode, { to, message, after }: Effect & { type: 'send' }): void {
    const records = after - node.state.journal.durable;
    const text = showMessage(message, node.config.agents);
    this.#say(
      `${node.self} holds back for ${to}, until ${records} more record${records === 1 ? ' is' : 's are'} durable: ${text}`,
    );
  }

  /** Messages that leave, those to several agents in one line. */
  #showSends(node: CoreNode, sends: readonly Sent[]): void {
    const lines = new Map<string, number[]>();
    for (const { to, message } of sends) {
      const text = showMessage(message, node.config.agents);
      lines.set(text, [...(lines.get(text) ?? []), to]);
    }
    for (const [text, to] of lines) this.#say(`${node.self} -> ${to.join(', ')}: ${text}`);
  }

  #left(sent: Sent): void {
    const links = [`${sent.from}->${sent.to}`, String(sent.from), String(sent.to)];
    if (links.some((link) => this.#cut.has(link))) return;
    this.#departed.push(sent);
    this.#transit.push(sent);
  }

  #timer(words: Words): void {
    const node = this.#node(words[0]);
    const timer = words[1] as TimerName;
    if (!TIMER_NAMES.includes(timer)) throw new ScenarioError(`there is no timer "${timer}"`);
    if (!node.timers.has(timer)) throw new ScenarioError(`the ${timer} timer of ${node.self} isn't running`);
    this.#step(node, () => node.fire(timer));
  }

  /** The usual way to a leader, in short: all leader timers run out, one agent stands, everything is delivered. */
  #elect(node: CoreNode): void {
    const shown = this.#out;
    this.#out = [];
    for (const { self, timers } of this.#nodes)
      if (timers.has('leader')) this.#timer([String(self), 'leader']);
    this.#timer([String(node.self), 'election']);
    this.#deliver(['all']);
    this.#out = shown;
    const { reign } = node.state.proposer;
    if (reign === undefined) throw new ScenarioError(`agent ${node.self} did not come to lead`);
    const others = this.#nodes
      .filter(({ state }) => state.election.leader === node.self)
      .map(({ self }) => self);
    this.#say(`${node.self} LEADS, at round ${reign.round}; followed by ${others.join(', ')}`);
  }

  /* --- the network --- */

  /** Whether a message in transit fits `0->1 Type key=value…`; `*` stands for any agent. */
  #matcher(words: Words): (sent: Sent) => boolean {
    const [from, to] = (words[0] ?? '').split('->');
    if (from === undefined || to === undefined) throw new ScenarioError(`"${words[0] ?? ''}" isn't FROM->TO`);
    const type = words.slice(1).find((word) => MESSAGE_NAMES.includes(word as never));
    const wanted = Object.entries(settings(words));
    return (sent) =>
      (from === '*' || Number(from) === sent.from) &&
      (to === '*' || Number(to) === sent.to) &&
      (type === undefined || type === nameOf(sent.message)) &&
      wanted.every(
        ([key, value]) => String((sent.message as unknown as Record<string, unknown>)[key]) === value,
      );
  }

  #matching(words: Words): Sent[] {
    const found = this.#transit.filter(this.#matcher(words));
    if (found.length === 0) throw new ScenarioError(`nothing in transit fits "${words.join(' ')}"`);
    return found;
  }

  #remove(sent: Sent): void {
    this.#transit.splice(this.#transit.indexOf(sent), 1);
  }

  #deliver(words: Words): void {
    if (words[0] === 'all') {
      for (let sent = this.#transit.shift(); sent !== undefined; sent = this.#transit.shift())
        this.#hand(sent);
      return;
    }
    const aside = this.#aside.get(words[0] ?? '');
    if (aside !== undefined) return this.#hand(aside);
    for (const sent of this.#matching(words)) {
      this.#remove(sent);
      this.#hand(sent);
    }
  }

  #hand({ from, to, message }: Sent): void {
    const node = this.#node(String(to));
    if (!node.up) return;
    this.#say(`${to} <- ${from}: ${showMessage(message, node.config.agents)}`);
    this.#event(node, { type: 'message', from, message });
  }

  #drop(words: Words): void {
    if (words[0] === 'all') this.#transit = [];
    else for (const sent of this.#matching(words)) this.#remove(sent);
  }

  #duplicate(words: Words): void {
    this.#transit.push(...this.#matching(words));
  }

  /** `hold 0->1 Type as NAME` takes the message out of the network, `copy` leaves it there too. */
  #hold(words: Words, takes: boolean): void {
    const name = words[words.indexOf('as') + 1];
    const [sent] = this.#matching(words.slice(0, words.indexOf('as')));
    if (name === undefined || sent === undefined) throw new ScenarioError('say "… as NAME"');
    this.#aside.set(name, sent);
    if (takes) this.#remove(sent);
  }

  #cutLinks(words: Words): void {
    for (const word of words) this.#cut.add(word);
    const stays = ({ from, to }: Sent): boolean =>
      ![`${from}->${to}`, String(from), String(to)].some((link) => this.#cut.has(link));
    this.#transit = this.#transit.filter(stays);
  }

  #showNetwork(): void {
    for (const { from, to, message } of this.#transit) {
      this.#say(`${from} -> ${to}: ${showMessage(message, this.#node('0').config.agents)}`);
    }
    if (this.#transit.length === 0) this.#say('nothing is in transit');
  }

  /** A message that no correct agent would send, or that nobody has sent: `send 2->0 Type key=value…`. */
  #forge(words: Words): void {
    const [from, to] = (words[0] ?? '').split('->').map(Number);
    const message = forged(words[1] ?? '', settings(words), from ?? 0, this.#nodes.length);
    this.#hand({ from: make.agent(from ?? 0), to: make.agent(to ?? 0), message });
  }

  /* --- disks and crashes --- */

  #disk(words: Words): void {
    const node = this.#node(words[0]);
    if (words[1] === 'silent') return this.#beSilent(node);
    if (words[1] === 'slow') this.#slow.add(node.self);
    else this.#slow.delete(node.self);
    if (words[1] !== 'slow' && node.pending > 0) this.#durable([String(node.self)]);
  }

  /** The leader has waited for its disk for too long, and gives way. */
  #beSilent(node: CoreNode): void {
    const { journal, proposer } = node.state;
    const { appended } = journal;
    journal.appended = position(appended + 1);
    for (let i = 0; i < MAX_PROGRESS_TICKS && proposer.reign !== undefined; i++)
      this.#timer([String(node.self), 'progress']);
    journal.appended = appended;
  }

  #durable(words: Words): void {
    const node = this.#node(words[0]);
    this.#show(node, () => node.flush(words[1] === undefined ? undefined : Number(words[1])));
  }

  #crash(node: CoreNode): void {
    const lost = node.crash();
    if (lost > 0)
      this.#say(
        `${node.self} loses ${lost === 1 ? '1 record that was' : `${lost} records that were`} not durable`,
      );
    for (const [name, { at }] of this.#clients) if (at === node.self) this.#clients.delete(name);
  }

  /* --- clients and applications --- */

  #clientName(at: number, connection: number): string {
    for (const [name, known] of this.#clients) {
      if (known.at === at && known.connection === connection) return name;
    }
    return `#${connection}`;
  }

  /** `client ann 0 connect` opens a connection to agent 0 under the name ann; later commands may leave the 0 out. */
  #client(words: Words): void {
    const [name = '', second = ''] = words;
    const at = /^\d+$/.test(second) ? Number(second) : this.#clients.get(name)?.at;
    if (at === undefined) throw new ScenarioError(`client ${name} has no connection: name an agent`);
    if (this.#clients.get(name)?.at !== at) this.#clients.set(name, { at, connection: ++this.#connections });
    const node = this.#node(String(at));
    const connection = make.connection(this.#clients.get(name)!.connection);
    const { id = '0', no = '0', value = '', entry: e = '0' } = settings(words);
    const client = (message: ReturnType<typeof make.hello | typeof make.ask>): void => {
      this.#event(node, { type: 'client', connection, message });
    };
    const verb = words.find((word) => ['connect', 'request', 'query', 'end', 'close'].includes(word));
    if (verb === 'connect') client(make.hello(Number(id)));
    else if (verb === 'request') client(make.ask(Number(no), value, Number(id)));
    else if (verb === 'query') client(make.query(Number(e)));
    else if (verb === 'end') this.#event(node, { type: 'client-ended', connection });
    else if (verb === 'close') {
      this.#event(node, { type: 'client-closed', connection });
      this.#clients.delete(name);
    } else throw new ScenarioError('a client may connect, request, query, end or close');
  }

  #app(words: Words): void {
    const node = this.#node(words[0]);
    const { entry: e = '0', value } = settings(words);
    switch (words[1]) {
      case 'attach':
        return this.#event(node, { type: 'app-attached', first: entry(Number(e)) });
      case 'restarts':
        return this.#event(node, { type: 'app-detached', expected: true });
      case 'leaves':
        return this.#event(node, { type: 'app-detached', expected: false });
      case 'answers':
        return this.#event(node, { type: 'app-response', entry: entry(Number(e)), value });
      default:
        throw new ScenarioError('an app may attach, answers, restarts or leaves');
    }
  }

  /** `stream 1 from 2 0`: agent 1 has opened a stream from agent 2, when and why is left open; it brings entry 0. */
  #streamFrom(node: CoreNode, peer: CoreNode, e: Entry): void {
    const decree = peer.state.learner.chosen.get(e) ?? this.#watch.chosen.get(e)?.decree;
    if (decree === undefined) throw new ScenarioError(`agent ${peer.self} doesn't hold entry ${e}`);
    node.state.catchup.source = peer.self;
    this.#say(`${node.self} is given entry ${e} by ${peer.self}: ${showDecree(decree)}`);
    this.#event(node, { type: 'fetched', peer: peer.self, entry: e, decrees: [decree] });
  }

  /** What the stream that an agent has opened brings: `stream 1` everything, `stream 1 2` two entries, `stream 1 ends`. */
  #stream(words: Words): void {
    const node = this.#node(words[0]);
    if (words[1] === 'from') {
      return this.#streamFrom(node, this.#node(words[2]), entry(Number(words[3] ?? 0)));
    }
    const { source } = node.state.catchup;
    if (source === undefined) throw new ScenarioError(`agent ${node.self} has no stream open`);
    const peer = this.#node(String(source));
    if (words[1] === 'ends') {
      return this.#event(node, { type: 'fetch-ended', peer: source, reason: 'it broke off' });
    }
    let left = words[1] === undefined ? Infinity : Number(words[1]);
    for (let e = node.state.learner.committed; e < peer.state.learner.committed && left > 0; left--) {
      const decree = peer.state.learner.chosen.get(e);
      if (decree === undefined) throw new ScenarioError(`agent ${source} doesn't hold entry ${e}`);
      this.#say(`${node.self} is given entry ${e} by ${source}: ${showDecree(decree)}`);
      const fetched = { type: 'fetched', peer: source, entry: e, decrees: [decree] } as const;
      this.#event(node, fetched);
      e = entry(e + 1);
    }
  }

  #showChosen(): void {
    const chosen = [...this.#watch.chosen].sort(([a], [b]) => a - b);
    for (const [e, { round, decree }] of chosen)
      this.#say(`entry ${e}: ${showDecree(decree)}, by a majority at round ${round}`);
    if (chosen.length === 0) this.#say('nothing is chosen');
  }
}

function settings(words: Words): Record<string, string> {
  return Object.fromEntries(
    words
      .filter((word) => word.includes('='))
      .map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  );
}

function forged(type: string, given: Record<string, string>, from: number, agents: number): PeerMessage {
  const n = (key: string, otherwise = 0): number =>
    given[key] === undefined ? otherwise : Number(given[key]);
  const what: Decree =
    given['value'] === undefined
      ? NO_OP
      : { ...NO_REQUEST, id: n('id', 65537) as never, no: n('no', 1) as never, value: given['value'] };
  switch (type) {
    case 'Prepare':
      return make.prepare(n('entry'), n('round'));
    case 'Promise': {
      const roundvalue = given['at'] === undefined ? make.NOTHING : make.accepted_at(n('at'), what);
      return make.promise(n('entry'), n('round'), {
        roundvalue,
        length: n('length'),
        committed: n('committed'),
      });
    }
    case 'Nack':
      return make.nack(n('round'), n('promised'), make.addresses(agents)[n('leader', -1)]);
    case 'AcceptRequest':
      return make.acceptRequest(n('entry'), n('round'), what, n('committed'));
    case 'Accepted':
      return make.accepted(n('entry'), n('round'), what);
    case 'Heartbeat':
      return make.heartbeat(n('leader', from), n('round'), n('committed'), agents);
    default:
      throw new ScenarioError(`"${type}" is no message between agents`);
  }
}
