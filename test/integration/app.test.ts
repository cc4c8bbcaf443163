import { expect } from 'chai';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExecutedError } from '../../clients/typescript/index.js';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters, useSharedCluster } from '../support/cluster-hooks.js';
import type { Cluster, TestNode } from '../support/cluster.js';
import { PROJECT } from '../support/process.js';
import { errorCode } from '../support/process-wire.js';

/** The pid of the application that runs at `node`, once it is connected. */
async function appPid(node: TestNode): Promise<number> {
  const { app } = await node.until('a connected application', (status) => status.app.state === 'connected');
  return 'pid' in app ? (app.pid ?? 0) : 0;
}

describe('integration: applications that fail', function () {
  this.timeout(TEST_TIMEOUT_MS);

  describe('in one cluster, each leaving it well for the next', () => {
    const cluster = useSharedCluster(() => ({
      nodes: 3,
      app: TEST_APP,
      flags: ['--request-timeout-ms', '1500'],
    }));
    const request = async (value: string): Promise<string> => (await cluster().client().request(value)).value;
    const troubled = async (code: string): Promise<string> =>
      (await (await cluster().leader()).process.logged(code)).msg;

    it('row 62: one that exits, with whatever code, is started again and caught up; its client gets the answer', async () => {
      const { leader } = await cluster().roles();
      const place = Number((await request('count')).split(':')[0]);
      for (const code of [0, 3]) {
        const once = join(cluster().folder, `exited-${code}`);
        expect(await request(`exit ${code} ${once}`)).to.equal('survived');
      }
      expect(leader.process.log('app-exited').map(({ msg }) => msg)).to.satisfy((texts: string[]) =>
        [0, 3].every((code) => texts.some((text) => text.includes(`exited with code ${code}`))),
      );
      expect(await request('count')).to.equal(`${place + 1}:count`);
      expect((await cluster().leader()).name).to.equal(leader.name);
    });

    it('row 62: kill -9 of the application while entries wait: it is restarted, and every answer comes', async () => {
      const { raw, leader } = await cluster().session();
      const pid = await appPid(leader);
      const release = join(cluster().folder, 'killed');
      raw.request(1, `wait ${release}`).request(2, 'behind it').request(3, 'and behind that');
      await leader.until('three that wait', ({ app }) => 'unanswered' in app && app.unanswered === 3);
      process.kill(pid, 'SIGKILL');
      await writeFile(release, '');
      const answers = await raw.take(3);
      expect(answers.map(({ type }) => type)).to.eql([8, 8, 8]);
      expect(answers.map(({ request }) => request?.no)).to.eql([1, 2, 3]);
      expect(await appPid(leader)).to.not.equal(pid);
    });

    it('row 62: one that hangs is reported and left running; clients are told unknown, and it answers later', async () => {
      const { raw, leader } = await cluster().session();
      const release = join(cluster().folder, 'hung');
      raw.request(1, `wait ${release}`);
      expect(errorCode(await raw.next())).to.equal('timeout');
      const { app } = await leader.until(
        'a hanging entry',
        ({ app }) => 'hanging_entry' in app && app.hanging_entry !== null,
      );
      expect(app.state).to.equal('connected');
      await writeFile(release, '');
      raw.request(1, `wait ${release}`);
      expect((await raw.next()).value).to.match(/^waited/);
      expect(await troubled('app-hanging'))
        .to.contain('for 1500 ms')
        .and.contain('left running');
    });

    it('row 62: garbage, an answer given twice, for nothing, or out of order is reported, and the node goes on', async () => {
      expect(await request('garbage')).to.equal('after garbage');
      expect(await troubled('app-refused')).to.contain('malformed');
      expect(await request('twice')).to.equal('first');
      expect(await troubled('app-twice')).to.contain('ignored');
      expect(await request('stranger')).to.equal('its own');
      expect(await troubled('app-never-sent')).to.contain('ignored');

      const { raw } = await cluster().session();
      raw.request(1, 'late').request(2, 'overtakes');
      const answers = await raw.take(2);
      const overtaken = answers.find((answer) => answer.request?.no === 1)!;
      expect([8, 16]).to.contain(overtaken.type);
      expect(await troubled('app-out-of-order')).to.be.a('string');
      expect(await request('still there')).to.match(/:still there$/);
    });

    it('row 62: a response too large is an Error that says that the request was executed', async () => {
      const client = cluster().client();
      for (const size of [70_000, 1_500_000]) {
        const error = await client.request(`large ${size}`).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        expect(error).to.be.instanceOf(ExecutedError);
        expect((error as ExecutedError).code).to.equal('answer-too-large');
        const again = await client.outcome(error as never).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        expect(again).to.be.instanceOf(ExecutedError);
      }
      expect(await request('large 60000')).to.have.length(60_000);
    });

    it('row 63: AppResponse, and ClientApp, of an ordinary client make it no application', async () => {
      const { raw, leader } = await cluster().session();
      raw.send({ type: 14, request: {}, entry: 0, value: 'forged' });
      expect(errorCode(await raw.next())).to.equal('not-allowed');
      const follower = await cluster().connect(leader);
      follower.send({ type: 13 });
      expect(await follower.next()).to.deep.include({ type: 12 });
      expect(follower.all.every(({ request }) => request?.noset === true)).to.equal(true);
      follower.send({ type: 14, request: {}, entry: 0, value: 'forged' });
      await follower.until('the refusal', () =>
        follower.all.some((line) => errorCode(line) === 'not-allowed'),
      );
      raw.request(1, 'who answers?');
      expect((await raw.next()).value).to.match(/:who answers\?$/);
      follower.close();
    });
  });

  describe('in clusters of their own', () => {
    const cluster = useClusters();

    it('row 62: an entry that kills it again and again is named in status and log, and the node stays up', async () => {
      const all = await cluster({ nodes: 1, app: TEST_APP });
      const { raw, leader } = await all.session();
      const cure = join(all.folder, 'cured');
      raw.request(1, 'harmless').request(2, `die ${cure}`).request(3, 'behind it');
      expect((await raw.next()).value).to.equal('1:harmless');
      const { app, entries } = await leader.until(
        'a failing application',
        (status) => status.app.state === 'failing',
      );
      expect(app).to.deep.include({ failing_entry: entries.chosen - 2 });
      expect((await leader.process.logged('app-failing')).entry).to.equal(entries.chosen - 2);

      await writeFile(cure, '');
      await raw.until('the answers', () => raw.all.filter(({ type }) => type === 8).length >= 3);
      expect(raw.all.filter(({ type }) => type === 8).map(({ value }) => value)).to.eql([
        '1:harmless',
        'survived',
        '2:behind it',
      ]);
      await leader.until('a sound application', (status) => status.app.state === 'connected');
    });

    it('an --app that does not exist, may not be run, or is half a command is refused at the start', async () => {
      const all = await cluster({ nodes: 1, starting: [] });
      const node = all.nodes[0]!;
      const plain = join(all.folder, 'plain-file');
      await writeFile(plain, 'not to be run');
      for (const [app, complaint] of [
        ['no-such-program-anywhere', 'no such program'],
        [plain, 'chmod +x'],
        ['"kvapp', 'quote'],
      ] as const) {
        const { code, text } = await node.refusal('--app', app);
        expect({ app, code }).to.eql({ app, code: 2 });
        expect(text).to.contain('--app').and.contain(complaint);
      }
    });

    it('row 62: without --app the first ClientApp connection is the application, the second a follower, until the first leaves', async () => {
      const all = await cluster({ nodes: 1 });
      const { raw, leader } = await all.session();
      const first = await all.connect(leader);
      first.send({ type: 11 }, { type: 13 });
      await leader.until('the application', ({ app }) => app.state === 'connected');
      const second = await all.connect(leader);
      second.send({ type: 11 }, { type: 13 });
      raw.request(1, 'who answers?');
      await answerNext(first, 'the first');
      expect((await raw.next()).value).to.equal('the first');
      await second.until('the entry', () => second.all.some(({ type }) => type === 12));
      const seen = second.all.find(({ type }) => type === 12)!;
      expect(seen).to.deep.include({ value: 'who answers?' });
      expect(seen.request?.noset).to.equal(true);
      second.send({ type: 14, request: {}, entry: seen.entry ?? 0, value: 'the second' });
      await second.until('a refusal', () => second.all.some((line) => errorCode(line) === 'not-allowed'));

      raw.request(2, 'and now?');
      await first.until('the second entry', () => first.all.filter(({ type }) => type === 12).length === 2);
      first.close();
      expect(errorCode(await raw.next())).to.equal('app-left');
      await leader.until('no application', ({ app }) => app.state === 'none');
      raw.request(3, 'nobody there');
      expect((await raw.next()).value).to.equal('nobody there');
    });

    it('kvapp by name, by ./path with the two flags alone, and with the environment alone', async () => {
      const kvapp = `'${process.execPath}' '${PROJECT}dist/clients/typescript/kvapp.js'`;
      const all = await cluster({ nodes: 1, app: 'kvapp' });
      const node = all.nodes[0]!;
      await shell(all, 'flags.sh', `exec env -u PAXOS_ADDR -u PAXOS_PORT ${kvapp} "$@"`);
      await shell(all, 'env.sh', `echo "got $1 $2 and $3"; exec ${kvapp}`);
      const put = '{"op":"put","key":"k","value":"v"}';
      expect((await all.client().request(put)).value).to.equal('{"ok":true,"value":"v"}');
      for (const app of ['./flags.sh', "./env.sh 'one word'"]) {
        await node.kill();
        await node.start('--app', app);
        expect((await all.client().request('{"op":"get","key":"k"}')).value).to.equal(
          '{"ok":true,"value":"v"}',
        );
      }
      const { msg } = await node.process.logged('app-output');
      expect(msg).to.match(/^app \| got one word -paxos_addr=127\.0\.0\.1 and -paxos_port=\d+$/);
    });
  });
});

/** An executable script in the cluster's folder, which its nodes run in. */
async function shell(all: Cluster, name: string, line: string): Promise<void> {
  const file = join(all.folder, name);
  await writeFile(file, `#!/bin/sh\n${line}\n`);
  await chmod(file, 0o755);
}

/** As an application: answers the next entry that comes. */
async function answerNext(app: Awaited<ReturnType<Cluster['connect']>>, value: string): Promise<void> {
  await app.until('an entry', () => app.all.some(({ type }) => type === 12));
  const { entry = 0, request } = app.all.find(({ type }) => type === 12)!;
  expect(request?.noset ?? false).to.equal(false);
  app.send({ type: 14, request: {}, entry, value });
}
