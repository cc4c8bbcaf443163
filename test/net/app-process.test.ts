import { spawn } from 'node:child_process';
import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect } from 'chai';

import { clientId, requestNumber } from '../../src/core/ids.js';
import { MessageType } from '../../src/core/message.js';
import { AppProcess, type AppProcessTiming } from '../../src/net/app-process.js';
import type { AppTrouble } from '../../src/net/app-readers.js';
import { MemoryLog, signal } from './app-source.js';
import { writePrograms } from './app-programs.js';

/** As in production, but nobody waits for seconds. */
const QUICK: Partial<AppProcessTiming> = {
  connect_ms: 10_000,
  grace_ms: 3000,
  hang_ms: 60_000,
  restart_min_ms: 1,
  restart_max_ms: 20,
};

/** An application under supervision, with everything that is heard of it in one list. */
class Stage {
  readonly log = new MemoryLog();
  readonly heard: string[] = [];
  readonly troubles: AppTrouble[] = [];
  readonly lines: string[] = [];
  readonly app: AppProcess;
  #waiting: { predicate: () => boolean; resolve: () => void }[] = [];

  constructor(command: string, timing: Partial<AppProcessTiming> = {}, fails = 0) {
    let failures = fails;
    this.app = new AppProcess({
      command: { command, ownCommands: {}, env: process.env },
      source: this.log,
      timing: { ...QUICK, ...timing },
      log: (_level, code, text) => this.#note(() => this.lines.push(`${code}: ${text}`)),
      callbacks: {
        onAttached: () => this.#hear('attached'),
        onDetached: (expected) => this.#hear(expected ? 'detached, expected' : 'detached'),
        onAnswer: (entry, value) => this.#hear(`${entry} = ${value}`),
        onAnswerTooLarge: (entry) => this.#hear(`${entry} too large`),
        onTrouble: (trouble) => this.#note(() => this.troubles.push(trouble)),
        onClientMessage: (connection, message) => {
          this.#hear(`message of type ${message.type}`);
          const request = { id: clientId(65537), no: requestNumber(1), noset: false };
          connection.send({ type: MessageType.ClientConn, request });
        },
        onClientEnded: () => this.#hear('client ended'),
        onClientClosed: () => this.#hear('client closed'),
      },
      ...(failures === 0
        ? {}
        : {
            openListener: () => {
              failures--;
              return Promise.reject(new Error(`no listener, ${failures} failures left`));
            },
          }),
    });
  }

