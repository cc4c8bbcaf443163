import { createServer, type AddressInfo } from 'node:net';

import { expect } from 'chai';

import type { Address } from '../../src/core/address.js';
import { askPort } from '../../src/net/ask-port.js';
import { freeAddresses, LOOPBACK } from './support.js';

const SELF: Address = { address: LOOPBACK, port: '7001' };

/** Of a network for documentation: nobody is there, and no machine has such an address of its own. */
const NOWHERE: Address = { address: '192.0.2.1', port: '7001' };

function ask(peer: Address, self = SELF, timeout_ms = 1_000): Promise<string> {
  return new Promise((resolve) => askPort(self, peer, resolve, timeout_ms));
}

describe('net: asking whether somebody listens', () => {
  it('finds who listens, says nothing to them, and goes', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
    const heard = new Promise<string>((resolve) => {
      server.on('connection', (socket) => {
        let text = '';
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(text));
      });
    });
    const { port } = server.address() as AddressInfo;
    expect(await ask({ address: LOOPBACK, port: String(port) })).to.equal('listens');
    expect(await heard).to.equal('');
    await new Promise((resolve) => server.close(resolve));
  });

  it('finds a port that nobody listens at', async () => {
    const [free] = await freeAddresses(1);
    expect(await ask(free!)).to.equal('refused');
  });

  it('learns nothing from an address that it can not connect from, or to', async () => {
    const [free] = await freeAddresses(1);
    expect(await ask(free!, NOWHERE)).to.equal('unknown');
    expect(await ask(NOWHERE, SELF, 50)).to.equal('unknown');
  });

  it('says nothing once it was ended', async () => {
    const [free] = await freeAddresses(1);
    const answers: string[] = [];
    const end = askPort(SELF, free!, (answer) => answers.push(answer));
    end();
    expect(await ask(free!), 'asked later, answered').to.equal('refused');
    expect(answers).to.eql([]);
  });
});
