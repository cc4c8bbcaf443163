import { expect } from 'chai';
import { TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';
import { isOnPath, PROJECT, runToEnd } from '../support/process.js';

const PYTHON = isOnPath('python3');
const FOLDER = `${PROJECT}clients/python`;

describe(`integration: Python${PYTHON ? '' : ' (skipped: no python3 on PATH)'}`, function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();
  const when = PYTHON ? it : it.skip;

  when('a Python application and a Python client against TypeScript nodes, over a failover', async () => {
    const all = await cluster({ nodes: 3, app: `python3 ${FOLDER}/kvapp.py` });
    const kv = async (...words: string[]): Promise<string> => {
      const { code, stdout, stderr } = await runToEnd([
        'python3',
        `${FOLDER}/kvclient.py`,
        all.servers,
        ...words,
      ]);
      expect({ code, stderr }).to.eql({ code: 0, stderr: '' });
      return stdout;
    };
    expect(await kv('put', 'greeting', 'hello', 'wörld 🐍')).to.equal('hello wörld 🐍\n');
    const leader = await all.leader();
    await leader.kill();
    expect(await kv('get', 'greeting')).to.equal('hello wörld 🐍\n');
    await leader.start();

    const answer = await all.client().request('{"op":"get","key":"greeting"}');
    expect(answer.value).to.equal('{"ok":true,"value":"hello wörld 🐍"}');
    const none = await runToEnd(['python3', `${FOLDER}/kvclient.py`, all.servers, 'get', 'nothing']);
    expect(none).to.deep.include({ code: 1, stdout: '' });
  });

  when('Fauerbach: the printing application in Python', async () => {
    const all = await cluster({ nodes: 1, app: `python3 ${FOLDER}/printapp.py` });
    const { id, no, entry } = await all.client().request('move\nthe ship');
    const line = `app | entry ${entry}, client ${id}, request ${no}: "move\\nthe ship"`;
    await all.nodes[0]!.process.logged('app-output', ({ msg }) => msg === line);
  });
});
