import { connect } from 'node:net';

import type { Address } from '../core/address.js';
import { errorCode } from './listen-error.js';

/** A machine in the same network accepts or refuses at once; one that does neither is down, cut off or overloaded. */
const ANSWER_TIMEOUT_MS = 1_000;

/** What a TCP connection to an agent's port tells: somebody listens, nobody does, or nothing. */
export type PortAnswer = 'listens' | 'refused' | 'unknown';

/**
 * Whether somebody listens at the TCP port of an agent. A connection is made and closed again, with nothing said.
 * Calls back once, unless it was ended by the function that it gives back: `refused` if the machine says that nobody
 * does, `unknown` if nothing can be learnt within a second.
 */
export function askPort(
  self: Address,
  peer: Address,
  onAnswer: (answer: PortAnswer) => void,
  timeout_ms = ANSWER_TIMEOUT_MS,
): () => void {
  let over = false;
  const end = (): void => {
    over = true;
    clearTimeout(timer);
    socket.destroy();
  };
  const answer = (found: PortAnswer): void => {
    if (over) return;
    end();
    onAnswer(found);
  };
  const timer = setTimeout(() => answer('unknown'), timeout_ms);
  const socket = connect({ host: peer.address, port: Number(peer.port), localAddress: self.address });
  socket.once('connect', () => answer('listens'));
  socket.on('error', (error) => answer(errorCode(error) === 'ECONNREFUSED' ? 'refused' : 'unknown'));
  return end;
}
