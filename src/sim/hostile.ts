import type { Address } from '../core/address.js';
import { NO_REQUEST, type Decree } from '../core/decree.js';
import type { Effect } from '../core/effect.js';
import {
  clientId,
  entry as entryOf,
  NO_ROUND,
  requestNumber,
  round as roundOf,
  type AgentIndex,
  type Round,
} from '../core/ids.js';
import { ACCEPT_WINDOW_ENTRIES, MAX_ROUND, MAX_ROUND_JUMP } from '../core/limits.js';
import { MessageType, type PeerMessage } from '../core/message.js';
import type { AgentState } from '../core/state.js';
import { encodeMessage } from '../wire/codec.js';
import { mustHold } from './failure.js';
import { readDatagram } from './inbox.js';
import type { Random } from './random.js';

/**
 * What must come of a hostile datagram (faults.md, rows 43 to 50, 76 and 77, and invariant 11).
 * `refused`: the core never sees it. `ignored`: the core changes nothing and sends nothing. `answered`: it changes
 * nothing, and may say so in a Nack. `safe`: whatever the core does about it, all invariants hold.
 *
 * None of them says what only a liar could: that it accepted, reports or knows chosen what isn't so, or proposes in a
 * round that isn't its own and is free. The protocol doesn't claim to survive that (spec.md, "Proof").
 */
export type Outcome = 'refused' | 'ignored' | 'answered' | 'safe';

export interface Hostile {
  readonly kind: string;
  readonly outcome: Outcome;
  readonly source: Address;
  readonly datagrams: readonly Buffer[];
}

const STRANGER: Address = { address: '10.9.9.9', port: '7000' };

/** Nacks of a flood. */
const FLOOD = 20;

/** What stands where a number should. */
const ABSURD = [
  '-1',
  '-2',
  '1.5',
  '"7"',
  'null',
  '1e400',
  '9007199254740993',
  '[]',
  '{}',
  'true',
  '00',
  '""',
];

/** A decree that no client ever asked for. */
const FORGED: Decree = { id: clientId(7), no: requestNumber(7), noset: false, value: 'forged' };

/** Draws hostile datagrams for a node in whatever state it is. */
export class Enemy {
  constructor(
    private readonly agents: readonly Address[],
    private readonly random: Random,
  ) {}

  /** One for this node; undefined if none of the drawn kind fits its state. */
  draw(state: AgentState): Hostile | undefined {
    const { self } = state.config;
    const peers = this.agents.map((_, i) => i as AgentIndex).filter((i) => i !== self);
    if (peers.length === 0) return undefined;
    const peer = this.random.pick(peers);
    const kind = this.random.pick(KINDS);
    return kind(this, state, peer);
  }

  address(agent: AgentIndex): Address {
    return this.agents[agent] ?? STRANGER;
  }

  get chance(): Random {
    return this.random;
  }
}

type Kind = (enemy: Enemy, state: AgentState, peer: AgentIndex) => Hostile | undefined;

function says(
  enemy: Enemy,
  kind: string,
  outcome: Outcome,
  peer: AgentIndex,
  ...messages: readonly PeerMessage[]
): Hostile {
  const source = enemy.address(peer);
  const datagrams = messages.map((message) => Buffer.from(encodeMessage(message, source)));
  return { kind, outcome, source, datagrams };
}

function prepare(state: AgentState, round: Round): PeerMessage {
  return { type: MessageType.Prepare, request: NO_REQUEST, entry: state.learner.committed, round };
}

function acceptRequest(entry: number, round: Round): PeerMessage {
  const { id, no, noset, value } = FORGED;
  const request = { id, no, noset };
  return {
    type: MessageType.AcceptRequest,
    request,
    entry: entryOf(entry),
    round,
    value,
    committed: entryOf(0),
  };
}

function accepted(entry: number, round: Round): PeerMessage {
  const { id, no, noset, value } = FORGED;
  return { type: MessageType.Accepted, request: { id, no, noset }, entry: entryOf(entry), round, value };
}

function promise(state: AgentState, round: Round): PeerMessage {
  const roundvalue = { round: NO_ROUND, value: '', request: NO_REQUEST };
  const entry = state.learner.committed;
  const committed = entryOf(0);
  return { type: MessageType.Promise, request: NO_REQUEST, entry, round, roundvalue, length: 0, committed };
}

function nack(state: AgentState, round: Round, promised: Round): PeerMessage {
  const roundvalue = { round: NO_ROUND, value: '', request: NO_REQUEST };
  const entry = state.learner.committed;
  const nobody = { leaderaddress: '', leaderport: '' };
  return { type: MessageType.Nack, request: NO_REQUEST, entry, round, roundvalue, promised, ...nobody };
}

