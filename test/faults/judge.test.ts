import { expect } from 'chai';
import { History, judge, expectLinearizable, type Operation } from './support/history.js';
import { askJudge, judgeMissing } from './support/judge.js';

const MISSING = judgeMissing();

/** Operations told in short: `[client, op, value, call, return]`; a get of `null` found nothing, no return is open. */
type Told = readonly [client: number, op: 'put' | 'get', value: string | null, call: number, end?: number];

function tell(told: readonly Told[], key = 'k'): Operation[] {
  return told.map(([client, op, value, call, end]) => ({
    client,
    op,
    key,
    value: value ?? '',
    found: op === 'get' && value !== null,
    call,
    ...(end !== undefined && { return: end }),
  }));
}

function history(...operations: readonly Operation[]): History {
  const made = new History();
  for (const operation of operations) made.add(operation);
  return made;
}

const GOOD: Readonly<Record<string, readonly Told[]>> = {
  'nothing at all': [],
  'one after the other': [
    [0, 'get', null, 1, 2],
    [0, 'put', 'a', 3, 4],
    [1, 'get', 'a', 5, 6],
  ],
  'a get beside a put that finds the old value, or the new one': [
    [0, 'put', 'a', 1, 2],
    [0, 'put', 'b', 3, 9],
    [1, 'get', 'a', 4, 5],
    [1, 'get', 'b', 6, 7],
  ],
  'an open put that never happened': [
    [0, 'put', 'a', 1, 2],
    [1, 'put', 'b', 3],
    [0, 'get', 'a', 4, 5],
  ],
  'an open put that happened, late': [
    [0, 'put', 'a', 1, 2],
    [1, 'put', 'b', 3],
    [0, 'get', 'a', 4, 5],
    [0, 'get', 'b', 6, 7],
  ],
  'an open get': [
    [0, 'put', 'a', 1, 2],
    [1, 'get', null, 3],
  ],
};

const BAD: Readonly<Record<string, readonly Told[]>> = {
  'a stale read': [
    [0, 'put', 'a', 1, 2],
    [0, 'put', 'b', 3, 4],
    [1, 'get', 'a', 5, 6],
  ],
  'a lost write': [
    [0, 'put', 'a', 1, 2],
    [1, 'get', null, 3, 4],
  ],
  'an effect that comes twice': [
    [0, 'put', 'a', 1, 2],
    [0, 'put', 'b', 3, 4],
    [1, 'get', 'b', 5, 6],
    [1, 'get', 'a', 7, 8],
  ],
  'an open put that happens, and happens again': [
    [0, 'put', 'a', 1],
    [1, 'get', 'a', 2, 3],
    [1, 'put', 'b', 4, 5],
    [1, 'get', 'b', 6, 7],
    [1, 'get', 'a', 8, 9],
  ],
  'a value that nobody put': [[0, 'get', 'x', 1, 2]],
  'a read before the write': [
    [0, 'get', 'a', 1, 2],
    [1, 'put', 'a', 3],
  ],
  'two readers who disagree on the order': [
    [0, 'put', 'a', 1, 10],
    [1, 'put', 'b', 1, 10],
    [2, 'get', 'a', 11, 12],
    [3, 'get', 'b', 13, 14],
  ],
};

describe(`faults: the judge of histories${MISSING === undefined ? '' : ` (skipped: ${MISSING})`}`, function () {
  const judged = MISSING === undefined ? it : it.skip;

  for (const [what, told] of Object.entries(GOOD)) {
    judged(`accepts ${what}`, async () => {
      const verdict = await judge(history(...tell(told)));
      const open = told.filter(([, , , , end]) => end === undefined).length;
      expect(verdict).to.deep.include({ verdict: 'linearizable', operations: told.length, open });
      await expectLinearizable(history(...tell(told)));
    });
  }

  for (const [what, told] of Object.entries(BAD)) {
    judged(`refuses ${what}, and names the key`, async () => {
      const good = tell(GOOD['one after the other']!, 'innocent');
      const bad = history(...good, ...tell(told, 'guilty'));
      expect(await judge(bad)).to.deep.include({
        verdict: 'not linearizable',
        keys: 2,
        illegal: ['guilty'],
        unknown: [],
      });
      const error = await expectLinearizable(bad).then(
        () => undefined,
        (reason: unknown) => String(reason),
      );
      expect(error).to.contain('not linearizable').and.contain('guilty').and.not.contain('innocent');
    });
  }

  judged('says that it does not know when it has no time, and that counts as a failure', async () => {
    const lines = tell(GOOD['one after the other']!).map((operation) => JSON.stringify(operation));
    expect(await askJudge(lines, 0)).to.deep.include({ verdict: 'unknown', unknown: ['k'], illegal: [] });
  });

  judged('refuses what is no history', async () => {
    for (const line of [
      '{"op":"put"}',
      '{"op":"cut","key":"k","call":1}',
      'x',
      '{"op":"get","call":2,"return":1}',
    ]) {
      const error = await askJudge([line]).then(
        () => undefined,
        (reason: unknown) => String(reason),
      );
      expect(error, line).to.contain('ended with 2').and.contain('line 1');
    }
  });

  judged('hears what was lived through: answered, open, and refused operations', async () => {
    const lived = new History();
    lived.put(0, 'k', 'a').returned();
    lived.get(1, 'k').returned('a');
    lived.put(1, 'k', 'never').refused();
    lived.put(0, 'k', 'open');
    lived.get(1, 'other').returned();
    expect(await judge(lived)).to.deep.include({ verdict: 'linearizable', operations: 4, open: 1, keys: 2 });
    lived.get(1, 'k').returned('never');
    expect(await judge(lived)).to.deep.include({ verdict: 'not linearizable', illegal: ['k'] });
  });
});
