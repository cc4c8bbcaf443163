import { expect } from 'chai';

import { Counters } from '../../src/net/counters.js';
import { listenError } from '../../src/net/listen-error.js';
import { limitedLog, printable } from '../../src/net/logging.js';
import { OutputBudget } from '../../src/net/output-budget.js';
import { TokenBucket } from '../../src/net/token-bucket.js';
import { ManualClock, recordingLog } from './support.js';

describe('net: small parts', () => {
  it('a token bucket gives its burst, then its rate, and never more than its burst', () => {
    const clock = new ManualClock();
    const bucket = new TokenBucket({ burst: 3, per_s: 10, now_ms: clock.now_ms });
    const takeAll = (): number => {
      let taken = 0;
      while (bucket.take()) taken++;
      return taken;
    };
    expect(takeAll()).to.equal(3);
    clock.time_ms += 99;
    expect(takeAll()).to.equal(0);
    clock.time_ms += 101;
    expect(takeAll()).to.equal(2);
    clock.time_ms += 3_600_000;
    expect(takeAll()).to.equal(3);
  });

  it('counters count by code', () => {
    const counters = new Counters<'b' | 'a'>();
    for (const code of ['b', 'a', 'b'] as const) counters.count(code);
    expect(counters.of('b')).to.equal(2);
    expect(Object.entries(counters.all())).to.deep.equal([
      ['a', 1],
      ['b', 2],
    ]);
  });

  it('foreign text cannot move a cursor, fake a line or fill the log', () => {
    expect(printable('a\u001b[2Jb\r\nc\u0085\u2028\u202e\ud800é\u{1f600}')).to.equal(
      'a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{85}\\u{2028}\\u{202e}\\u{d800}é\u{1f600}',
    );
    expect(printable('x'.repeat(10_000))).to.have.length.below(400);
  });

  it('a limited log holds a flood back, says how much, and leaves other codes alone', () => {
    const clock = new ManualClock();
    const { log, lines } = recordingLog();
    const limited = limitedLog(log, clock.now_ms);
    for (let i = 0; i < 100; i++) limited('warn', 'flood', 'again');
    const passed = lines.all.length;
    expect(passed).to.be.within(1, 10);
    limited('info', 'other', 'a\nb', { remote: 'x\u001by' });
    expect(lines.all.at(-1)).to.deep.equal({
      level: 'info',
      code: 'other',
      text: 'a\\u{a}b',
      details: { remote: 'x\\u{1b}y' },
    });
    clock.time_ms += 1_000;
    limited('warn', 'flood', 'again');
    expect(lines.all.at(-1)!.details).to.deep.equal({ held_back: 100 - passed });
  });

  it('the output budget is the end of those above their share only', () => {
    const budget = new OutputBudget(100);
    for (let i = 0; i < 4; i++) budget.join();
    budget.hold(95);
    expect(budget.exceededBy(26, 10)).to.be.true;
    expect(budget.exceededBy(25, 10)).to.be.false;
    expect(budget.exceededBy(26, 5)).to.be.false;
    budget.release(20);
    expect(budget.exceededBy(26, 10)).to.be.false;
    budget.leave(75);
    expect(budget.held_bytes).to.equal(0);
  });

  it('a failed bind says what, where and what to do', () => {
    const refused = (code: string): string =>
      listenError(Object.assign(new Error('bind'), { code }), 'TCP', { address: '10.0.0.1', port: '80' })
        .message;
    expect(refused('EACCES')).to.include('TCP 10.0.0.1:80').and.to.include('1024 or above');
    expect(refused('EMFILE')).to.include('ulimit -n');
    expect(refused('EWHATEVER')).to.include('EWHATEVER');
  });
});
