import { createRequire } from 'node:module';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type * as AjvModule from 'ajv/dist/2020.js';
import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { MESSAGE_NAMES, type MessageType } from '../core/message.js';

/**
 * The JSON Schemas of `schema/`, each compiled when it is first needed. They are the only place that says which field of
 * which message takes what (spec.md, "Messages"); a message that one of them lets through is safe to read as a
 * WireMessage. Loading ajv and compiling all of them takes longer than everything else that a command does, and most
 * commands read no message; a node compiles what is left right after its start.
 */

/** `request` as it stands on the wire: any part may be left out, `value` is a client's only. */
export interface WireRequest {
  readonly id?: number;
  readonly no?: number;
  readonly entry?: number;
  readonly noset?: boolean;
  readonly value?: string;
}

export interface WireRoundValue {
  readonly round?: number;
  readonly value?: string;
  readonly request?: WireRequest;
}

/**
 * What JSON.parse gave, once a validator has passed it. Only the fields of its own type have been checked: under the
 * name of any other field there may be anything, and nobody may look.
 */
export interface WireMessage {
  readonly fromaddress?: string;
  readonly fromport?: string;
  readonly leaderaddress?: string;
  readonly leaderport?: string;
  readonly request?: WireRequest;
  readonly entry?: number;
  readonly round?: number;
  readonly value?: string;
  readonly roundvalue?: WireRoundValue;
  readonly length?: number;
  readonly committed?: number;
  readonly promised?: number;
  readonly error?: string;
}

export type Validator = ValidateFunction<WireMessage>;

/** The file of a type's schema: `ClientConnectRequest` is described by `client-connect-request.json`. */
export function schemaFileOf(name: string): string {
  return `${name.replace(/(?<!^)[A-Z]/g, (capital) => `-${capital}`).toLowerCase()}.json`;
}

// Through the package's own exports, as the sources and the built files lie at different depths below `schema/`.
const require = createRequire(import.meta.url);

/** The parsed schema in `schema/<file>`. */
export function loadSchema(file: string): object {
  const schema: unknown = require(`paxosd/schema/${file}`);
  return schema as object;
}

let compiler: Ajv2020 | undefined;

/**
 * `verbose` puts the value and the schema into an error, for the text that the sender gets. No defaults and no
 * coercion: an absent `entry` is not the same as 0 while its two places are compared. The schemas are our own and don't
 * change at run time: that they are valid JSON Schema is checked by a test, not at every start, of which it was half.
 */
function ajv(): Ajv2020 {
  if (compiler === undefined) {
    const { Ajv2020: Compiler } = require('ajv/dist/2020.js') as typeof AjvModule;
    compiler = new Compiler({ strict: true, verbose: true, meta: false, validateSchema: false });
    compiler.addSchema(loadSchema('envelope.json'), 'envelope.json');
  }
  return compiler;
}

let envelope: Validator | undefined;
const compiled: (Validator | undefined)[] = MESSAGE_NAMES.map(() => undefined);

/** What checks `type` and the sender's address, whatever the type. */
export function envelopeValidator(): Validator {
  return (envelope ??= ajv().compile<WireMessage>({ $ref: 'envelope.json' }));
}

/** What checks the messages of a type. */
export function validatorOf(type: MessageType): Validator {
  return (compiled[type] ??= ajv().compile<WireMessage>(loadSchema(schemaFileOf(MESSAGE_NAMES[type] ?? ''))));
}

/** Loads ajv and compiles whatever isn't yet, a part in each turn of the event loop, so that messages hardly wait. */
export async function compileValidators(): Promise<void> {
  await nextTurn();
  envelopeValidator();
  for (const type of MESSAGE_NAMES.keys()) {
    await nextTurn();
    validatorOf(type as MessageType);
  }
}

export type { ErrorObject };
