import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Request } from '../../src/core/decree.js';
import { MAX_ROUND } from '../../src/core/limits.js';
import { MESSAGE_NAMES, MessageType, type Message, type RoundValue } from '../../src/core/message.js';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import { loadSchema, schemaFileOf } from '../../src/wire/validators.js';

/** The TypeScript types, the schemas and spec.md say the same about every message. */

type Name = keyof typeof MessageType;
type MessageNamed<N extends Name> = Extract<Message, { type: (typeof MessageType)[N] }>;
/** `unread` says nothing more: it is for the core alone. */
type FieldsOf<T> = Record<
  Exclude<keyof T, 'type' | 'unread'>,
  'counter' | 'round' | 'string' | 'boolean' | 'object' | 'leader'
>;

/** Every field of every message with its kind. The compiler objects to one too few and one too many. */
const FIELDS = {
  Empty: {},
  Prepare: { request: 'object', entry: 'counter', round: 'round' },
  Promise: {
    request: 'object',
    entry: 'counter',
    round: 'round',
    roundvalue: 'object',
    length: 'counter',
    committed: 'counter',
  },
  Nack: {
    request: 'object',
    entry: 'counter',
    round: 'round',
    roundvalue: 'object',
    promised: 'round',
    leaderaddress: 'leader',
    leaderport: 'leader',
  },
  AcceptRequest: {
    request: 'object',
    entry: 'counter',
    round: 'round',
    value: 'string',
    committed: 'counter',
  },
  Accepted: { request: 'object', entry: 'counter', round: 'round', value: 'string' },
  Heartbeat: { leaderaddress: 'leader', leaderport: 'leader', round: 'round', committed: 'counter' },
  ClientRequest: { request: 'object', entry: 'counter', value: 'string' },
  ClientResponse: { request: 'object', entry: 'counter', value: 'string' },
  ClientRedirect: { leaderaddress: 'leader', leaderport: 'leader' },
  ClientConn: { request: 'object' },
  ClientConnectRequest: { request: 'object' },
  LogResponse: { request: 'object', entry: 'counter', value: 'string' },
  ClientApp: { request: 'object', entry: 'counter' },
  AppResponse: { request: 'object', entry: 'counter', value: 'string' },
  Done: {},
  Error: { error: 'string', request: 'object', entry: 'counter' },
} as const satisfies { [N in Name]: FieldsOf<MessageNamed<N>> };

const REQUEST_FIELDS = {
  id: 'counter',
  no: 'counter',
  noset: 'boolean',
} as const satisfies FieldsOf<Request>;
const ROUND_VALUE_FIELDS = {
  round: 'round',
  value: 'string',
  request: 'object',
} as const satisfies FieldsOf<RoundValue>;

interface Schema {
  readonly $id?: string;
  readonly $ref?: string;
  readonly type?: string;
  readonly title?: string;
  readonly const?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

const envelope: Schema = loadSchema('envelope.json');
const schemaNamed = (name: Name): Schema => loadSchema(schemaFileOf(name));
const keysOf = (o: object | undefined): string[] => Object.keys(o ?? {}).sort();

/** What a property's schema comes down to, in the words of the tables above. */
function kindOf(schema: Schema): string {
  const { $ref } = schema;
  const target = $ref === undefined ? schema : (envelope.$defs?.[$ref.split('/').at(-1) ?? ''] ?? {});
  if (target.title !== undefined) return 'leader';
  if (target.type !== 'integer') return target.type ?? 'unknown';
  if (target.maximum === MAX_ROUND - 1) return 'round';
  return target.minimum === 0 && target.maximum === Number.MAX_SAFE_INTEGER ? 'counter' : 'unknown';
}

function kindsOf(schema: Schema | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(schema?.properties ?? {}).map(([name, s]) => [name, kindOf(s)]));
}

describe('schema: agreement with the types', () => {
  for (const name of MESSAGE_NAMES) {
    it(`${name} has the same fields, of the same kinds`, () => {
      const schema = schemaNamed(name);
      expect(schema.properties?.type).to.deep.equal({ const: MessageType[name] });
      const { type, ...kinds } = kindsOf(schema);
      expect(type).to.equal('unknown');
      expect(kinds).to.deep.equal(FIELDS[name]);
    });

    it(`${name} requires what isn't a zero value, and only that`, () => {
      const type = MessageType[name];
      const required = [
        ...(type === MessageType.Empty ? [] : ['type']),
        ...(type >= 1 && type <= 5 ? ['request'] : []),
        ...('roundvalue' in FIELDS[name] ? ['roundvalue'] : []),
      ];
      expect(schemaNamed(name).required ?? []).to.have.members(required);
      const peer = type >= MessageType.Prepare && type <= MessageType.Heartbeat;
      expect(schemaNamed(name).$ref).to.equal(peer ? 'envelope.json#/$defs/peer' : 'envelope.json');
    });
  }

  it('request has the fields of the type, and entry, which is lifted out of it', () => {
    expect(kindsOf(envelope.$defs?.request)).to.deep.equal({ ...REQUEST_FIELDS, entry: 'counter' });
  });

  it("a client's request has value as well, which is lifted out of it, and no other type's has", () => {
    for (const name of MESSAGE_NAMES) {
      const inside = keysOf(schemaNamed(name).properties?.request?.properties);
      expect(inside, name).to.deep.equal(name === 'ClientRequest' ? ['value'] : []);
    }
  });

  it('roundvalue has the fields of the type, and alone a round below 0', () => {
    expect(kindsOf(envelope.$defs?.roundvalue)).to.deep.equal(ROUND_VALUE_FIELDS);
    expect(envelope.$defs?.roundvalue?.properties?.round).to.include({ minimum: -1 });
    expect(envelope.$defs?.round).to.include({ minimum: 0 });
  });

  it('the envelope has type and sender', () => {
    expect(keysOf(envelope.properties)).to.deep.equal(['fromaddress', 'fromport', 'type']);
    expect(envelope.properties?.type).to.include({ minimum: 0, maximum: MESSAGE_NAMES.length - 1 });
    expect(envelope.$defs?.peer?.required).to.have.members(['fromaddress', 'fromport']);
  });
});

/** The fenced blocks of spec.md whose info string is `json message <TypeName>`. */
function examplesInSpec(): [name: string, text: string][] {
  const spec = readFileSync(new URL('../../spec.md', import.meta.url), 'utf8');
  const blocks = spec.matchAll(/^ {0,3}```json message (\w+)[ \t]*\n(.*?)^ {0,3}```[ \t]*$/gms);
  return [...blocks].map(([, name = '', text = '']) => [name, text]);
}

describe('schema: agreement with spec.md', () => {
  it('has a literal example of each type', () => {
    const names = new Set(examplesInSpec().map(([name]) => name));
    expect([...names]).to.have.members([...MESSAGE_NAMES]);
  });

  for (const name of MESSAGE_NAMES) {
    it(`the examples of ${name} are read, and written just so`, () => {
      for (const [, text] of examplesInSpec().filter(([example]) => example === name)) {
        const result = decodeMessage(text);
        if (!result.ok) throw new Error(`${result.text}: ${text}`);
        expect(result.message.type).to.equal(MessageType[name]);
        expect(JSON.parse(encodeMessage(result.message, result.from))).to.deep.equal(JSON.parse(text));
      }
    });
  }
});
