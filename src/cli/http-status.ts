import { get } from 'node:http';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { formatAddress, type Address, type AgentStatus } from '../index.js';

/** A status is a few kilobytes; what isn't a node may send anything. */
const MAX_BODY_BYTES = 1024 * 1024;

export type StatusAnswer =
  { readonly ok: true; readonly status: AgentStatus } | { readonly ok: false; readonly error: string };

const NOT_A_NODE = "what answers there is no paxosd node; give the address of the node's --http";
const CLIENT_PORT =
  "that is a node's client port; its status is served at the address given with --http, which " +
  '"paxosd cluster" puts 1000 above';

const count = { type: 'integer', minimum: 0 };
const count_or_null = { type: ['integer', 'null'], minimum: 0 };
const text_or_null = { type: ['string', 'null'] };
const object = (properties: Record<string, object>, optional: readonly string[] = []): object => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});

/** The part of a status that is shown; whatever else a later release says besides is let through. */
const SHOWN = object({
  address: { type: 'string' },
  role: { enum: ['leader', 'candidate', 'follower'] },
  leader: text_or_null,
  ready: { type: 'boolean' },
  promised_round: { type: 'integer' },
  entries: object({
    accepted: count,
    chosen: count,
    applied: count_or_null,
    known_chosen_elsewhere: count,
  }),
  peers: {
    type: 'array',
    items: object({
      address: { type: 'string' },
      last_message: text_or_null,
      last_heard_ms_ago: { type: ['number', 'null'] },
      committed: count,
    }),
  },
  journal: object({ segments: count, begun: count, bytes: count, unflushed: count }),
  app: object(
    {
      state: { type: 'string' },
      pid: count,
      restarts: count,
      failing_entry: count_or_null,
      hanging_entry: count_or_null,
    },
    ['pid', 'restarts', 'failing_entry', 'hanging_entry'],
  ),
  pid: count,
});

/** Loads ajv, which takes longer than asking does, and which no other command needs. */
async function newStatusCheck(): Promise<ValidateFunction<AgentStatus>> {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  return new Ajv2020({ strict: true, allowUnionTypes: true }).compile<AgentStatus>(SHOWN);
}

let check: Promise<ValidateFunction<AgentStatus>> | undefined;

/** Asks a node for its status over HTTP. Never rejects: what is wrong, and what to do, is in the answer. */
export async function askStatus(target: Address, timeout_ms: number): Promise<StatusAnswer> {
  try {
    const body = await fetchText(target, timeout_ms);
    const status: unknown = JSON.parse(body);
    const isStatus = await (check ??= newStatusCheck());
    return isStatus(status) ? { ok: true, status } : { ok: false, error: NOT_A_NODE };
  } catch (error) {
    return { ok: false, error: explain(error, timeout_ms) };
  }
}

function fetchText({ address, port }: Address, timeout_ms: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeout_ms);
    const url = `http://${formatAddress({ address, port })}/status`;
    const request = get(url, { agent: false, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        body += part;
        if (body.length > MAX_BODY_BYTES) request.destroy(new SyntaxError('too long'));
      });
      response.on('error', reject);
      response.on('end', () => resolve(body));
    });
    request.on('error', reject);
  });
}

function explain(error: unknown, timeout_ms: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'AbortError' || error.name === 'TimeoutError') {
    return `no answer within ${timeout_ms} ms; is that the address given with --http?`;
  }
  if (error instanceof SyntaxError) return NOT_A_NODE;
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('HPE_')) {
    return 'rawPacket' in error && isMessage(error.rawPacket) ? CLIENT_PORT : NOT_A_NODE;
  }
  return `can't be reached (${error.message}); is the node running, with --http?`;
}

/** Whether bytes that are no HTTP look like a node's Error message. */
function isMessage(bytes: unknown): boolean {
  return bytes instanceof Uint8Array && /^\{"type":16[,}]/.test(Buffer.from(bytes).toString('latin1'));
}
