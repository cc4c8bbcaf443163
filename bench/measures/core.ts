import { encodeKvRequest } from '../../clients/typescript/index.js';

import { newAgent, step } from '../../src/core/agent.js';
import type { Effect } from '../../src/core/effect.js';
import type { Event } from '../../src/core/event.js';
import { agentIndex, connectionId } from '../../src/core/ids.js';
import { MessageType, type ClientRequest, type Message, type PeerMessage } from '../../src/core/message.js';
import { DEFAULT_TIMES, type AgentState } from '../../src/core/state.js';
import { GroupBuilder, recordSource } from '../../src/journal/format.js';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import { ProposalReader } from '../../src/wire/proposal-reader.js';
import { VALUE_BYTES, type Measure } from '../context.js';
import { LOOPBACK } from '../paths.js';
import { figure, over } from '../stats.js';
import { BenchError } from '../wait.js';

/** Requests that go from stage to stage together, as in a busy cluster. */
const GROUP = 50;

const LEADER_ADDRESS = { address: LOOPBACK, port: '7001' };
const AGENTS = [LEADER_ADDRESS, ...['7002', '7003'].map((port) => ({ address: LOOPBACK, port }))];
const LEADER = agentIndex(0);
const FOLLOWER = agentIndex(1);
const CLIENT = connectionId(1);

/** What the journal writes. */
const group = new GroupBuilder();

/** CPU time of one stage, in microseconds per request. */
type Costs = Map<string, number>;

/** What a request costs in the core, in the codec and in the journal's encoding, with no disk and no socket around them. */
export const core: Measure = {
  name: 'core',
  title: 'The core alone',
  steps: ({ rounds }) => rounds,
  run(context) {
    const rounds: Costs[] = [];
    for (let round = 1; round <= context.scale.rounds; round++) {
      context.step(`${figure(context.scale.core_requests)} requests, round ${round}`);
      rounds.push(new Requests().run(context.scale.core_requests));
    }
    const stages = [...(rounds[0]?.keys() ?? [])];
    const cost = (name: string): string => over(rounds, (costs) => costs.get(name) ?? 0);
    const all = over(rounds, (costs) => [...costs.values()].reduce((sum, one) => sum + one, 0));
    return Promise.resolve({
      title: 'The core alone',
      text: [
        `Requests pass a leader and a follower in one process, ${GROUP} at a time, with no disk, no socket and no application. ` +
          'Sockets, system calls, groups and the garbage of all that come on top.',
      ],
      tables: [
        {
          headings: ['stage', 'CPU µs per request'],
          rows: [...stages.map((name) => [name, cost(name)]), ['all', all]],
        },
      ],
      plots: [],
    });
  },
};

class Requests {
  readonly #leader = agentOf(LEADER);
  readonly #follower = agentOf(FOLLOWER);
  readonly #costs: Costs = new Map();
  #no = 0;

  constructor() {
    elect(this.#leader);
    step(this.#leader, {
      type: 'client',
      connection: CLIENT,
      message: decoded('{"type":11}') as ClientRequest,
    });
    // The entry of the very first request is 0, which is left out where it is written: it is read in another way.
    this.#group((datagram) => datagram.toString().split('\n').map(decoded) as PeerMessage[]);
  }

