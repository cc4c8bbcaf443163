import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { platform } from 'node:os';
import { benchProgram } from '../../bench/paths.js';
import { freePorts } from '../../bench/ports.js';
import { freeAddresses } from '../net/support.js';
import { Program } from '../support/process.js';

/** Nearly a block each. */
const CALLS = 3;
const PORTS = 60;

/** Far apart, and the same whenever they are drawn. */
const DRAWS = [0.17, 0.39, 0.61, 0.83];

describe('free ports', () => {
  /** Ports that another process would get, too, if it drew the same. */
  async function drawnPorts(): Promise<number[]> {
    const { random } = Math;
    const draws = [...DRAWS];
    Math.random = () => draws.shift() ?? random();
    try {
      return (await Promise.all(Array.from({ length: CALLS }, () => freePorts(PORTS)))).flat();
    } finally {
      Math.random = random;
    }
  }

  it('are handed out once, in rising order and one behind the other', async () => {
    const calls = await Promise.all(Array.from({ length: CALLS }, () => freePorts(PORTS)));
    for (const [first = 0, ...others] of calls) expect(others).to.eql(others.map((_, i) => first + 1 + i));
    expect(new Set(calls.flat())).to.have.property('size', CALLS * PORTS);
  });

  const onLinux = platform() === 'linux' ? it : it.skip;

  onLinux('are none that the system gives to whoever names none', async () => {
    const [first = 0, last = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
      .split('\t')
      .map(Number);
    expect(last).to.be.above(first);
    const addresses = await freeAddresses(3);
    for (const port of [...(await freePorts(3)), ...addresses.map((one) => Number(one.port))])
      expect(port < first || port > last, `${port} of ${first} to ${last}`).to.equal(true);
  });

  onLinux('are not handed out by another process as long as this one runs', async () => {
    const mine = await drawnPorts();
    const script = `
      const { freePorts } = await import(${JSON.stringify(benchProgram('ports'))});
      const { random } = Math;
      const draws = ${JSON.stringify(DRAWS)};
      Math.random = () => draws.shift() ?? random();
      for (let i = 0; i < ${CALLS}; i++) for (const port of await freePorts(${PORTS})) console.log(port);
    `;
    const other = new Program('another', [process.execPath, '--input-type=module', '--eval', script]);
    expect(await other.over('its ports')).to.include({ code: 0 });
    const theirs = other.stdout.trim().split('\n').map(Number);
    expect(theirs).to.have.length(CALLS * PORTS);
    expect(theirs.filter((port) => mine.includes(port))).to.eql([]);
  });
});