  #hear(what: string): void {
    this.#note(() => this.heard.push(what));
  }

  #note(keep: () => void): void {
    keep();
    const due = this.#waiting.filter(({ predicate }) => predicate());
    this.#waiting = this.#waiting.filter((one) => !due.includes(one));
    for (const { resolve } of due) resolve();
  }

  /** Resolves when something happened that makes `predicate` true; fails after a while with what was heard. */
  async until(predicate: () => boolean): Promise<void> {
    if (predicate()) return;
    const { promise, resolve } = signal(15_000);
    this.#waiting.push({ predicate, resolve });
    await promise.catch((error: unknown) => {
      throw new Error(`${String(error)}; heard ${JSON.stringify([this.heard, this.troubles, this.lines])}`);
    });
  }

  hears(what: string): Promise<void> {
    return this.until(() => this.heard.includes(what));
  }

  kinds(): string[] {
    return this.troubles.map(({ kind, entry }) => (entry === undefined ? kind : `${kind} ${entry}`));
  }

  add(...values: string[]): void {
    this.log.add(...values);
    this.app.wake();
  }
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the life of an application (spec.md, "Applications")', () => {
  let programs: Awaited<ReturnType<typeof writePrograms>>;
  let stages: Stage[] = [];

  before(async () => {
    programs = await writePrograms();
  });

  after(() => programs.remove());

  afterEach(async () => {
    await Promise.all(stages.map((stage) => stage.app.stop()));
    stages = [];
  });

  /** A stage whose application runs `name`, started with `values` in the log. */
  function play(
    name: string,
    values: string[],
    timing: Partial<AppProcessTiming> = {},
    ...words: string[]
  ): Stage {
    return perform(programs.command(name, ...words), values, timing);
  }

  function perform(command: string, values: string[], timing: Partial<AppProcessTiming> = {}): Stage {
    const stage = new Stage(command, timing);
    stages.push(stage);
    stage.log.add(...values);
    stage.app.start();
    return stage;
  }

  it('starts it with flags and environment, streams the log to it, and ends it', async () => {
    const stage = play('flags', ['a'], {}, 'own word');
    expect(stage.app.status.state).to.equal('starting');
    await stage.hears('0 = 127.0.0.1 true 127.0.0.1 own word');
    expect(stage.app.status).to.deep.include({ state: 'connected', next: 1, unanswered: 0, restarts: 0 });
    stage.add('b', 'c');
    await stage.hears('2 = 127.0.0.1 true 127.0.0.1 own word');
    const { pid } = stage.app.status;
    expect(isAlive(pid)).to.equal(true);
    await stage.app.stop();
    expect(isAlive(pid)).to.equal(false);
    expect(stage.heard.filter((what) => !what.includes('='))).to.deep.equal([
      'attached',
      'detached',
      'client closed',
    ]);
    expect(stage.app.status).to.deep.include({ state: 'stopped', pid: undefined });
    expect(stage.troubles).to.deep.equal([]);
  });

  it('hands on what is neither ClientApp nor AppResponse', async () => {
    const stage = play('hello', ['a']);
    await stage.hears('0 = hello');
    expect(stage.heard.slice(0, 3)).to.deep.equal(['message of type 11', 'attached', '0 = hello']);
  });

  it('can be wanted again before the previous run has ended', async () => {
    const stage = play('echo', ['a']);
    await stage.hears('0 = echo a');
    const first = stage.app.status.pid;
    const stopped = stage.app.stop();
    stage.app.start();
    stage.app.start();
    await stopped;
    expect(isAlive(first)).to.equal(false);
    await stage.until(() => stage.heard.filter((what) => what === '0 = echo a').length === 2);
    expect(stage.app.status.pid).not.to.equal(first);
    await stage.app.stop();
    await stage.app.stop();
    expect(stage.app.status.state).to.equal('stopped');
  });

  it('can be unwanted while it starts', async () => {
    const stage = play('echo', ['a']);
    await stage.app.stop();
    expect(stage.app.status.state).to.equal('stopped');
    expect(stage.heard).to.deep.equal([]);
    expect(stage.troubles).to.deep.equal([]);
  });

  it('restarts one that dies, counts what it answered before, and catches it up', async () => {
    const stage = play('quitter', ['a', 'b', 'c']);
    await stage.until(() => stage.heard.filter((what) => what === 'attached').length === 2);
    expect(stage.heard.slice(0, 5)).to.deep.equal([
      'attached',
      '0 = last words',
      '1 = last words',
      '2 = last words',
      'detached, expected',
    ]);
    expect(stage.kinds()[0]).to.equal('exited');
    expect(stage.troubles[0]!.text).to.match(
      /^the application exited with code 0; it is started again in 1 ms$/,
    );
    await stage.until(() => stage.heard.filter((what) => what === '2 = last words').length === 2);
    expect(stage.app.status.restarts).to.be.at.least(1);
  });

  it('names the entry at which it dies again and again, until it gets past it', async () => {
    const cure = join(programs.folder, 'cure');
    const stage = play('crash', ['fine', 'poison', 'behind'], {}, cure);
    await stage.until(() => stage.kinds().includes('failing 1'));
    expect(stage.app.status).to.deep.include({ state: 'failing', failing_entry: 1 });
    expect(stage.app.status.last_end).to.equal('exited with code 3');
    expect(stage.kinds().filter((kind) => kind === 'exited 1')).to.have.length(3);
    expect(
      stage.lines.some((line) => line.startsWith('app-failing: the application has died 3 times')),
    ).to.equal(true);
    await writeFile(cure, '');
    await stage.hears('2 = ok');
    expect(stage.app.status).to.deep.include({ state: 'connected', failing_entry: undefined });
  });

  it('reports one that hangs, leaves it running, and counts its late answers', async () => {
    const stage = play('hang', ['a', 'b'], { hang_ms: 20 });
    await stage.until(() => stage.kinds().includes('hanging 0'));
    const { pid } = stage.app.status;
    expect(stage.app.status).to.deep.include({ state: 'connected', hanging_entry: 0, unanswered: 2 });
    stage.add('release');
    await stage.hears('2 = late');
    expect(stage.heard).to.deep.equal(['attached', '0 = late', '1 = late', '2 = late']);
    expect(stage.app.status).to.deep.include({ pid, hanging_entry: undefined, unanswered: 0 });
  });

  it('bounds what one that hangs is sent', async () => {
    const stage = play(
      'hang',
      Array.from({ length: 1000 }, (_, i) => String(i)),
      { hang_ms: 20 },
    );
    await stage.until(() => stage.kinds().includes('hanging 0'));
    expect(stage.app.status).to.deep.include({ unanswered: 256, next: 256 });
  });

  it('survives garbage, and answers that were not asked for', async () => {
    const stage = play('garbage', ['a', 'twice', 'stranger', 'd']);
    await stage.hears('3 = right');
    expect(stage.heard).to.deep.equal(['attached', '0 = right', '1 = first', '2 = right', '3 = right']);
    expect(stage.kinds()).to.include.members(['refused', 'twice 1', 'never-sent 1002']);
    expect(stage.app.status.state).to.equal('connected');
  });

  it('ignores answers out of order', async () => {
    const stage = play('swap', ['a', 'b', 'c', 'd']);
    await stage.hears('2 = in turn');
    expect(stage.heard).to.deep.equal(['attached', '0 = in turn', '2 = in turn']);
    expect(stage.kinds()).to.deep.equal(['out-of-order 1', 'out-of-order 3']);
  });

  it('ends and restarts one that never connects', async () => {
    const stage = play('silent', ['a'], { connect_ms: 300, grace_ms: 300 });
    await stage.until(() => stage.kinds().filter((kind) => kind === 'never-connected').length === 2);
    expect(stage.heard).to.deep.equal([]);
    expect(stage.troubles[1]!.text).to.include('did not connect within 300 ms; it is started again');
    expect(stage.app.status.restarts).to.equal(1);
  });

  it('ends and restarts one that closes its connection and stays', async () => {
    const stage = play('leaver', ['a'], { connect_ms: 1000 });
    await stage.until(() => stage.heard.filter((what) => what === '0 = gone').length === 2);
    expect(stage.heard.slice(0, 5)).to.deep.equal([
      'attached',
      '0 = gone',
      'detached, expected',
      'client ended',
      'client closed',
    ]);
    expect(stage.kinds()[0]).to.equal('never-connected');
  });

  it('reads all that one writes, and shows a part', async () => {
    const stage = play('flood', ['a', 'b']);
    await stage.hears('1 = done');
    const shown = stage.lines.filter((line) => line === 'app-output: app | noise\\u{1b}[2J');
    expect(shown.length).to.be.within(200, 5000);
  });

  it('kills one that ignores SIGTERM after the grace', async () => {
    const stage = play('stubborn', ['a'], { grace_ms: 50 });
    await stage.hears('0 = still here');
    const { pid } = stage.app.status;
    await stage.app.stop();
    expect(isAlive(pid)).to.equal(false);
    expect(stage.app.status.last_end).to.equal('was ended by SIGKILL');
  });

  it('kills what it has started with it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const connected = once(server, 'connection');
    const stage = play('parent', ['a'], { grace_ms: 50 }, String(port));
    const [grandchild] = (await connected) as [Socket];
    grandchild.on('error', () => undefined);
    const died = once(grandchild.resume(), 'close');
    await stage.hears('0 = parent');
    await stage.app.stop();
    await died;
    server.close();
  });

  it('is killed, with what it has started, when the node exits without stopping it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const connected = once(server, 'connection');
    const script = `
      const { AppProcess } = await import(process.argv[1]);
      const nothing = () => undefined;
      new AppProcess({
        command: { command: process.argv[2], ownCommands: {}, env: process.env },
        source: { committed: () => 0, isExecuted: nothing, isRemembered: nothing, read: nothing },
        log: nothing,
        callbacks: { onAttached: nothing, onDetached: nothing, onTrouble: nothing, onClientClosed: nothing },
      }).start();
      process.stdin.once('end', () => process.exit(0)).resume();`;
    const module = new URL('../../src/net/app-process.ts', import.meta.url).href;
    const words = ['--import', 'tsx', '--input-type=module', '-e', script, module];
    const node = spawn(process.execPath, [...words, programs.command('parent', port)], {
      stdio: ['pipe', 'inherit', 'inherit'],
    });
    const [grandchild] = (await connected) as [Socket];
    grandchild.on('error', () => undefined);
    const died = once(grandchild.resume(), 'close');
    node.stdin.end();
    await Promise.all([died, once(node, 'exit')]);
    server.close();
  });

  it('runs what a shell runs', async () => {
    const script = programs.command('echo').replaceAll("'", '"');
    const stage = perform(`sh -c '${script} "$@" & wait' sh`, ['a']);
    await stage.hears('0 = echo a');
    await stage.app.stop();
    expect(stage.app.status.last_end).to.match(/^(exited|was ended)/);
  });

  it('reports a program that does not exist, and starts it once it does', async () => {
    const file = join(programs.folder, 'later');
    const stage = perform(file, ['a']);
    await stage.until(() => stage.kinds().filter((kind) => kind === 'not-started').length === 3);
    expect(stage.troubles[0]).to.deep.equal({ kind: 'not-started', text: `--app: no such program ${file}` });
    expect(stage.app.status.last_end).to.equal(`--app: no such program ${file}`);
    await writeFile(file, `#!/bin/sh\nexec ${programs.command('echo')} "$@"\n`);
    await chmod(file, 0o755);
    await stage.hears('0 = echo a');
    expect(stage.app.status.state).to.equal('connected');
  });

  it('reports a program that the system cannot start', async () => {
    const stage = perform(join(programs.folder, 'no-interpreter'), ['a']);
    await stage.until(() => stage.kinds().includes('exited'));
    expect(stage.app.status.last_end).to.match(/^could not be started \(ENOENT\): .* interpreter/);
    const long = perform(programs.command('echo', 'x'.repeat(500_000)), ['a']);
    await long.until(() => long.kinds().includes('exited'));
    expect(long.app.status.last_end).to.equal('could not be started (E2BIG)');
  });

  it('reports a listener that cannot be opened', async () => {
    const stage = new Stage(programs.command('echo'), {}, 1000);
    stages.push(stage);
    stage.app.start();
    await stage.until(() => stage.kinds().filter((kind) => kind === 'not-started').length === 2);
    expect(stage.troubles[0]!.text).to.equal(
      'its listener could not be opened: no listener, 999 failures left',
    );
  });

  it('waits longer and longer before a restart, and not for ever', async () => {
    const stage = perform('/does/not/exist', [], { restart_min_ms: 1, restart_max_ms: 5 });
    await stage.until(() => stage.kinds().filter((kind) => kind === 'exited').length === 5);
    const waits = stage.troubles.map(({ text }) => /again in (\d+) ms/.exec(text)?.[1]).filter(Boolean);
    expect(waits).to.deep.equal(['1', '2', '4', '5', '5']);
  });

  it('says of answers that are too large that the entry was executed', async () => {
    const stage = play('large', ['a', 'large', 'endless', 'd']);
    await stage.hears('3 = fits');
    expect(stage.heard).to.deep.equal(['attached', '0 = fits', '1 too large', '2 too large', '3 = fits']);
  });

  it('makes a second connection that registers a follower', async () => {
    const stage = play('two', ['a']);
    await stage.until(() => stage.lines.some((line) => line.includes('"type":16')));
    stage.add('b');
    await stage.hears('1 = first: b');
    await stage.until(() => stage.lines.some((line) => /"type":12.*"value":"b"/.test(line)));
    const followed = stage.lines.filter((line) => line.includes('"type":12'));
    expect(followed.every((line) => line.includes('"noset":true'))).to.equal(true);
    expect(stage.lines.some((line) => line.includes('not-allowed'))).to.equal(true);
    expect(stage.heard.filter((what) => what === 'attached')).to.have.length(1);
    expect(stage.heard.join()).not.to.include('forged');
  });
});
