import { expect } from 'chai';
import { platform } from 'node:os';
import { benchProgram } from '../../bench/paths.js';
import { freePorts } from '../../bench/ports.js';
import { Program } from '../support/process.js';

/** So many in two processes have some in common, if chance alone keeps them apart. */
const CALLS = 12;
const PORTS = 60;

function manyPorts(): Promise<number[][]> {
  return Promise.all(Array.from({ length: CALLS }, () => freePorts(PORTS)));
}

describe('free ports', () => {
  it('are handed out once, in rising order and one behind the other', async () => {
    const calls = await manyPorts();
    for (const [first = 0, ...others] of calls) expect(others).to.eql(others.map((_, i) => first + 1 + i));
    expect(new Set(calls.flat())).to.have.property('size', CALLS * PORTS);
  });

  const onLinux = platform() === 'linux' ? it : it.skip;

  onLinux('are not handed out by another process as long as this one runs', async () => {
    const mine = (await manyPorts()).flat();
    const script = `
      const { freePorts } = await import(${JSON.stringify(benchProgram('ports'))});
      for (let i = 0; i < ${CALLS}; i++) for (const port of await freePorts(${PORTS})) console.log(port);
    `;
    const other = new Program('another', [process.execPath, '--input-type=module', '--eval', script]);
    expect(await other.over('its ports')).to.include({ code: 0 });
    const theirs = other.stdout.trim().split('\n').map(Number);
    expect(theirs).to.have.length(CALLS * PORTS);
    expect(theirs.filter((port) => mine.includes(port))).to.eql([]);
  });
});
