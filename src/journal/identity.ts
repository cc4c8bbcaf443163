import { randomBytes } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  compareAddresses,
  formatAddress,
  indexOfAddress,
  sameAddress,
  type Address,
} from '../core/address.js';
import {
  ACCEPT_WINDOW_ENTRIES,
  MAX_AGENTS,
  MAX_NUMBERS_PER_SESSION,
  MAX_SESSIONS,
  MAX_VALUE_COST,
} from '../core/limits.js';
import { FORMAT_VERSION, segmentHeader, type Members, type Stamp } from './format.js';
import { hasCode, JournalError, RESTORE_ADVICE } from './journal-error.js';
import { createSegment, identityPath, journalPath, SEGMENT_BYTES } from './segment.js';
import { disk, readSmallFile, unreadable, type Storage } from './storage.js';

/** Who a data directory belongs to: written once, before the first vote (spec.md, "Durability"). */
export interface Identity {
  readonly self: Address;
  /** All agents of the cluster, the node itself among them, in the order of their indices. */
  readonly agents: readonly Address[];
  /** Drawn when the directory was initialised; every segment carries it. */
  readonly journal: string;
}

/** What every agent of a cluster must agree on, or they could fold the same log into different states. */
export const FORMAT_CONSTANTS = {
  ACCEPT_WINDOW_ENTRIES,
  MAX_VALUE_COST,
  MAX_SESSIONS,
  MAX_NUMBERS_PER_SESSION,
} as const;

/** An identity of 31 agents has less than two thousand. */
const MAX_IDENTITY_BYTES = 16 * 1024;

const JOURNAL_ID_BYTES = 16;

/** What a new file system may hold by itself. */
const HARMLESS_NAMES: readonly string[] = ['lost+found'];

/** How many names a refusal tells. */
const MAX_NAMES_TOLD = 5;

/** Whom a data directory is made for. */
export interface InitialiseOptions {
  /** The node's own address. */
  readonly self: Address;
  /** All agents of the cluster, the node itself among them, in any order. */
  readonly agents: readonly Address[];
  /** Size of the first segment; tests make it small. */
  readonly segment_bytes?: number;
}

/**
 * Makes `directory` the data directory of a new member: an empty journal, then the identity. Creates the directory if
 * need be, and refuses one that holds anything: an old member's votes are never overwritten. Rejects with a
 * JournalError that says what to do, or with a RangeError if these agents can't be a cluster.
 */
export async function initialise(directory: string, options: InitialiseOptions): Promise<void> {
  const agents = [...options.agents].sort(compareAddresses);
  const complaint = complaintAboutMembers(options.self, agents);
  if (complaint !== undefined) throw new RangeError(complaint);
  await makeEmptyDirectory(directory);
  const identity = { self: options.self, agents, journal: randomBytes(JOURNAL_ID_BYTES).toString('hex') };
  await writeNewJournal(disk, directory, identity, options.segment_bytes);
  await disk.syncDirectory(dirname(resolve(directory)));
}

/** The files of a new member in an empty directory. The identity comes last: without it nothing else is believed. */
export async function writeNewJournal(
  storage: Storage,
  directory: string,
  identity: Identity,
  segment_bytes = SEGMENT_BYTES,
): Promise<void> {
  await storage.makeDirectory(journalPath(directory));
  await createSegment(storage, directory, 1, segment_bytes, [segmentHeader(stampOf(identity), 1, 1)]);
  await storage.syncDirectory(directory);
  await storage.replace(identityPath(directory), encodeIdentity(identity));
  await storage.syncDirectory(directory);
}

async function makeEmptyDirectory(directory: string): Promise<void> {
  /* Directories on the way that didn't exist are synced too, outermost first. */
  const outermost = await mkdir(directory, { recursive: true }).catch((error: unknown) => {
    if (!hasCode(error, 'EEXIST') && !hasCode(error, 'ENOTDIR')) throw unreadable(directory, error);
    throw new JournalError('not-a-file', `${directory} is not a directory. Name one that is empty, or new.`);
  });
  if (outermost !== undefined) await syncUpwards(directory, dirname(resolve(outermost)));
  const names = await readdir(directory).catch((error: unknown) => {
    throw unreadable(directory, error);
  });
  const found = names.filter((name) => !HARMLESS_NAMES.includes(name)).sort();
  if (found.length === 0) return;
  const told = found.slice(0, MAX_NAMES_TOLD).join(', ') + (found.length > MAX_NAMES_TOLD ? ', …' : '');
  const advice = found.includes('identity.json')
    ? 'It is a member already: start it with "paxosd start".'
    : 'Name an empty directory, or a new one.';
  throw new JournalError('not-empty', `${directory} is not empty: it holds ${told}. ${advice}`, directory);
}

