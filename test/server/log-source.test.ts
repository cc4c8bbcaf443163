import { expect } from 'chai';
import { newAgent } from '../../src/core/agent.js';
import { NO_OP } from '../../src/core/decree.js';
import { entry, round } from '../../src/core/ids.js';
import { MessageType } from '../../src/core/message.js';
import type { JournalRecord } from '../../src/core/record.js';
import type { AgentState } from '../../src/core/state.js';
import type { AppSource } from '../../src/net/app-stream.js';
import { logSource } from '../../src/server/log-source.js';
import { decodeMessage } from '../../src/wire/codec.js';
import { accepted, AGENTS, learnt, MEMBERS, newDisk, Opened, SELF } from '../journal/support.js';
import { config } from '../support/make.js';

const LIMIT = { entries: 100, bytes: 1_000_000 };

/** A log in a journal, of which all below `committed` is chosen and nothing is in memory. */
async function logOf(
  records: readonly JournalRecord[],
  committed: number,
): Promise<{ source: AppSource; opened: Opened }> {
  const opened = await Opened.on(await newDisk());
  await opened.write(...records);
  const state: AgentState = newAgent({ ...config(1), ...MEMBERS, agents: AGENTS });
  state.learner.committed = entry(committed);
  state.learner.retained = entry(committed);
  return { source: logSource(state, opened.journal), opened };
}

/** What the lines say is what reading the entries gives, from this node, as chosen. */
async function expectSame(source: AppSource, first: number): Promise<number> {
  const { entries, bytes } = await source.readLines(entry(first), LIMIT);
  const read = await source.read(entry(first), LIMIT);
  const lines = bytes.toString().split('\n');
  expect(lines.pop()).to.equal('');
  expect([entries, lines.length]).to.eql([read.length, read.length]);
  for (const [i, line] of lines.entries()) {
    const { entry: at, decree } = read[i]!;
    const { id, no, noset, value } = decree;
    const message = { type: MessageType.LogResponse, request: { id, no, noset }, entry: at, value };
    expect(decodeMessage(line)).to.eql({ ok: true, message, from: SELF });
  }
  return lines.length;
}

describe('server, the log as others read it', () => {
  const records = [
    accepted(0),
    accepted(1, 'a "quoted" line\n, 𝄞'),
    accepted(2, '', 0),
    accepted(3, 'of round 0', 0),
    { ...accepted(4), decree: NO_OP, round: round(3) },
    learnt(5),
    accepted(6, '},"entry":6,"round":1,"value":"'),
    accepted(7, 'only accepted'),
  ];

  it('is the same in lines and in entries, whatever the records are, and ends at the commit index', async () => {
    const { source, opened } = await logOf(records, 7);
    for (const first of [0, 1, 3, 6]) expect(await expectSame(source, first)).to.equal(7 - first);
    await opened.journal.close();
  });

  it('is the same where it is not flushed yet, or in memory', async () => {
    const { source, opened } = await logOf(records.slice(0, 4), 7);
    for (const record of records.slice(4)) opened.journal.append(record);
    expect(await expectSame(source, 1)).to.equal(6);
    await opened.journal.close();

    const state = newAgent({ ...config(1), ...MEMBERS, agents: AGENTS });
    state.learner.committed = entry(2);
    state.learner.chosen.set(entry(0), NO_OP).set(entry(1), { ...NO_OP, value: 'kept' });
    const kept = logSource(state, opened.journal);
    expect(await expectSame(kept, 0)).to.equal(2);
    expect((await kept.readLines(entry(0), { entries: 100, bytes: 1 })).entries, 'bounded').to.equal(1);
  });
});
