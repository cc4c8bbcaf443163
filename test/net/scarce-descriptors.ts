import { NO_REQUEST } from '../../src/core/decree.js';
import { entry } from '../../src/core/ids.js';
import { MessageType } from '../../src/core/message.js';
import { openClientListener } from '../../src/net/client-listener.js';

/* A process with few file descriptors, started by a test: prints its port, then how many connections are left. */

const listener = await openClientListener({
  address: { address: '127.0.0.1', port: '0' },
  onMessage: (connection, message) => {
    const value = 'value' in message ? message.value : '';
    connection.send({ type: MessageType.ClientResponse, request: NO_REQUEST, entry: entry(0), value });
  },
  onEnded: (connection) => connection.close(),
  onClosed: () => console.log(`${listener.connections} left`),
  onRefused: (code) => console.error(code),
  log: (level, code, text) => console.error(level, code, text),
});
console.log(listener.address.port);
