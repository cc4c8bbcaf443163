import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { FakeNode, type FakeConnection } from './fake-node.js';
import { Driver, RunningProgram } from './programs.js';
import type { Language, Program } from './languages.js';

/** One line of the transcript; the number is for whoever has to find it. */
export interface Step {
  readonly line: number;
  readonly text: string;
}

export interface Scenario {
  readonly title: string;
  readonly steps: readonly Step[];
}

/** Reads the transcript: `== title` begins a scenario, `#` a comment. */
export function readTranscript(path: URL): Scenario[] {
  const scenarios: { title: string; steps: Step[] }[] = [];
  for (const [i, text] of readFileSync(path, 'utf8').split('\n').entries()) {
    if (text.trim() === '' || text.startsWith('#')) continue;
    if (text.startsWith('== ')) scenarios.push({ title: text.slice(3), steps: [] });
    else scenarios.at(-1)!.steps.push({ line: i + 1, text });
  }
  return scenarios;
}

const BIG = 'x'.repeat(60_000);

let plays = 0;

/** Plays one scenario: the nodes' side of it, and the calls. */
export class Player {
  readonly #language: Language;
  readonly #driver: Driver;
  readonly #nodes = new Map<string, FakeNode>();
  readonly #connections = new Map<string, FakeConnection>();
  readonly #clients = new Set<string>();
  #program: RunningProgram | undefined;
  /** Names are a play's own: what one play leaves behind must not answer another. */
  readonly #prefix = `${++plays}/`;

  constructor(language: Language, driver: Driver) {
    this.#language = language;
    this.#driver = driver;
  }

  async play(scenario: Scenario): Promise<void> {
    const names = new Set(scenario.steps.flatMap(({ text }) => text.match(/(?<=^|\$| )[A-C]\b/g) ?? []));
    for (const name of names) this.#nodes.set(name, await FakeNode.start());
    try {
      for (const step of scenario.steps) await this.#playStep(step);
    } finally {
      await this.#clearAway();
    }
  }

  /** Nothing of a play stays behind, however it went: what still listens would keep the tests from ending. */
  async #clearAway(): Promise<void> {
    this.#program?.kill();
    for (const client of this.#clients) {
      this.#driver.send({ do: 'close', client, call: `end of ${client}` });
    }
    for (const node of this.#nodes.values()) await node.stop();
    for (const client of this.#clients) await this.#driver.result(`end of ${client}`);
  }

  async #playStep({ line, text }: Step): Promise<void> {
    try {
      await this.#perform(this.#fill(text));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`transcript line ${line}: ${text.slice(0, 200)}\n${reason}`, { cause: error });
    }
  }

  #fill(text: string): string {
    return text
      .replaceAll('$BIG', BIG)
      .replace(/\$([A-C])\b/g, (_, name: string) => `${this.#node(name).port}`);
  }

  #node(name: string): FakeNode {
    return this.#nodes.get(name)!;
  }

  async #perform(text: string): Promise<void> {
    const [subject = '', verb = ''] = text.split(' ', 2);
    const rest = text.slice(subject.length + 1);
    if (subject === 'open') this.#open(rest);
    else if (subject === 'call') this.#call(rest);
    else if (subject === 'run') this.#run(rest);
    else if (subject === 'it') await this.#expectOfProgram(rest);
    else if (verb === 'is') await this.#expectResult(subject, rest.slice(3));
    else await this.#playNode(subject, rest);
  }

  /** `CLIENT NODE… [silence_ms=N] [session=ID.NO]` */
  #open(text: string): void {
    const [client = '', ...words] = text.split(' ');
    const servers = words
      .filter((word) => !word.includes('='))
      .map((name) => `127.0.0.1:${this.#node(name).port}`);
    const options = new Map(words.filter((word) => word.includes('=')).map((word) => split(word, '=')));
    const [id, no] = split(options.get('session') ?? '', '.');
    this.#clients.add(this.#prefix + client);
    this.#driver.send({
      do: 'open',
      client: this.#prefix + client,
      servers: servers.join(','),
      ...(id !== '' && { session: { id: Number(id), no: Number(no) } }),
      ...(options.has('silence_ms') && { silence_ms: Number(options.get('silence_ms')) }),
    });
  }

  /** `NAME = CLIENT request JSON | query ENTRY | outcome NAME | close`, and perhaps `timeout_ms=N` */
  #call(text: string): void {
    const match = /^(\w+) = (\w+) (\w+) ?(.*?)(?: timeout_ms=(\d+))?$/s.exec(text)!;
    const [, call = '', client = '', what, operand = '', timeout_ms] = match;
    if (what === 'close') this.#clients.delete(this.#prefix + client);
    this.#driver.send({
      do: what,
      client: this.#prefix + client,
      call: this.#prefix + call,
      ...(what === 'request' && { value: JSON.parse(operand) as string }),
      ...(what === 'query' && { entry: Number(operand) }),
      ...(what === 'outcome' && { of: this.#prefix + operand }),
      ...(timeout_ms !== undefined && { timeout_ms: Number(timeout_ms) }),
    });
  }

  async #expectResult(call: string, expected: string): Promise<void> {
    const result = await this.#driver.result(this.#prefix + call);
    expect(result).to.deep.equal({ call: this.#prefix + call, ...(JSON.parse(expected) as object) });
  }

  #run(text: string): void {
    const [program = '', ...args] = text.split(' ');
    const port = this.#nodes.get('A')!.port;
    const env = args.some((arg) => arg.includes('paxos_'))
      ? {}
      : { PAXOS_ADDR: '127.0.0.1', PAXOS_PORT: `${port}` };
    this.#program = new RunningProgram(this.#language, program as Program, args, env);
  }

  /** `prints JSON`, `complains of JSON`, `exits with CODE` */
  async #expectOfProgram(text: string): Promise<void> {
    const program = this.#program!;
    const [, verb, operand = ''] = /^(prints|complains of|exits with) (.*)$/s.exec(text)!;
    const { code, stdout, stderr } = await program.ended();
    if (verb === 'prints') expect(stdout).to.equal(JSON.parse(operand));
    else if (verb === 'complains of') expect(stderr).to.include(JSON.parse(operand));
    else expect(code, stderr).to.equal(Number(operand));
  }

  async #playNode(name: string, text: string): Promise<void> {
    const [verb = ''] = text.split(' ', 1);
    const operand = text.slice(verb.length + 1);
    if (verb === 'stops') return this.#node(name).stop();
    if (verb === 'connects') return void this.#connections.set(name, await this.#node(name).accept());
    const connection = this.#connections.get(name)!;
    if (verb === 'hears') expect(await connection.hear()).to.deep.equal(JSON.parse(operand));
    else if (verb === 'says') connection.write(`${operand}\n`);
    else if (verb === 'writes') connection.write(JSON.parse(operand) as string);
    else if (verb === 'drops') connection.drop();
    else if (verb === 'sees') await connection.seeEnd();
    else throw new Error(`the transcript has no verb "${verb}"`);
  }
}

function split(text: string, at: string): [string, string] {
  const place = text.indexOf(at);
  return place < 0 ? [text, ''] : [text.slice(0, place), text.slice(place + 1)];
}