function heartbeat(leader: Address, round: Round): PeerMessage {
  const { address: leaderaddress, port: leaderport } = leader;
  return { type: MessageType.Heartbeat, leaderaddress, leaderport, round, committed: entryOf(0) };
}

function outstanding({ proposer }: AgentState): Round | undefined {
  return proposer.candidate?.round ?? proposer.reign?.round;
}

/** A round that the node has come across, and that it neither stands nor leads at. */
function staleRound({ random }: { readonly random: Random }, state: AgentState): Round | undefined {
  if (state.seen < 0) return undefined;
  const round = roundOf(random.whole(0, state.seen));
  return round === outstanding(state) ? undefined : round;
}

/** One below the node's promise, and above 0, which a literal peer's Heartbeat says. */
function lowRound(enemy: Enemy, { acceptor }: AgentState): Round | undefined {
  return acceptor.promised.round < 2
    ? undefined
    : roundOf(enemy.chance.whole(1, acceptor.promised.round - 1));
}

/** One that nobody has stood at, as far as this node knows, and not too far to be believed. */
function freshRound(enemy: Enemy, { seen }: AgentState): Round {
  return roundOf(seen + 1 + enemy.chance.below(enemy.chance.pick([3, 1000, 1_000_000])));
}

function anyMessage(enemy: Enemy, state: AgentState): PeerMessage {
  const round = freshRound(enemy, state);
  const { committed } = state.learner;
  return enemy.chance.pick([
    prepare(state, round),
    acceptRequest(committed, round),
    accepted(committed, round),
    promise(state, round),
    nack(state, round, round),
    heartbeat(enemy.address(state.config.self), round),
  ]);
}

/** Bytes that are no message: noise, nothing, zeros, or a message cut off, with a bit flipped or an absurd number. */
function garbage(enemy: Enemy, state: AgentState, peer: AgentIndex): Buffer {
  const { chance } = enemy;
  const text = encodeMessage(anyMessage(enemy, state), enemy.address(peer));
  const bytes = Buffer.from(text);
  switch (chance.below(6)) {
    case 0:
      return Buffer.from(Array.from({ length: chance.below(200) }, () => chance.below(256)));
    case 1:
      return Buffer.alloc(chance.pick([0, 1, 1000, 65_507]));
    case 2:
      return bytes.subarray(0, chance.below(bytes.length));
    case 3: {
      const at = chance.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.below(8));
      return bytes;
    }
    case 4:
      return Buffer.from('['.repeat(chance.pick([10, 60_000])));
    default:
      return Buffer.from(text.replace(/"(round|entry|type|committed)":\d+/, `"$1":${chance.pick(ABSURD)}`));
  }
}

