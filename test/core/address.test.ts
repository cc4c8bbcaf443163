import { expect } from 'chai';

import { compareAddresses, formatAddress, indexOfAddress, sameAddress } from '../../src/core/address.js';

const at = (text: string) => {
  const [address = '', port = ''] = text.split(':');
  return { address, port };
};

describe('core, addresses (spec.md, "Rounds")', () => {
  it('are sorted by number, not by text', () => {
    const sorted = [
      '10.0.0.9:80',
      '9.255.255.255:9',
      '10.0.0.10:7',
      '10.0.0.9:9',
      '200.0.0.1:1',
      '10.0.0.9:1000',
    ];
    expect(sorted.map(at).sort(compareAddresses).map(formatAddress)).to.deep.equal([
      '9.255.255.255:9',
      '10.0.0.9:9',
      '10.0.0.9:80',
      '10.0.0.9:1000',
      '10.0.0.10:7',
      '200.0.0.1:1',
    ]);
  });

  it('beyond 127 in their first part come last, not first', () => {
    expect(compareAddresses(at('128.0.0.0:1'), at('127.255.255.255:1'))).to.be.above(0);
  });

  it('are equal when both parts are', () => {
    expect(sameAddress(at('1.2.3.4:5'), at('1.2.3.4:5'))).to.equal(true);
    expect(sameAddress(at('1.2.3.4:5'), at('1.2.3.4:6'))).to.equal(false);
    expect(compareAddresses(at('1.2.3.4:5'), at('1.2.3.4:5'))).to.equal(0);
  });

  it('name an agent, or a stranger', () => {
    const agents = [at('1.1.1.1:1'), at('1.1.1.1:2')];
    expect(indexOfAddress(agents, at('1.1.1.1:2'))).to.equal(1);
    expect(indexOfAddress(agents, at('1.1.1.2:1'))).to.equal(undefined);
  });
});
