import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { FakeNode } from './fake-node.js';
import { describeLanguage, PROJECT, PYTHON, type Language } from './languages.js';
import { RunningProgram } from './programs.js';

const readme = readFileSync(`${PROJECT}clients/README.md`, 'utf8');

/** The first piece of Python under a heading. */
function pythonUnder(heading: string): string {
  const section = readme.slice(readme.indexOf(`## ${heading}\n`));
  return /```python\n(.*?)```/s.exec(section)![1]!;
}

describe('the examples of clients/README.md', () => {
  describeLanguage(PYTHON, () => {
    const folder = mkdtempSync(join(tmpdir(), 'paxosd-readme-'));
    const example: Language = { ...PYTHON, command: () => ['python3', '-B', join(folder, 'example.py')] };
    const env = { PYTHONPATH: `${PROJECT}clients/python` };
    let node: FakeNode;

    beforeEach(async () => {
      node = await FakeNode.start();
    });
    afterEach(() => node.stop());
    after(() => rmSync(folder, { recursive: true }));

    it('a client in ten lines', async () => {
      const source = pythonUnder('A client in ten lines');
      expect(source.trimEnd().split('\n').length).to.be.at.most(10);
      writeFileSync(join(folder, 'example.py'), source.replace('7001,7002,7003', `${node.port}`));
      const program = new RunningProgram(example, 'driver', [], env);
      const connection = await node.accept();
      expect(await connection.hear()).to.deep.equal({ type: 11 });
      connection.say({ type: 10, request: { id: 1, no: 1 } });
      expect(await connection.hear()).to.deep.equal({ type: 7, request: { id: 1, no: 1, value: 'hello' } });
      connection.say({ type: 8, request: { id: 1, no: 1 }, entry: 5, value: 'HELLO' });
      expect(await program.ended()).to.deep.equal({ code: 0, stdout: 'HELLO 5\n', stderr: '' });
    });

    it('an application in twenty lines', async () => {
      const source = pythonUnder('An application in twenty lines');
      expect(source.trimEnd().split('\n').length).to.be.at.most(20);
      writeFileSync(join(folder, 'example.py'), source);
      const program = new RunningProgram(
        example,
        'driver',
        ['-paxos_addr=127.0.0.1', `-paxos_port=${node.port}`],
        env,
      );
      const connection = await node.accept();
      await connection.hear();
      await connection.hear();
      const talk = [
        ['deposit ann 5', 'ann has 5'],
        ['withdraw ann 7', 'error: ann has only 5'],
        ['withdraw ann 2', 'ann has 3'],
        ['steal ann 2', 'error: unknown command steal'],
      ];
      for (const [value, answer] of talk) {
        connection.say({ type: 12, request: { id: 1, no: 1 }, entry: 1, value });
        expect(await connection.hear()).to.deep.equal({
          type: 14,
          request: { id: 1, no: 1 },
          entry: 1,
          value: answer,
        });
      }
      connection.drop();
      expect((await program.ended()).code).to.equal(0);
    });
  });
});
