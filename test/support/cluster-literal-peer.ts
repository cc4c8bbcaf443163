/**
 * An acceptor as the base text has it, and nothing more: `node cluster-literal-peer.js HOST:PORT`. It keeps promises
 * and acceptances for each entry by itself, knows no optional field, sends one object per datagram, and can't read a
 * datagram that holds two. It writes what it does on standard output.
 */
import { createSocket } from 'node:dgram';

interface Acceptance {
  readonly round: number;
  readonly value: string;
}

interface Received {
  readonly type?: number;
  readonly fromaddress?: string;
  readonly fromport?: string;
  readonly entry?: number;
  readonly round?: number;
  readonly value?: string;
  readonly request?: Readonly<Record<string, unknown>>;
}

const PREPARE = 1;
const PROMISE = 2;
const NACK = 3;
const ACCEPT_REQUEST = 4;
const ACCEPTED = 5;
const HEARTBEAT = 6;

const [fromaddress = '', fromport = ''] = (process.argv[2] ?? '').split(':');
const promised = new Map<number, number>();
const accepted = new Map<number, Acceptance>();
const socket = createSocket('udp4');

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Zero values are left out, at the top and one level below, as the base text's encoder does. */
function lean(message: object): object {
  return Object.fromEntries(
    Object.entries(message)
      .filter(([, value]) => value !== 0 && value !== '')
      .map(([key, value]) => [
        key,
        typeof value === 'object' && value !== null ? lean(value as object) : value,
      ]),
  );
}

function reply(to: Received, message: object): void {
  const bytes = JSON.stringify(lean({ ...message, fromaddress, fromport }));
  socket.send(bytes, Number(to.fromport), to.fromaddress);
}

function onPrepare(message: Received): void {
  const { entry = 0, round = 0, request = {} } = message;
  const known = promised.get(entry) ?? -1;
  const roundvalue = accepted.get(entry) ?? { round: -1, value: '' };
  if (round < known) return reply(message, { type: NACK, request, entry, round, roundvalue });
  promised.set(entry, round);
  say(`promised ${entry} ${round}`);
  reply(message, { type: PROMISE, request, entry, round, roundvalue });
}

function onAcceptRequest(message: Received): void {
  const { entry = 0, round = 0, value = '', request = {} } = message;
  const roundvalue = accepted.get(entry) ?? { round: -1, value: '' };
  if (round < (promised.get(entry) ?? -1)) {
    return reply(message, { type: NACK, request, entry, round, roundvalue });
  }
  promised.set(entry, round);
  accepted.set(entry, { round, value });
  say(`accepted ${entry} ${round} ${JSON.stringify(value)}`);
  reply(message, { type: ACCEPTED, request, entry, round, value });
}

socket.on('message', (bytes) => {
  let message: Received;
  try {
    message = JSON.parse(bytes.toString()) as Received;
  } catch {
    say('unreadable');
    return;
  }
  if (message.type === PREPARE) onPrepare(message);
  else if (message.type === ACCEPT_REQUEST) onAcceptRequest(message);
  else if (message.type === HEARTBEAT) say('heartbeat');
});
socket.bind(Number(fromport), fromaddress, () => say('listens'));
