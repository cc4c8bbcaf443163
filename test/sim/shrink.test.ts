import { expect } from 'chai';
import { Counters } from '../../src/sim/counters.js';
import { SimulationFailure } from '../../src/sim/failure.js';
import { CALM_NETWORK, drawPlan, type Plan } from '../../src/sim/plan.js';
import { shrink } from '../../src/sim/shrink.js';
import type { RunResult } from '../../src/sim/simulation.js';

function resultOf(plan: Plan, failure: SimulationFailure | undefined): RunResult {
  const counters = new Counters();
  return {
    plan,
    hash: '',
    events: 0,
    virtual_ms: plan.duration_ms,
    healed_ms: 0,
    counters,
    failure,
    trace: [],
  };
}

/** A bug that shows when a node crashes on a network that loses something, and not otherwise. */
function crashAndLoss(plan: Plan): RunResult {
  const fails = plan.network.loss > 0 && plan.actions.some(({ kind }) => kind === 'crash');
  return resultOf(plan, fails ? new SimulationFailure('1 agreement', 'two values') : undefined);
}

function failsWithCrashAndLoss(plan: Plan): Promise<RunResult> {
  return Promise.resolve(crashAndLoss(plan));
}

describe('the shrinker', () => {
  const whole = Array.from({ length: 1000 }, (_, seed) => drawPlan(seed)).find(
    (plan) => plan.nodes === 5 && plan.actions.length > 20 && crashAndLoss(plan).failure !== undefined,
  )!;

  it('leaves what the failure needs, and little else', async () => {
    const { plan, result } = await shrink(crashAndLoss(whole), failsWithCrashAndLoss);
    expect(result.failure?.kind).to.equal('1 agreement');
    expect(plan.actions.map(({ kind }) => kind)).to.deep.equal(['crash']);
    expect(plan.network.loss).to.be.greaterThan(0);
    expect(plan.clients.count).to.equal(1);
    expect(plan.disk).not.to.deep.equal(whole.disk);
    expect(plan.seed).to.equal(whole.seed);
  });

  it('does not take another failure for the same', async () => {
    const other = (plan: Plan): Promise<RunResult> => {
      const { failure } = crashAndLoss(plan);
      const calm = plan.network.spike === 0 && plan.network.replay === 0;
      return Promise.resolve(
        resultOf(plan, failure && calm ? new SimulationFailure('liveness', '0 leaders') : failure),
      );
    };
    const busy = { ...whole, network: { ...CALM_NETWORK, loss: 0.1, replay: 0.1, spike: 0.1 } };
    const { result } = await shrink(await other(busy), other);
    expect(result.failure?.kind).to.equal('1 agreement');
  });
});
