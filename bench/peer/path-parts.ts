import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { GroupBuilder } from '../../src/journal/format.js';
import { LOOPBACK } from '../paths.js';
import type { LogFile } from './log-file.js';
import { MAX_DATAGRAM_TEXT } from './path-node.js';

/* What the paths that speak the specification's messages have in common. They take each byte of a text for a character. */

/** The records of one flush, as a group of a journal. */
export class Group {
  #groups = 0;
  readonly #builder = new GroupBuilder();

  add(record: string): void {
    this.#builder.append(record);
  }

  /** Begins the next one, too. */
  write(log: LogFile, onDurable: () => void): void {
    log.append(this.#builder.finish(++this.#groups), onDurable);
    this.#builder.clear();
  }
}

/** Sends lines in as few datagrams as hold them. */
export function sendLines(udp: UdpSocket, lines: readonly string[], ports: readonly number[]): void {
  const datagrams: Buffer[] = [];
  let text = '';
  for (const line of lines) {
    if (text.length + line.length > MAX_DATAGRAM_TEXT) {
      datagrams.push(Buffer.from(text, 'latin1'));
      text = '';
    }
    text += line;
  }
  datagrams.push(Buffer.from(text, 'latin1'));
  for (const datagram of datagrams) for (const port of ports) udp.send(datagram, port, LOOPBACK);
}

/** What stands in every message of a node, to say whose it is. */
export function senderOf(udp: UdpSocket): string {
  return `,"fromaddress":"${LOOPBACK}","fromport":"${udp.address().port}"`;
}

/** Joins what leaves over a connection in one turn. */
export class Outputs {
  readonly #texts = new Map<Socket, string>();

  add(socket: Socket, line: string): void {
    if (this.#texts.size === 0) setImmediate(() => this.#leave());
    this.#texts.set(socket, (this.#texts.get(socket) ?? '') + line);
  }

  #leave(): void {
    for (const [socket, text] of this.#texts) socket.write(text, 'latin1');
    this.#texts.clear();
  }
}
