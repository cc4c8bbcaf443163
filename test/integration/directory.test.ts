import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rename, rm, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { initialise } from '../../src/index.js';
import { TEST_TIMEOUT_MS, useClusters, useSharedCluster } from '../support/cluster-hooks.js';
import type { TestNode } from '../support/cluster.js';
import { endOf, lastSegment, overwrite } from '../support/journal-files.js';

describe('integration: data directories', function () {
  this.timeout(TEST_TIMEOUT_MS);

  describe('that are taken', () => {
    const cluster = useSharedCluster(() => ({ nodes: 1 }));

    it('row 14: a second process on the same data directory refuses, and names the first', async () => {
      const node = cluster().nodes[0]!;
      const second = await cluster().command('start', '--data-dir', node.directory);
      expect(second.code).to.equal(1);
      expect(second.stderr).to.contain(`process ${node.process.pid}`).and.contain(node.directory);
      expect((await cluster().client().request('still there')).value).to.equal('still there');
    });

    it('row 14: a second node on the same port refuses, and names the port; so with the port for HTTP', async () => {
      const node = cluster().nodes[0]!;
      const directory = join(cluster().folder, 'same-port');
      await initialise(directory, { self: node, agents: [node] });
      const second = await cluster().command('start', '--data-dir', directory);
      expect(second.code).to.equal(1);
      expect(second.stderr).to.contain(node.name);

      const other = join(cluster().folder, 'same-http');
      const self = { address: '127.0.0.2', port: node.port };
      await initialise(other, { self, agents: [self] });
      const http = `${node.address}:${node.http_port}`;
      const third = await cluster().command('start', '--data-dir', other, '--http', http);
      expect(third.code).to.be.above(0);
      expect(third.stderr).to.contain('--http').and.contain(http);
      expect((await cluster().client().request('still there')).value).to.equal('still there');
    });
  });

  describe('of a member that was killed, while the two others go on', () => {
    const cluster = useSharedCluster(() => ({ nodes: 3 }));
    let node: TestNode;
    let saved: string;
    let requests = 0;

    before(async () => {
      const { follower } = await cluster().roles();
      node = follower;
      for (let i = 0; i < 20; i++) await cluster().client().request(`before ${i}`);
      await cluster().settled(cluster().nodes, 20);
      await node.kill();
      saved = `${node.directory}.saved`;
      await cp(node.directory, saved, { recursive: true });
    });

    /** The other two are there, and the directory is as it was. */
    afterEach(async () => {
      const value = `request ${requests++}`;
      expect((await cluster().client().request(value)).value).to.equal(value);
      await rm(node.directory, { recursive: true, force: true });
      await cp(saved, node.directory, { recursive: true });
    });

    async function refused(what: string): Promise<string> {
      const { code, text } = await node.refusal();
      expect({ what, code }).to.eql({ what, code: 1 });
      return text;
    }

    it('row 39: without its identity it is refused, with what to do', async () => {
      await rm(join(node.directory, 'identity.json'));
      expect(await refused('no identity'))
        .to.contain(node.directory)
        .and.contain('identity.json is missing');
    });

    it('row 39: without its journal it is refused', async () => {
      await rm(join(node.directory, 'journal'), { recursive: true });
      expect(await refused('no journal'))
        .to.contain(node.directory)
        .and.match(/missing|no journal/);
    });

    it('row 39: emptied, or gone, it is refused, and nothing is made in its place', async () => {
      await rm(node.directory, { recursive: true });
      expect(await refused('no directory'))
        .to.contain(node.directory)
        .and.contain('paxosd init');
      await mkdir(node.directory);
      expect(await refused('an empty directory'))
        .to.contain(node.directory)
        .and.contain('paxosd init');
      expect(await readdir(node.directory)).to.not.contain('identity.json');
    });

    it("row 38: with another node's journal it is refused", async () => {
      const other = cluster().running[0]!;
      await rm(join(node.directory, 'journal'), { recursive: true });
      await cp(join(other.directory, 'journal'), join(node.directory, 'journal'), { recursive: true });
      expect(await refused('a foreign journal'))
        .to.contain(node.directory)
        .and.contain(other.name);
    });

    it('row 37: with damage before good records it is refused, with file and offset', async () => {
      const file = await lastSegment(node);
      const offset = Math.floor((await endOf(file)) / 2);
      await overwrite(file, offset, '@@');
      const text = await refused('damage');
      expect(text).to.contain(file);
      expect(Number(/offset (\d+)/.exec(text)?.[1])).to.be.within(1, offset);
    });

    it('row 40: with a journal of zeros, or of garbage, it is refused', async () => {
      const file = await lastSegment(node);
      const { length } = await readFile(file);
      for (const byte of [0, 0x41]) {
        await overwrite(file, 0, Buffer.alloc(length, byte));
        expect(await refused(`all bytes ${byte}`)).to.contain(file);
      }
    });

    it('row 41: with a FIFO, a directory or a symbolic link in the place of a file it is refused at once', async () => {
      const file = await lastSegment(node);
      const cases: [string, () => Promise<unknown>][] = [
        [join(node.directory, 'identity.json'), () => fifo(join(node.directory, 'identity.json'))],
        [join(node.directory, 'lock'), () => fifo(join(node.directory, 'lock'))],
        [file, () => fifo(file)],
        [file, () => mkdir(file)],
        [file, () => symlink('/dev/zero', file)],
      ];
      for (const [path, make] of cases) {
        await rename(path, `${node.directory}.aside`);
        await make();
        expect(await refused(path)).to.contain(path);
        await rm(path, { recursive: true });
        await rename(`${node.directory}.aside`, path);
      }
    });

    it('as it was, it is taken, and catches up', async () => {
      await node.start();
      await cluster().settled(cluster().nodes, 20 + requests);
      await node.kill();
    });
  });

  describe('after a crash', () => {
    const cluster = useClusters();

    it('row 35: a torn last record is dropped: it boots, and everything that was acknowledged is there', async () => {
      const all = await cluster({ nodes: 3 });
      const torn = await all.leader();
      const answers = [];
      for (let i = 0; i < 10; i++) answers.push(await all.client().request(`acknowledged ${i}`));
      await all.settled();
      await Promise.all(all.running.map((node) => node.kill()));
      const file = await lastSegment(torn);
      await truncate(file, (await endOf(file)) - 3);
      await all.start();
      const leader = await all.leader();
      expect(torn.process.log('journal-torn')).to.have.length(1);
      expect((await all.client().request('goes on')).value).to.equal('goes on');
      for (const { entry, value } of answers) {
        expect((await all.client({ servers: leader.name }).query(entry)).value).to.equal(value);
      }
      const count = await all.settled(all.nodes);
      expect(await all.log(torn, count)).to.eql(await all.log(leader, count));
    });
  });
});

function fifo(path: string): Promise<unknown> {
  return Promise.resolve(execFileSync('mkfifo', [path]));
}
