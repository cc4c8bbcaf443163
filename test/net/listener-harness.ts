import { NO_REQUEST } from '../../src/core/decree.js';
import { entry, requestNumber } from '../../src/core/ids.js';
import { MessageType, type ClientResponse } from '../../src/core/message.js';
import {
  openClientListener,
  type ClientConnection,
  type ClientListener,
  type ClientMessage,
  type ClientRefusal,
  type ListenerOptions,
} from '../../src/net/client-listener.js';
import { Inbox, LOOPBACK, rawTcp, recordingLog, type LogLine, type RawTcp } from './support.js';

/** A listener, all that it reports, and a way to connect to it. */
export interface Harness {
  readonly listener: ClientListener;
  readonly messages: Inbox<{ connection: ClientConnection; message: ClientMessage }>;
  readonly ended: Inbox<ClientConnection>;
  readonly closed: Inbox<ClientConnection>;
  readonly refused: Inbox<ClientRefusal>;
  readonly lines: Inbox<LogLine>;
  readonly connect: (options?: { allowHalfOpen?: boolean; reading?: boolean }) => Promise<RawTcp>;
}

export const response = (no: number, value = ''): ClientResponse => ({
  type: MessageType.ClientResponse,
  request: { ...NO_REQUEST, no: requestNumber(no) },
  entry: entry(0),
  value,
});

export const request = (no: number, value = 'v'): string =>
  JSON.stringify({ type: 7, request: { no, value } });

export const values = (lines: Record<string, unknown>[]): unknown[] => lines.map(({ value }) => value);

/** Answers every ClientRequest with its own value, and closes when the client has ended. */
export const echo: Partial<ListenerOptions> = {
  onMessage: (connection, message) => {
    if (message.type === MessageType.ClientRequest)
      connection.send(response(message.request.no, message.value));
  },
  onEnded: (connection) => connection.close(),
};

/** Opens listeners for the tests of a suite, and closes them, and what was connected to them, after each. */
export function useListeners(): (options?: Partial<ListenerOptions>) => Promise<Harness> {
  let cleanups: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
    cleanups = [];
  });
  return async (options = {}) => {
    const messages: Harness['messages'] = new Inbox('messages');
    const ended: Harness['ended'] = new Inbox('ended connections');
    const closed: Harness['closed'] = new Inbox('closed connections');
    const refused: Harness['refused'] = new Inbox('refusals');
    const { log, lines } = recordingLog();
    const listener = await openClientListener({
      address: { address: LOOPBACK, port: '0' },
      log,
      ...options,
      onMessage: (connection, message) => {
        messages.push({ connection, message });
        options.onMessage?.(connection, message);
      },
      onEnded: (connection) => {
        ended.push(connection);
        options.onEnded?.(connection);
      },
      onClosed: (connection) => closed.push(connection),
      onRefused: (code) => refused.push(code),
    });
    cleanups.push(() => listener.close(0));
    const connect: Harness['connect'] = async (how) => {
      const client = await rawTcp(listener.address, how);
      cleanups.push(() => void client.socket.destroy());
      return client;
    };
    return { listener, messages, ended, closed, refused, lines, connect };
  };
}
