import { InvalidArgumentError } from 'commander';
import { membersFrom, OptionError, parseAddress, type Address } from '../index.js';

/** Reads a whole number within bounds; both belong to it. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[0-9]{1,15}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
  };
}

export function addressOf(flag: string): (text: string) => Address {
  return (text) => parseAddress(text, flag);
}

/** `HOST:PORT,…` */
export function addressesOf(flag: string): (text: string) => Address[] {
  return (text) => text.split(',').map((part) => parseAddress(part, flag));
}

/** A node to talk to; a bare port is one of this machine. */
export function targetOf(what: string): (text: string, earlier?: readonly Address[]) => Address[] {
  return (text, earlier = []) => [
    ...earlier,
    parseAddress(/^[0-9]+$/.test(text) ? `127.0.0.1:${text}` : text, what),
  ];
}

/** All members of a cluster, if they can reach each other under the addresses given. Throws an OptionError. */
export function reachableMembers(self: Address, peers: readonly Address[]): Address[] {
  const agents = membersFrom(self, peers);
  const nowhere = agents.find(({ address }) => address.startsWith('0.'));
  if (nowhere !== undefined) {
    throw new OptionError(
      `${nowhere === self ? '--listen' : '--peers'}: ${nowhere.address} is no address under which others reach a node; ` +
        "give that of the machine's network interface, or 127.0.0.1",
    );
  }
  const near = agents.filter(({ address }) => address.startsWith('127.')).length;
  if (near > 0 && near < agents.length) {
    throw new OptionError(
      '--listen, --peers: some of these addresses are loopback (127.…) and some are not, so the nodes could not reach ' +
        'each other; give every node the address of its network interface',
    );
  }
  return agents;
}
