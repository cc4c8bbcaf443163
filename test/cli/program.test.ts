import { expect } from 'chai';
import { CommanderError, type Command } from 'commander';
import { createProgram } from '../../src/cli/program.js';
import { VERSION } from '../../src/index.js';

interface Parsed {
  readonly error: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the argument library makes of words that reach no action. */
async function parse(...words: readonly string[]): Promise<Parsed> {
  const program = createProgram();
  let stdout = '';
  let stderr = '';
  const capture = (command: Command): void => {
    command.configureOutput({
      writeOut: (text) => (stdout += text),
      writeErr: (text) => (stderr += text),
    });
    command.commands.forEach(capture);
  };
  capture(program);
  const error = await program.parseAsync(words, { from: 'user' }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, stdout, stderr };
}

async function expectUsage(words: readonly string[], ...parts: readonly string[]): Promise<void> {
  const { error, stdout, stderr } = await parse(...words);
  expect(error, words.join(' ')).to.be.instanceOf(CommanderError);
  expect((error as CommanderError).exitCode).not.to.equal(0);
  expect(stdout).to.equal('');
  expect(stderr).to.match(/^paxosd: /);
  for (const part of [...parts, 'paxosd --help explains']) expect(stderr).to.include(part);
}

async function expectOptionError(words: readonly string[], ...parts: readonly string[]): Promise<void> {
  const { error } = await parse(...words);
  expect(error).to.be.instanceOf(Error);
  expect((error as Error).name).to.equal('OptionError');
  for (const part of parts) expect((error as Error).message).to.include(part);
}

describe('the command line', () => {
  it('explains itself, and every command and flag, with examples', async () => {
    const { stdout } = await parse('--help');
    const names = createProgram().commands.map((command) => command.name());
    expect(names).to.include.members(['init', 'start', 'cluster', 'status', 'done', 'journal']);
    for (const name of names) {
      expect(stdout).to.match(new RegExp(`^ +${name} .*[a-z]`, 'm'));
      const help = (await parse(name, '--help')).stdout;
      expect(help, name)
        .to.include('Examples:\n')
        .and.match(new RegExp(`^ .*paxosd ${name} `, 'm'));
    }
    for (const command of createProgram().commands) {
      for (const option of command.options.filter(({ hidden }) => !hidden)) {
        expect(option.description, `${command.name()} ${option.flags}`).not.to.equal('');
      }
    }
  });

  it('tells the version', async () => {
    expect((await parse('--version')).stdout).to.equal(`${VERSION}\n`);
  });

  it('refuses commands and flags that it does not know, and names the nearest', async () => {
    await expectUsage(['strat'], "unknown command 'strat'", 'Did you mean start?');
    await expectUsage(
      ['start', '--data-dir', 'x', '--htp', 'y'],
      "unknown option '--htp'",
      'Did you mean --http?',
    );
    await expectUsage(['status', '1', '--jsn'], "unknown option '--jsn'", 'Did you mean --json?');
    await expectUsage(['init', 'x', '--listen', '127.0.0.1:1', '--data-dir', 'x'], 'too many arguments');
    await expectUsage(['journal', 'a', 'b'], 'too many arguments');
  });

  it('refuses commands without what they need', async () => {
    await expectUsage(['init', '--data-dir', 'x'], "'--listen <host:port>' not specified");
    await expectUsage(['start'], "'--data-dir <dir>' not specified");
    await expectUsage(['start', '--data-dir'], 'argument missing');
    await expectUsage(['cluster', '--nodes', '3', '--base-port', '1'], "'--data-dir <dir>' not specified");
    for (const command of ['status', 'done', 'journal'])
      await expectUsage([command], 'missing required argument');
  });

  it('refuses numbers that are none, or out of bounds', async () => {
    const cluster = (nodes: string, port: string) => [
      'cluster',
      '--nodes',
      nodes,
      '--base-port',
      port,
      '--data-dir',
      'x',
    ];
    await expectUsage(cluster('0', '7001'), "'--nodes <n>' argument '0' is invalid", 'from 1 to 31');
    await expectUsage(cluster('32', '7001'), "argument '32'", 'from 1 to 31');
    await expectUsage(cluster('three', '7001'), "argument 'three'");
    await expectUsage(cluster('3', '65536'), "'--base-port <port>' argument '65536'", 'from 1 to 65535');
    const start = (...flags: string[]) => ['start', '--data-dir', 'x', ...flags];
    await expectUsage(start('--heartbeat-ms', '0.5'), "'--heartbeat-ms <ms>' argument '0.5'", 'whole number');
    await expectUsage(start('--segment-bytes', '1'), "'--segment-bytes <n>' argument '1'", 'from 1024');
    await expectUsage(start('--log-format', 'xml'), 'Allowed choices are pretty, json');
    await expectUsage(['done', '7001', '--timeout-ms', '0'], "'--timeout-ms <ms>' argument '0'");
  });

  it('refuses addresses that are not IPv4 HOST:PORT, and names the flag', async () => {
    const init = (listen: string, peers: string) => [
      'init',
      '--listen',
      listen,
      '--peers',
      peers,
      '--data-dir',
      'x',
    ];
    const good = '127.0.0.1:7001';
    await expectOptionError(init('[::1]:7001', good), '--listen: "[::1]:7001"', 'dotted IPv4');
    await expectOptionError(
      init(good, '127.0.0.1:7002,127.0.0.1'),
      '--peers: "127.0.0.1"',
      'such as 127.0.0.1:7001',
    );
    await expectOptionError(init(good, '127.0.0.1:7002,'), '--peers: ""');
    await expectOptionError(['status', 'here'], 'status: "here" is not HOST:PORT');
    await expectOptionError(['done', '7001', '70000'], 'done: "127.0.0.1:70000" is not HOST:PORT');
  });
});
