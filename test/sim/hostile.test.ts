import { expect } from 'chai';
import type { Effect } from '../../src/core/effect.js';
import { agentIndex, entry, position, round } from '../../src/core/ids.js';
import { MessageType } from '../../src/core/message.js';
import { judge, type Hostile, type Outcome } from '../../src/sim/hostile.js';
import { drawPlan } from '../../src/sim/plan.js';
import { simulate } from '../../src/sim/simulation.js';

const KINDS = [
  'answered: claim of a round promised to another',
  'answered: message below the promise',
  'ignored: Accepted for no reign',
  'ignored: Accepted otherwise',
  "ignored: Heartbeat at another's round",
  'ignored: Heartbeat for another leader',
  'ignored: Nack for another round',
  'ignored: Nack that says nothing',
  'ignored: Promise for another round',
  'ignored: absurd round',
  'refused: a message for streams',
  'refused: from a stranger',
  'refused: garbage',
  'refused: naming another sender',
  'safe: Heartbeat of a non-leader',
  'safe: Prepare of nobody',
  'safe: entry far beyond the window',
  'safe: flood of Nacks',
];

function hostile(outcome: Outcome): Hostile {
  return { kind: 'a test', outcome, source: { address: '10.0.0.1', port: '7000' }, datagrams: [] };
}

function persists(verdict: 'used' | 'committed' | 'promised'): Effect {
  const at = position(1);
  if (verdict === 'committed')
    return { type: 'persist', position: at, record: { verdict, committed: entry(1) } };
  const owner = agentIndex(0);
  return { type: 'persist', position: at, record: { verdict, round: round(1), owner, entry: entry(0) } };
}

function sends(type: MessageType): Effect {
  const request = { id: 0, no: 0, noset: false };
  const message = {
    type,
    request,
    entry: 0,
    round: 0,
    roundvalue: { round: -1, value: '', request },
    promised: 0,
  };
  return { type: 'send', to: agentIndex(0), message, after: position(0), alone: false } as unknown as Effect;
}

describe('hostile datagrams (faults.md, invariant 11)', function () {
  this.timeout(60_000);

  it('of every kind reach a simulated cluster, which keeps its invariants and comes back to life', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 10; seed++) {
      const plan = { ...drawPlan(seed, 8_000), nodes: 3, prehistory: 0, strange_lists: {}, hostile_ms: 25 };
      const { failure, counters } = await simulate(plan);
      expect(failure?.message, `seed ${seed}`).to.equal(undefined);
      for (const name of counters.counts.keys())
        if (name.startsWith('hostile, ')) seen.add(name.slice('hostile, '.length));
    }
    expect([...seen].sort()).to.deep.equal([...KINDS].sort());
  });

  it('must not change a state that they are refused by', () => {
    expect(() => judge(hostile('ignored'), 'a', 'b', [])).to.throw('11 bad input');
    expect(() => judge(hostile('answered'), 'a', 'b', [])).to.throw('11 bad input');
    expect(() => judge(hostile('safe'), 'a', 'b', [])).not.to.throw();
  });

  it('must not be acted on beyond what is said of them', () => {
    const nack = sends(MessageType.Nack);
    expect(() => judge(hostile('ignored'), '', '', [nack])).to.throw('11 bad input');
    expect(() => judge(hostile('answered'), '', '', [persists('committed'), nack])).not.to.throw();
    expect(() => judge(hostile('answered'), '', '', [nack, nack])).to.throw('11 bad input');
    expect(() => judge(hostile('answered'), '', '', [sends(MessageType.Heartbeat)])).to.throw('11 bad input');
    expect(() => judge(hostile('answered'), '', '', [persists('promised'), nack])).to.throw('11 bad input');
    expect(() => judge(hostile('safe'), '', '', [persists('promised')])).not.to.throw();
  });
});
