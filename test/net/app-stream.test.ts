import { expect } from 'chai';
import fc from 'fast-check';

import { NO_REQUEST, type Request } from '../../src/core/decree.js';
import { clientId, entry, requestNumber } from '../../src/core/ids.js';
import { MessageType, type AppResponse } from '../../src/core/message.js';
import { AppStream, MAX_UNANSWERED_ENTRIES } from '../../src/net/app-stream.js';
import { MemoryLog } from './app-source.js';

function answer(at: number, request: Request = NO_REQUEST): AppResponse {
  return { type: MessageType.AppResponse, request, entry: entry(at), value: `answer ${at}` };
}

describe('the stream of an application (spec.md, "Applications")', () => {
  it('sends every client entry once, in order, from the entry asked for', () => {
    const log = new MemoryLog().add('a', 'b', 'c');
    const stream = new AppStream(entry(1), log);
    expect(() => stream.offer(log.stored(0))).to.throw('entry 0 offered in the place of 1');
    expect(stream.offer(log.stored(1))).to.deep.equal({
      type: MessageType.LogResponse,
      request: { id: 65537, no: 2, noset: false },
      entry: 1,
      value: 'b',
    });
    expect(() => stream.offer(log.stored(1))).to.throw('in the place of 2');
    expect(stream.offer(log.stored(2))?.value).to.equal('c');
    expect(stream.next).to.equal(3);
    expect(stream.unanswered).to.equal(2);
  });

  it('skips no-ops and duplicates, and asks for no answer that nobody can ask for', () => {
    const log = new MemoryLog().add('a').addNoOp().add('again', 'old');
    log.skipped.add(2);
    log.forgotten.add(3);
    const stream = new AppStream(entry(0), log);
    expect(stream.offer(log.stored(0))?.request.noset).to.equal(false);
    expect(stream.offer(log.stored(1))).to.equal(undefined);
    expect(stream.offer(log.stored(2))).to.equal(undefined);
    expect(stream.offer(log.stored(3))?.request.noset).to.equal(true);
    expect(stream.firstUnanswered).to.equal(0);
    expect(stream.unanswered).to.equal(1);
    expect(stream.judge(answer(3))).to.deep.include({ verdict: 'not-awaited' });
    expect(stream.judge(answer(1))).to.deep.include({ verdict: 'never-sent' });
    expect(stream.judge(answer(2))).to.deep.include({ verdict: 'never-sent' });
    expect(stream.judge(answer(0))).to.deep.equal({ verdict: 'answered' });
    expect(stream.firstUnanswered).to.equal(undefined);
  });

  it('counts an answer in its turn, and no other', () => {
    const log = new MemoryLog().add('a', 'b', 'c', 'd');
    const stream = new AppStream(entry(0), log);
    for (let at = 0; at < 3; at++) stream.offer(log.stored(at));
    const early = stream.judge(answer(1));
    expect(early).to.deep.equal({
      verdict: 'out-of-order',
      text: 'entry 1 was answered before entry 0; answers must come in order',
    });
    expect(stream.judge(answer(1))).to.deep.include({ verdict: 'twice' });
    expect(stream.judge(answer(0))).to.deep.include({ verdict: 'answered' });
    expect(stream.judge(answer(0))).to.deep.include({ verdict: 'twice' });
    // The early answer is spent, so that the stream goes on behind it.
    expect(stream.judge(answer(2))).to.deep.include({ verdict: 'answered' });
    expect(stream.judge(answer(3))).to.deep.equal({
      verdict: 'never-sent',
      text: 'entry 3 was not sent; this stream began at entry 0 and goes on at 3',
    });
    stream.offer(log.stored(3));
    stream.forfeit();
    expect(stream.unanswered).to.equal(0);
    expect(stream.judge(answer(3))).to.deep.include({ verdict: 'twice' });
  });

  it('takes an answer without the request, and refuses one with another request', () => {
    const log = new MemoryLog().add('a', 'b');
    const stream = new AppStream(entry(0), log);
    stream.offer(log.stored(0));
    stream.offer(log.stored(1));
    const other: Request = { id: clientId(65537), no: requestNumber(2), noset: false };
    expect(stream.judge(answer(0, other))).to.deep.equal({
      verdict: 'never-sent',
      text: 'entry 0 was sent with request id 65537, no 1, and answered with id 65537, no 2',
    });
    expect(stream.judge(answer(0))).to.deep.include({ verdict: 'answered' });
    expect(stream.judge(answer(1, other))).to.deep.include({ verdict: 'answered' });
  });

  it('holds no more than its window unanswered, and forgets what is long past', () => {
    const log = new MemoryLog();
    const stream = new AppStream(entry(0), log);
    for (let at = 0; at < MAX_UNANSWERED_ENTRIES; at++) {
      expect(stream.full).to.equal(false);
      stream.offer(log.add('v').stored(at));
    }
    expect(stream.full).to.equal(true);
    expect(() => stream.offer(log.add('v').stored(MAX_UNANSWERED_ENTRIES))).to.throw('256 answers awaited');
    for (let at = MAX_UNANSWERED_ENTRIES; at < 3000; at++) {
      expect(stream.judge(answer(at - MAX_UNANSWERED_ENTRIES)).verdict).to.equal('answered');
      stream.offer(log.add('v').stored(at));
    }
    expect(stream.judge(answer(2700)).verdict).to.equal('twice');
    expect(stream.judge(answer(5))).to.deep.equal({ verdict: 'not-awaited', text: 'entry 5 is long past' });
  });

  it('never counts an answer twice, before its turn or unsent, whatever is answered', () => {
    const answers = fc.array(fc.nat(12), { maxLength: 40 });
    const gaps = fc.uniqueArray(fc.nat(9));
    fc.assert(
      fc.property(answers, gaps, fc.nat(4), (entries, skipped, first) => {
        const log = new MemoryLog().add('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j');
        for (const at of skipped) log.skipped.add(at);
        const stream = new AppStream(entry(first), log, 3);
        const sent: number[] = [];
        const counted: number[] = [];
        for (const at of entries) {
          while (!stream.full && stream.next < 10) {
            const message = stream.offer(log.stored(stream.next));
            if (message !== undefined) sent.push(message.entry);
          }
          if (stream.judge(answer(at)).verdict === 'answered') counted.push(at);
          expect(stream.unanswered).to.be.at.most(3);
        }
        expect(counted).to.deep.equal([...new Set(counted)].sort((a, b) => a - b));
        expect(sent).to.include.members(counted);
        expect(sent).to.deep.equal([...sent].sort((a, b) => a - b));
      }),
    );
  });
});
