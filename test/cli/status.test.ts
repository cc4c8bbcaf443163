import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { expect } from 'chai';
import { askStatus, type StatusAnswer } from '../../src/cli/http-status.js';
import { statusText } from '../../src/cli/status-table.js';
import type { AgentStatus } from '../../src/index.js';

const STATUS: AgentStatus = {
  address: '127.0.0.1:7001',
  role: 'leader',
  leader: '127.0.0.1:7001',
  ready: true,
  promised_round: 3,
  entries: { accepted: 9, chosen: 8, applied: 8, known_chosen_elsewhere: 8 },
  peers: [{ address: '127.0.0.1:7002', last_message: 'Accepted', last_heard_ms_ago: 12, committed: 7 }],
  journal: { segments: 2, begun: 1, bytes: 3 * 1024 * 1024, unflushed: 0 },
  app: {
    state: 'connected',
    command: 'kvapp',
    pid: 77,
    restarts: 2,
    next: 8,
    unanswered: 0,
    failing_entry: null,
    hanging_entry: 5,
    last_end: '',
  },
  clients: { connections: 0, sessions: 0, waiting: 0 },
  refused: {},
  uptime_ms: 1,
  pid: 42,
  version: '0.1.0',
};

describe('tables of status', () => {
  const follower: AgentStatus = {
    ...STATUS,
    address: '127.0.0.1:7002',
    role: 'follower',
    leader: null,
    ready: false,
    promised_round: -1,
    entries: { accepted: 0, chosen: 0, applied: null, known_chosen_elsewhere: 0 },
    peers: [{ address: '127.0.0.1:7001', last_message: null, last_heard_ms_ago: null, committed: 0 }],
    app: { state: 'none' },
  };

  it('show each node, and how far it is behind what any of them knows', () => {
    const rows = statusText([STATUS, follower]).split('\n');
    expect(rows[0]!.split(/ {2,}/)).to.include.members(['NODE', 'ROLE', 'BEHIND', 'JOURNAL']);
    expect(rows[1]!.split(/ {2,}/)).to.deep.equal([
      ...[
        '127.0.0.1:7001',
        'leader',
        '127.0.0.1:7001',
        'yes',
        '3',
        '9',
        '8',
        '0',
        '8',
        '3 MiB in 2, 1 begun',
      ],
      ...['connected, pid 77, restarted 2 times, hangs at entry 5', '42'],
    ]);
    expect(rows[2]!.split(/ {2,}/)).to.deep.equal([
      ...[
        '127.0.0.1:7002',
        'follower',
        '-',
        'no',
        '-',
        '0',
        '0',
        '8',
        '-',
        '3 MiB in 2, 1 begun',
        'none',
        '42',
      ],
    ]);
    expect(rows).to.include('127.0.0.1:7001  127.0.0.1:7002  12 ms ago  Accepted');
    expect(rows).to.include('127.0.0.1:7002  127.0.0.1:7001  never      -');
  });

  it('let nothing through that a terminal would act upon', () => {
    expect(statusText([{ ...STATUS, address: '\u001b[2Jx' }])).not.to.include('\u001b');
  });
});

describe('asking for status', () => {
  let servers: Server[] = [];
  afterEach(() => {
    for (const server of servers) server.close();
    servers = [];
  });

  async function ask(listening: Server, timeout_ms = 5_000): Promise<StatusAnswer> {
    servers.push(listening.listen(0, '127.0.0.1'));
    await once(listening, 'listening');
    const { port } = listening.address() as AddressInfo;
    return askStatus({ address: '127.0.0.1', port: String(port) }, timeout_ms);
  }

  const answering =
    (body: string): RequestListener =>
    (_request, response) =>
      response.end(body);
  const saying = (text: string): Server =>
    createServer((socket) => {
      socket.on('error', () => undefined).resume();
      socket.end(text);
    });
  const errorOf = (answer: StatusAnswer): string => (answer.ok ? 'none' : answer.error);

  it('gives what a node says', async () => {
    const answer = await ask(createHttpServer(answering(JSON.stringify(STATUS))));
    expect(answer).to.deep.equal({ ok: true, status: STATUS });
  });

  it('tells other servers from nodes', async () => {
    const bodies = [
      '<html>',
      '[]',
      'null',
      '{}',
      JSON.stringify({ ...STATUS, peers: [null] }),
      'x'.repeat(2 ** 21),
    ];
    for (const body of bodies) {
      const error = errorOf(await ask(createHttpServer(answering(body))));
      expect(error, body.slice(0, 20)).to.include('no paxosd node');
    }
    expect(errorOf(await ask(saying('SSH-2.0-x\r\n')))).to.include('no paxosd node');
  });

  it("knows a node's client port", async () => {
    expect(errorOf(await ask(saying('{"type":16,"error":"malformed: x"}\n')))).to.include('client port');
  });

  it('does not wait for ever, and says so if nobody is there', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume());
    expect(errorOf(await ask(silent, 50))).to.include('no answer within 50 ms');
    const { port } = silent.address() as AddressInfo;
    silent.close();
    await once(silent, 'close');
    const gone = await askStatus({ address: '127.0.0.1', port: String(port) }, 1_000);
    expect(errorOf(gone)).to.include("can't be reached").and.include('ECONNREFUSED');
  });
});