/** Syncs the parents of `directory` up to `last`. */
async function syncUpwards(directory: string, last: string): Promise<void> {
  let path = resolve(directory);
  while (path !== last && path !== dirname(path)) {
    path = dirname(path);
    await disk.syncDirectory(path);
  }
}

function complaintAboutMembers(self: Address, agents: readonly Address[]): string | undefined {
  if (agents.length > MAX_AGENTS) return `A cluster has at most ${MAX_AGENTS} agents, not ${agents.length}.`;
  if (!agents.some((agent) => sameAddress(agent, self))) {
    return `The node ${formatAddress(self)} is not among the agents of its cluster.`;
  }
  const twice = agents.find((agent, index) =>
    agents.slice(index + 1).some((other) => sameAddress(agent, other)),
  );
  return twice && `The agent ${formatAddress(twice)} is named twice.`;
}

/** The identity in `directory`. Refuses one that is missing, damaged, or of a program with other constants. */
export async function readIdentity(directory: string, storage: Storage = disk): Promise<Identity> {
  const path = identityPath(directory);
  const text = await readSmallFile(storage, path, MAX_IDENTITY_BYTES);
  if (text === undefined) throw withoutIdentity(directory, path);
  return decodeIdentity(text, path);
}

function withoutIdentity(directory: string, path: string): JournalError {
  const message =
    `${directory} is no member's data directory: ${path} is missing. ` +
    'For a new member run "paxosd init" on an empty directory first. ' +
    `If this node has been a member before, its votes are gone with that file. ${RESTORE_ADVICE}`;
  return new JournalError('missing', message, path);
}

/** What segments are marked with. */
export function stampOf(identity: Identity): Stamp {
  return { node: identity.self, journal: identity.journal };
}

/** The cluster as records see it. */
export function membersOf({ agents, self }: Identity): Members {
  const index = indexOfAddress(agents, self);
  if (index === undefined) throw new RangeError(`${formatAddress(self)} is not among the agents`);
  return { agents, self: index };
}

export function encodeIdentity({ self, agents, journal }: Identity): string {
  const body = {
    version: FORMAT_VERSION,
    self: formatAddress(self),
    agents: agents.map(formatAddress),
    journal,
    constants: FORMAT_CONSTANTS,
  };
  return `${JSON.stringify({ ...body, checksum: checksumOf(body) }, undefined, 2)}\n`;
}

function checksumOf(body: unknown): string {
  return crc32(JSON.stringify(body)).toString(16).padStart(8, '0');
}

/** An identity file's text, checked. */
function decodeIdentity(text: string, path: string): Identity {
  const file = parseObject(text);
  if (!file) throw damaged(path, 'it is not a JSON object');
  const { checksum, ...body } = file;
  if (checksum !== checksumOf(body)) throw damaged(path, 'its checksum is wrong');
  if (body['version'] !== FORMAT_VERSION) {
    throw foreign(
      path,
      `it is of format ${String(body['version'])}, and this program knows ${FORMAT_VERSION}`,
    );
  }
  const constants = isObject(body['constants']) ? body['constants'] : {};
  for (const [name, value] of Object.entries(FORMAT_CONSTANTS)) {
    if (constants[name] === value) continue;
    throw foreign(path, `its ${name} is ${String(constants[name])}, and this program's is ${value}`);
  }
  const { self, agents, journal } = body;
  const own = parseAddress(self);
  const all = Array.isArray(agents) ? agents.flatMap((agent: unknown) => parseAddress(agent) ?? []) : [];
  if (!own || !all.some((agent) => sameAddress(agent, own)))
    throw damaged(path, 'its addresses make no sense');
  if (typeof journal !== 'string') throw damaged(path, 'it names no journal');
  return { self: own, agents: all.sort(compareAddresses), journal };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const HOST_AND_PORT = /^(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})$/;

function parseAddress(value: unknown): Address | undefined {
  const parts = typeof value === 'string' ? HOST_AND_PORT.exec(value) : null;
  return parts ? { address: parts[1] ?? '', port: parts[2] ?? '' } : undefined;
}

function damaged(path: string, what: string): JournalError {
  return new JournalError('corrupt', `${path} is damaged: ${what}. ${RESTORE_ADVICE}`, path);
}

function foreign(path: string, what: string): JournalError {
  const advice =
    'Run the release of paxosd that the cluster runs; agents that differ here could disagree on the log.';
  return new JournalError('foreign', `${path} is of another release: ${what}. ${advice}`, path);
}
