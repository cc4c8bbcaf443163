import { formatAddress, type Address } from '../core/address.js';

/** A socket could not be bound. The message says what, where and what to do; `code` is the system's name for it. */
export class ListenError extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
    this.code = code;
  }
}

/** What the person who started the node can do about it. */
function advice(code: string, address: Address): string {
  switch (code) {
    case 'EADDRINUSE':
      return (
        `another process uses port ${address.port} there (EADDRINUSE). If it is an earlier run of this node, ` +
        'end it first; otherwise free the port, or set the cluster up on another one'
      );
    case 'EADDRNOTAVAIL':
      return (
        `this machine has no network interface with the address ${address.address} (EADDRNOTAVAIL). ` +
        'Run the node on the machine that has it, or set the cluster up with the address of this one'
      );
    case 'EACCES':
    case 'EPERM':
      return (
        `the system does not permit it (${code}). Ports below 1024 need privileges: ` +
        'use a port of 1024 or above, or give the process the right to bind low ports'
      );
    case 'EMFILE':
    case 'ENFILE':
      return `no file descriptor is left (${code}). Raise the limit (ulimit -n), or end what holds them`;
    default:
      return `the system refused (${code})`;
  }
}

/** Turns a failed bind into an error a person can act on. */
export function listenError(error: Error, carrier: 'UDP' | 'TCP', address: Address): ListenError {
  const code = errorCode(error);
  return new ListenError(
    code,
    `cannot listen on ${carrier} ${formatAddress(address)}: ${advice(code, address)}.`,
    error,
  );
}

/** The system's name for an error, such as `ECONNRESET`; its message if it has none. */
export function errorCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