  run(requests: number): Costs {
    // What is compiled meanwhile isn't counted.
    for (let done = 0; done < requests / 4; done += GROUP) this.#group(readProposals);
    this.#costs.clear();
    for (let done = 0; done < requests; done += GROUP) this.#group(readProposals);
    return new Map([...this.#costs].map(([name, cpu_us]) => [name, cpu_us / requests]));
  }

  /** `read`: how the follower reads what it is asked for. */
  #group(read: (datagram: Buffer) => PeerMessage[]): void {
    const leader = this.#leader;
    const follower = this.#follower;
    const lines = Array.from({ length: GROUP }, () => this.#line());
    const requests = this.#time('a request is read', () => lines.map(decoded)) as ClientRequest[];
    const proposed = this.#time('and handled by the leader', () =>
      steps(leader, requests, (message) => ({ type: 'client', connection: CLIENT, message })),
    );
    const texts = this.#time('its AcceptRequest is written', () => written(proposed, LEADER, FOLLOWER));
    this.#time('and its record', () => recorded(proposed, LEADER));
    const datagram = Buffer.from(texts.join('\n'));
    const asked = this.#time('the AcceptRequest is read', () => read(datagram));
    const accepted = this.#time('and handled by a follower', () =>
      steps(follower, asked, (message) => ({ type: 'message', from: LEADER, message })),
    );
    this.#time('its record is written', () => recorded(accepted, FOLLOWER));
    const votes = this.#time('and its Accepted', () => written(accepted, FOLLOWER, LEADER));
    step(follower, { type: 'durable', position: follower.journal.appended });
    step(leader, { type: 'durable', position: leader.journal.appended });
    const heard = this.#time('the Accepted is read', () => votes.map(decoded)) as PeerMessage[];
    const answered = this.#time('and handled by the leader, with the answer', () =>
      steps(leader, heard, (message) => ({ type: 'message', from: FOLLOWER, message })),
    );
    if (answered.filter(({ type }) => type === 'reply').length !== GROUP) {
      throw new BenchError('the core did not answer every request of a group');
    }
  }

  /** A request as clients write it. */
  #line(): string {
    this.#no++;
    const value = encodeKvRequest({
      op: 'put',
      key: `bench-${this.#no % 100}`,
      value: 'x'.repeat(VALUE_BYTES),
    });
    return JSON.stringify({ type: MessageType.ClientRequest, request: { no: this.#no, value } });
  }

  #time<T>(name: string, work: () => T): T {
    const before = process.cpuUsage();
    const result = work();
    const { user, system } = process.cpuUsage(before);
    this.#costs.set(name, (this.#costs.get(name) ?? 0) + user + system);
    return result;
  }
}

function agentOf(self: typeof LEADER): AgentState {
  return newAgent({ ...DEFAULT_TIMES, self, agents: AGENTS, has_app: false });
}

function elect(agent: AgentState): void {
  step(agent, { type: 'start' });
  step(agent, { type: 'timer', timer: 'leader' });
  const sent = step(agent, { type: 'timer', timer: 'election' }).find((effect) => effect.type === 'send');
  if (sent?.message.type !== MessageType.Prepare) throw new BenchError('the core did not ask for promises');
  const { request, entry, round } = sent.message;
  const roundvalue = '"roundvalue":{"round":-1}';
  const text = `{"type":2,"fromaddress":"${LOOPBACK}","fromport":"7002","request":{},${roundvalue}}`;
  const promise = { ...(decoded(text) as PeerMessage), request, entry, round } as PeerMessage;
  step(agent, { type: 'message', from: FOLLOWER, message: promise });
  step(agent, { type: 'durable', position: agent.journal.appended });
}

const proposals = new ProposalReader(LEADER_ADDRESS);

function readProposals(datagram: Buffer): PeerMessage[] {
  const lines = proposals.readAll(datagram);
  if (lines === undefined) throw new BenchError('AcceptRequests are not as usual');
  return lines;
}

function decoded(text: string): Message {
  const result = decodeMessage(text);
  if (!result.ok) throw new BenchError(`the codec refuses ${text}: ${result.text}`);
  return result.message;
}

function steps<M>(agent: AgentState, messages: readonly M[], event: (message: M) => Event): Effect[] {
  const effects: Effect[] = [];
  for (const message of messages) effects.push(...step(agent, event(message)));
  return effects;
}

function written(effects: readonly Effect[], from: typeof LEADER, to: typeof LEADER): string[] {
  const texts: string[] = [];
  for (const effect of effects) {
    if (effect.type === 'send' && effect.to === to) texts.push(encodeMessage(effect.message, AGENTS[from]));
  }
  return texts;
}

function recorded(effects: readonly Effect[], self: typeof LEADER): void {
  group.clear();
  for (const effect of effects)
    if (effect.type === 'persist') group.append(recordSource(effect.record, { agents: AGENTS, self }));
}