const KINDS: readonly Kind[] = [
  (enemy, state, peer) => {
    const text = encodeMessage(anyMessage(enemy, state), enemy.address(peer));
    const datagrams = [Buffer.from(text)];
    return { kind: 'from a stranger', outcome: 'refused', source: STRANGER, datagrams };
  },
  (enemy, state, peer) => {
    const text = encodeMessage(anyMessage(enemy, state), STRANGER);
    const datagrams = [Buffer.from(text)];
    return { kind: 'naming another sender', outcome: 'refused', source: enemy.address(peer), datagrams };
  },
  (enemy, state, peer) => {
    const source = enemy.address(peer);
    const datagram = garbage(enemy, state, peer);
    // Damage may leave a message whole; then it isn't garbage.
    if (readDatagram(state.config.agents, state.config.self, source, datagram).messages.length > 0)
      return undefined;
    return { kind: 'garbage', outcome: 'refused', source, datagrams: [datagram] };
  },
  (enemy, state, peer) => {
    const source = enemy.address(peer);
    const message = {
      type: MessageType.LogResponse,
      request: NO_REQUEST,
      entry: state.learner.committed,
      value: '',
    };
    const datagrams = [Buffer.from(encodeMessage(message, source))];
    return { kind: 'a message for streams', outcome: 'refused', source, datagrams };
  },
  (enemy, state, peer) => {
    const jump = MAX_ROUND_JUMP + 1 + enemy.chance.below(1000);
    const round = roundOf(
      enemy.chance.pick([state.acceptor.promised.round + jump, MAX_ROUND, Number.MAX_SAFE_INTEGER]),
    );
    const message = enemy.chance.pick([prepare(state, round), heartbeat(enemy.address(peer), round)]);
    return says(enemy, 'absurd round', 'ignored', peer, message);
  },
  (enemy, state, peer) => {
    const round = staleRound({ random: enemy.chance }, state);
    if (round === undefined) return undefined;
    return says(enemy, 'Accepted for no reign', 'ignored', peer, accepted(state.learner.committed, round));
  },
  (enemy, state, peer) => {
    const { reign } = state.proposer;
    if (reign === undefined) return undefined;
    const [entry = reign.next] = reign.in_flight.keys();
    return says(enemy, 'Accepted otherwise', 'ignored', peer, accepted(entry, reign.round));
  },
  (enemy, state, peer) => {
    const round = staleRound({ random: enemy.chance }, state);
    return round === undefined
      ? undefined
      : says(enemy, 'Promise for another round', 'ignored', peer, promise(state, round));
  },
  (enemy, state, peer) => {
    const round = staleRound({ random: enemy.chance }, state);
    return round === undefined
      ? undefined
      : says(enemy, 'Nack for another round', 'ignored', peer, nack(state, round, state.seen));
  },
  (enemy, state, peer) => {
    const round = outstanding(state);
    return round === undefined
      ? undefined
      : says(enemy, 'Nack that says nothing', 'ignored', peer, nack(state, round, roundOf(0)));
  },
  (enemy, state, peer) => {
    const other = enemy.address(state.config.self);
    const round = roundOf(Math.max(0, state.seen));
    return state.seen < 0
      ? undefined
      : says(enemy, 'Heartbeat for another leader', 'ignored', peer, heartbeat(other, round));
  },
  (enemy, state, peer) => {
    const { promised } = state.acceptor;
    if (promised.owner === undefined || promised.owner === peer) return undefined;
    const { round } = promised;
    const beat = heartbeat(enemy.address(peer), round);
    return says(enemy, "Heartbeat at another's round", 'ignored', peer, beat);
  },
  (enemy, state, peer) => {
    const { promised } = state.acceptor;
    if (promised.owner === undefined || promised.owner === peer) return undefined;
    const request = acceptRequest(state.learner.committed + enemy.chance.below(9), promised.round);
    const message = enemy.chance.pick([request, prepare(state, promised.round)]);
    return says(enemy, 'claim of a round promised to another', 'answered', peer, message);
  },
  (enemy, state, peer) => {
    const round = lowRound(enemy, state);
    if (round === undefined) return undefined;
    const request = acceptRequest(state.learner.committed + enemy.chance.below(9), round);
    const beat = heartbeat(enemy.address(peer), round);
    const message = enemy.chance.pick([request, prepare(state, round), beat]);
    return says(enemy, 'message below the promise', 'answered', peer, message);
  },
  (enemy, state, peer) => {
    const { promised } = state.acceptor;
    if (promised.owner !== peer) return undefined;
    const beyond = enemy.chance.pick([ACCEPT_WINDOW_ENTRIES, 10 ** 15 - state.learner.committed]);
    const message = acceptRequest(state.learner.committed + beyond, promised.round);
    return says(enemy, 'entry far beyond the window', 'safe', peer, message);
  },
  (enemy, state, peer) =>
    says(enemy, 'Prepare of nobody', 'safe', peer, prepare(state, freshRound(enemy, state))),
  (enemy, state, peer) => {
    const beat = heartbeat(enemy.address(peer), freshRound(enemy, state));
    return says(enemy, 'Heartbeat of a non-leader', 'safe', peer, beat);
  },
  (enemy, state, peer) => {
    const round = outstanding(state);
    if (round === undefined) return undefined;
    const higher = (): Round => roundOf(round + 1 + enemy.chance.below(1000));
    const flood = Array.from({ length: FLOOD }, () => nack(state, round, higher()));
    return says(enemy, 'flood of Nacks', 'safe', peer, ...flood);
  },
];

/** A node's whole state as text; with `recorded`, also how much of its commit index is written down. */
export function stateText(state: AgentState, recorded: boolean): string {
  const hidden = recorded
    ? undefined
    : { journal: undefined, learner: { ...state.learner, recorded: undefined } };
  return JSON.stringify({ ...state, ...hidden }, (_key, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)] : value,
  );
}

/** Holds what a node did about a hostile datagram against what it must. */
export function judge(
  { kind, outcome }: Hostile,
  before: string,
  after: string,
  effects: readonly Effect[],
): void {
  const breaks = (holds: boolean, what: string): void =>
    mustHold(holds, '11 bad input', () => `${kind}: ${what}`);
  for (const effect of effects) {
    if (effect.type !== 'persist') continue;
    const { verdict } = effect.record;
    breaks(verdict !== 'accepted' && verdict !== 'learnt', `a ${verdict} record`);
    breaks(outcome === 'safe' || verdict === 'committed', `a ${verdict} record`);
  }
  if (outcome === 'safe') return;
  breaks(before === after, 'the state changes');
  const loud = effects.filter(({ type }) => type !== 'note' && type !== 'persist');
  if (outcome !== 'answered') return breaks(loud.length === 0, `${loud.length} effects`);
  const isNack = (effect: Effect): boolean =>
    effect.type === 'send' && effect.message.type === MessageType.Nack;
  breaks(loud.length === 1 && loud.every(isNack), `${loud.length} effects, which aren't one Nack`);
}
