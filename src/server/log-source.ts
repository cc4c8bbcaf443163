import type { Address } from '../core/address.js';
import type { Decree } from '../core/decree.js';
import { entry as entryOf, NO_ROUND, type Entry } from '../core/ids.js';
import { wasExecuted } from '../core/learner.js';
import { MessageType } from '../core/message.js';
import type { StoredEntry } from '../core/record.js';
import { recall } from '../core/sessions.js';
import type { AgentState } from '../core/state.js';
import type { RecordText } from '../journal/entry-reader.js';
import { decreeStart } from '../journal/format.js';
import type { Journal } from '../journal/journal.js';
import type { AppSource, LogLine, ReadLimit } from '../net/app-stream.js';
import { encodeMessage } from '../wire/encode.js';
import { relayedResponse } from '../wire/relay.js';

/** The chosen log as applications, followers and catching-up agents see it: from memory where it is, else from disk. */
export function logSource(state: AgentState, journal: Pick<Journal, 'readRange' | 'readTexts'>): AppSource {
  const { learner } = state;
  const self = state.config.agents[state.config.self];
  if (self === undefined) throw new Error('the agent is not among its cluster');
  /** The journal also holds what is only accepted. */
  const chosenOf = <T extends { readonly entry: Entry }>(read: readonly T[]): T[] =>
    read.filter(({ entry }) => entry < learner.committed);
  return {
    committed: () => learner.committed,
    isExecuted: (entry) => wasExecuted(learner, entry),
    isRemembered: (entry, decree) => isWanted(state, entry, decree),
    read: async (first, limit) => {
      const kept = fromMemory(state, first, limit);
      if (kept.length > 0) return kept;
      return chosenOf(await journal.readRange(first, limit));
    },
    readLines: async (first, limit) => {
      const kept = fromMemory(state, first, limit);
      const read = kept.length > 0 ? kept : await journal.readTexts(first, limit);
      const lines = chosenOf(read).map((one) => lineOf(one, self));
      if (lines.every(isLine)) return lines;
      // A record of another shape: all of it is read, and written anew.
      const parsed = await journal.readRange(first, limit);
      return chosenOf(parsed).map((one) => writtenLine(one, self));
    },
  };
}

/** Undefined for a record whose message has to be read first. */
function lineOf(one: StoredEntry | RecordText, self: Address): LogLine | undefined {
  if (!('text' in one)) return writtenLine(one, self);
  const { entry, text } = one;
  const start = decreeStart(text);
  const line = start === undefined ? undefined : relayedResponse(text, start, entry, self);
  return line === undefined ? undefined : { entry, line };
}

function isLine(line: LogLine | undefined): line is LogLine {
  return line !== undefined;
}

function writtenLine({ entry, decree }: StoredEntry, self: Address): LogLine {
  const { id, no, noset, value } = decree;
  const response = { type: MessageType.LogResponse, request: { id, no, noset }, entry, value };
  return { entry, line: encodeMessage(response, self) };
}

/** Whether somebody may still ask for the answer of an entry, or waits for it now. */
function isWanted(state: AgentState, entry: Entry, decree: Decree): boolean {
  if (state.clients.answers.waiters.has(entry)) return true;
  const known = recall(state.learner.sessions, decree.id, decree.no);
  return known.kind === 'executed' && known.entry === entry;
}

function fromMemory(state: AgentState, first: Entry, limit: ReadLimit): StoredEntry[] {
  const { learner } = state;
  const found: StoredEntry[] = [];
  if (first < learner.retained) return found;
  let bytes = 0;
  for (
    let e: number = first;
    e < learner.committed && found.length < limit.entries && bytes < limit.bytes;
    e++
  ) {
    const decree = learner.chosen.get(entryOf(e));
    if (decree === undefined) break;
    found.push({ entry: entryOf(e), round: NO_ROUND, decree });
    bytes += decree.value.length;
  }
  return found;
}
