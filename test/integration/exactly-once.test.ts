import { expect } from 'chai';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, UnknownOutcomeError } from '../../clients/typescript/index.js';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters, useSharedCluster } from '../support/cluster-hooks.js';
import { errorCode, said } from '../support/process-wire.js';

describe('integration: exactly once', function () {
  this.timeout(TEST_TIMEOUT_MS);

  describe('over failovers', () => {
    const cluster = useClusters();

    it('row 56: the same request on the same node and after two failovers has one effect and one answer', async () => {
      const all = await cluster({ nodes: 3, app: TEST_APP });
      const first = await all.session();
      first.raw.request(1, 'a').request(1, 'a').request(1, 'something else');
      const answers = (await first.raw.take(3)).map(said);
      const answer = { type: 8, entry: answers[0]!.entry, value: '1:a' };
      expect(answers).to.eql([answer, answer, answer]);

      let leader = first.leader;
      for (let failover = 0; failover < 2; failover++) {
        await leader.kill();
        const again = await all.session(first.id);
        expect(again.id).to.equal(first.id);
        again.raw.request(1, 'a');
        expect(said(await again.raw.next())).to.eql(answer);
        await leader.start();
        leader = again.leader;
      }
      const { raw } = await all.session(first.id);
      raw.request(2, 'b');
      expect((await raw.next()).value).to.equal('2:b');
    });

    it('row 56: after a commit without a reply the request is asked again elsewhere, and was executed once', async () => {
      const all = await cluster({ nodes: 3, app: TEST_APP });
      const { raw, id, leader } = await all.session();
      const release = join(all.folder, 'release');
      raw.request(1, 'first').request(2, `wait ${release}`).request(3, 'third');
      expect((await raw.next()).value).to.equal('1:first');
      // Chosen, and no answer has left: the application hangs.
      await leader.until(
        'all three chosen',
        ({ entries, app }) => entries.chosen >= 3 && app.state === 'connected',
      );
      await leader.kill();
      await writeFile(release, '');

      const again = await all.session(id);
      again.raw.request(3, 'third').request(2, 'whatever it says now');
      const answers = await again.raw.take(2);
      const byNumber = new Map(answers.map((answer) => [answer.request?.no, answer.value]));
      expect(byNumber.get(2)).to.equal('waited, 1 before');
      expect(byNumber.get(3)).to.equal('2:third');
    });

    it('row 60: a time-out, then the commit, then asking again; "did it happen?" has an answer', async () => {
      const all = await cluster({ nodes: 3, app: TEST_APP, flags: ['--request-timeout-ms', '500'] });
      await all.leader();
      const release = join(all.folder, 'release');
      const client = all.client();
      const lost = await client.request(`wait ${release}`, { timeout_ms: 1_200 }).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(lost).to.be.instanceOf(UnknownOutcomeError);
      const { asked } = lost as UnknownOutcomeError;

      const { raw } = await all.session(asked.id);
      raw.request(asked.no, asked.value);
      const refusal = await raw.next();
      expect(errorCode(refusal)).to.equal('timeout');
      await writeFile(release, '');
      const other = all.client();
      expect((await other.outcome(lost as UnknownOutcomeError)).value).to.equal('waited, 0 before');
      expect((await other.request('next')).value).to.equal('1:next');
    });
  });

  describe('with numbers of all kinds', () => {
    const cluster = useSharedCluster(() => ({ nodes: 3, app: TEST_APP }));

    it('row 58: numbers may have gaps, be old, and come again with another value', async () => {
      const { raw } = await cluster().session();
      raw.request(5, 'five').request(100, 'hundred').request(3, 'three');
      const fresh = await raw.take(3);
      expect(fresh.map(({ value }) => value?.split(':')[1])).to.eql(['five', 'hundred', 'three']);
      expect(fresh.map(({ request }) => request?.no)).to.eql([5, 100, 3]);
      raw.request(3, 'not three').request(5, '').request(100, 'hundred');
      const old = await raw.take(3);
      const values = new Map(old.map(({ request, value }) => [request?.no, value]));
      for (const { request, value } of fresh) expect(values.get(request?.no)).to.equal(value);
    });

    it('row 58: a number of which nobody knows any more whether it ran is refused, never run again', async () => {
      const { raw } = await cluster().session();
      for (let first = 1; first <= 300; first += 100) {
        for (let no = first; no < first + 100; no++) raw.request(no, `number ${no}`);
        await raw.take(100);
      }
      raw.request(1, 'number 1').request(300, 'number 300');
      const answers = await raw.take(2);
      expect(errorCode(answers.find(({ request }) => request?.no === 1)!)).to.equal('session-expired');
      expect(answers.find(({ request }) => request?.no === 300)!.value).to.match(/:number 300$/);
    });

    it("row 59: somebody else's id is refused, by name of the session that the connection speaks for", async () => {
      const mine = await cluster().session();
      const other = await cluster().session();
      other.raw.request(1, 'not yours', mine.id);
      const refusal = await other.raw.next();
      expect(errorCode(refusal)).to.equal('foreign-id');
      expect(refusal.error).to.contain(String(other.id)).and.contain(String(mine.id));
      other.raw.request(1, 'mine');
      expect((await other.raw.next()).value).to.match(/:mine$/);
    });

    it('row 59: a session that nobody issued, or of a round to come, is not gone on with', async () => {
      const leader = await cluster().leader();
      const raw = await cluster().connect(leader);
      for (const id of [3 * 65_536, 2 ** 50 + 1]) {
        expect(errorCode(await raw.hello(id)), String(id)).to.equal('no-such-session');
      }
      expect(await raw.hello()).to.deep.include({ type: 10 });
    });

    it('row 57: a session goes over to its newest connection; the older one is told and closed', async () => {
      const mine = await cluster().session();
      mine.raw.request(1, 'from the first');
      const { value } = await mine.raw.next();
      const taker = await cluster().session(mine.id);
      expect(errorCode(await mine.raw.next())).to.equal('session-taken-over');
      await mine.raw.ended();
      taker.raw.request(1, 'from the second');
      expect((await taker.raw.next()).value).to.equal(value);
    });

    it('row 57: two clients that fight for one id have each number executed once, and equal answers', async () => {
      const { id, raw } = await cluster().session();
      raw.request(1, 'start');
      await raw.next();
      const session = { id, no: 2 };
      const fighters = ['left', 'right'].map((name) => ({ name, client: cluster().client({ session }) }));
      const results = await Promise.all(fighters.map(({ name, client }) => askInOrder(client, id, name)));
      const [left, right] = results;
      for (const [no, value] of left!) {
        if (right!.has(no)) expect(right!.get(no), `number ${no}`).to.equal(value);
      }
      const count = await cluster().settled();
      const log = await cluster().log(await cluster().leader(), count);
      const firsts = new Map<number, string>();
      for (const entry of log)
        if (entry.id === id && !firsts.has(entry.no)) firsts.set(entry.no, entry.value);
      for (const answers of results) {
        for (const [no, value] of answers) expect(value.split(':')[1]).to.equal(firsts.get(no));
      }
      expect(results[0]!.size + results[1]!.size).to.be.above(0);
    });
  });
});

/** Asks for numbers 2 to 21 in a session that another client asks in too; the answers that it got. */
async function askInOrder(client: Client, id: number, name: string): Promise<Map<number, string>> {
  const answers = new Map<number, string>();
  for (let no = 2; no < 22; no++) {
    const value = `${name} ${no}`;
    const answer = await client.askAgain({ id, no, value }).catch((error: unknown) => {
      expect(error, 'the outcome is never said to be definite').to.be.instanceOf(UnknownOutcomeError);
      return undefined;
    });
    if (answer !== undefined) answers.set(no, answer.value);
  }
  return answers;
}
