import { expect } from 'chai';
import { agentIndex, connectionId, position } from '../../src/core/ids.js';
import { traceEffect, traceEvent } from '../../src/server/trace.js';
import { encodeMessage } from '../../src/wire/codec.js';
import { ProposalReader } from '../../src/wire/proposal-reader.js';
import { recordingLog } from '../net/support.js';
import { accepted, acceptRequest, decree } from '../support/make.js';

const LEADER = { address: '127.0.0.1', port: '7001' };

describe('server: what an entry goes through, in the log', () => {
  const asked = acceptRequest(7, 2, decree('x', 65_537, 3), 5);
  const [unread] = new ProposalReader(LEADER).readAll(Buffer.from(encodeMessage(asked, LEADER))) ?? [];

  it('is told by the numbers of each message, whether its value was read or not', () => {
    for (const message of [asked, unread!]) {
      const { log, lines } = recordingLog();
      traceEvent(log, { type: 'message', from: agentIndex(0), message });
      const details = { from: 0, entry: 7, round: 2, committed: 5, id: 65_537, no: 3 };
      expect(lines.all[0]).to.deep.include({ code: 'receive', text: 'receives AcceptRequest', details });
    }
    for (const message of [accepted(7, 2, decree('x', 65_537, 3)), unread!.accepted]) {
      const { log, lines } = recordingLog();
      traceEffect(log, { type: 'send', to: agentIndex(0), message, after: position(9), alone: false });
      const details = { to: 0, after: 9, entry: 7, round: 2, id: 65_537, no: 3 };
      expect(lines.all[0]).to.deep.include({ code: 'send', text: 'sends Accepted', details });
    }
  });

  it('is told of records, and of connections', () => {
    const { log, lines } = recordingLog();
    const { request, entry, round } = asked;
    const record = { verdict: 'accepted', entry, round, owner: agentIndex(0), decree: unread! } as const;
    traceEffect(log, { type: 'persist', record, position: position(4) });
    traceEvent(log, {
      type: 'client',
      connection: connectionId(8),
      message: { type: 7, request, entry, value: 'x' },
    });
    expect(lines.all.map(({ code, details }) => ({ code, details }))).to.deep.equal([
      { code: 'persist-accepted', details: { position: 4, entry: 7, round: 2 } },
      { code: 'request', details: { connection: 8, entry: 7, id: 65_537, no: 3 } },
    ]);
  });
});
