#!/usr/bin/env node
/** What the transcript needs of a language: its client on stdin and stdout, and an app (clients/README.md, "Driver"). */
import split2 from 'split2';
import { AppError, runApp } from './app.js';
import { Client, type Answer } from './client.js';
import { RequestError, UnknownOutcomeError } from './errors.js';

interface Call {
  readonly do: 'open' | 'request' | 'query' | 'outcome' | 'close';
  readonly client: string;
  readonly call: string;
  readonly servers?: string;
  readonly session?: { readonly id: number; readonly no: number };
  readonly silence_ms?: number;
  readonly value?: string;
  readonly entry?: number;
  readonly of?: string;
  readonly timeout_ms?: number;
}

const clients = new Map<string, Client>();
/** Outcomes that are unknown, by the call that they are of. */
const unknown = new Map<string, UnknownOutcomeError>();

function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function open(call: Call): void {
  const { servers = '', session, silence_ms } = call;
  clients.set(
    call.client,
    new Client({ servers, ...(session && { session }), ...(silence_ms !== undefined && { silence_ms }) }),
  );
}

function ask(client: Client, call: Call): Promise<Answer> {
  const options = call.timeout_ms === undefined ? {} : { timeout_ms: call.timeout_ms };
  if (call.do === 'query') return client.query(call.entry ?? 0, options);
  if (call.do === 'request') return client.request(call.value ?? '', options);
  const error = unknown.get(call.of ?? '');
  if (error === undefined) throw new RangeError(`no unknown outcome of ${call.of ?? 'nothing'}`);
  return client.outcome(error, options);
}

async function report(call: Call, answer: Promise<Answer>): Promise<void> {
  try {
    const { value, entry, id, no } = await answer;
    print({ call: call.call, answer: value, entry, id, no });
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    if (error instanceof UnknownOutcomeError) unknown.set(call.call, error);
    const { certainty, code, asked } = error;
    print({ call: call.call, error: certainty, code, id: asked.id, no: asked.no });
  }
}

function take(call: Call): void {
  if (call.do === 'open') return open(call);
  const client = clients.get(call.client);
  if (client === undefined) throw new RangeError(`no client ${call.client}`);
  if (call.do !== 'close') return void report(call, ask(client, call));
  client.close();
  clients.delete(call.client);
  print({ call: call.call, closed: true });
}

function drive(): void {
  const lines = process.stdin.pipe(split2('\n'));
  lines.on('data', (line: string) => take(JSON.parse(line) as Call));
  lines.on('end', () => {
    for (const client of clients.values()) client.close();
  });
}

if (process.argv[2] === 'app') {
  await runApp((value, { id, no, entry }) => {
    if (value === 'refuse me') throw new AppError('no such thing');
    if (value === 'crash') throw new Error('as asked');
    return `${id}.${no}@${entry} ${value}`;
  });
} else drive();
