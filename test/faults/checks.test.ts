import { expect } from 'chai';
import type { LogEntry } from '../support/cluster.js';
import { expectInLog, Load, type Acknowledged } from './support/load.js';

function entry(number: number, no: number, value: string, id = 7): LogEntry {
  return { entry: number, id, no, noset: false, value };
}

function answered(number: number, no: number, value: string, call: number): Acknowledged {
  return { value, answer: { value, entry: number, id: 7, no }, call, return: call + 1 };
}

const put = (value: string): string => JSON.stringify({ op: 'put', key: 'k', value });

/** A no-op, a put, a get that was proposed twice, another put. */
const LOG = [
  entry(0, 0, '', 0),
  entry(1, 1, put('a')),
  entry(2, 2, 'get'),
  entry(3, 2, 'get'),
  entry(4, 3, put('b')),
];
const ANSWERS = [answered(1, 1, put('a'), 10), answered(2, 2, 'get', 20), answered(4, 3, put('b'), 30)];

describe('faults: the checks of a log', () => {
  it('accept what is in order, with repetitions, no-ops, and requests that nobody knows the outcome of', () => {
    expectInLog(LOG, ANSWERS, [put('refused')]);
    expectInLog(LOG, ANSWERS.slice(0, 1));
  });

  it('refuse a log that lacks what was acknowledged, or has it elsewhere or otherwise', () => {
    expect(() => expectInLog(LOG.slice(0, 4), ANSWERS)).to.throw('request 7:3');
    expect(() => expectInLog(LOG, [answered(3, 2, 'get', 20)])).to.throw('request 7:2');
    expect(() => expectInLog(LOG, [answered(1, 1, put('z'), 10)])).to.throw('request 7:1');
  });

  it('refuse a log with one effect under two numbers', () => {
    expect(() => expectInLog([...LOG, entry(5, 4, put('a'))], ANSWERS)).to.throw('one request');
  });

  it('refuse a log with what certainly had not happened', () => {
    expect(() => expectInLog(LOG, ANSWERS.slice(0, 2), [put('b')])).to.throw('refused, and executed');
  });

  it('refuse a log whose order is not that of time', () => {
    const late = [answered(1, 1, put('a'), 40), answered(4, 3, put('b'), 30)];
    expect(() => expectInLog(LOG, late)).to.throw('was asked after entry 4');
  });
});

describe('faults: load', () => {
  it('fails when an answer is not one to what was asked', async () => {
    const liar = {
      request: () => Promise.resolve({ value: '{"ok":true,"value":"x"}', entry: 1, id: 1, no: 1 }),
    };
    const work = new Load({ client: () => liar });
    // A get of x can't be told from the truth here, a put of anything else can.
    const error = await work.more(100).then(
      () => undefined,
      (reason: unknown) => String(reason),
    );
    expect(error).to.contain('the answer to {"op":"put"');
    await work.stop().catch(() => undefined);
  });
});
