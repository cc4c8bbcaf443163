import { createRequire } from 'node:module';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { MESSAGE_NAMES } from '../core/message.js';

/**
 * The JSON Schemas of `schema/`, compiled once at load. They are the only place that says which field of which message
 * takes what (spec.md, "Messages"); a message that one of them lets through is safe to read as a WireMessage.
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

/**
 * `verbose` puts the value and the schema into an error, for the text that the sender gets. No defaults and no
 * coercion: an absent `entry` is not the same as 0 while its two places are compared. The schemas are our own and don't
 * change at run time: that they are valid JSON Schema is checked by a test, not at every start, of which it was half.
 */
const ajv = new Ajv2020({ strict: true, verbose: true, meta: false, validateSchema: false });
ajv.addSchema(loadSchema('envelope.json'), 'envelope.json');

/** Checks `type` and the sender's address, whatever the type. */
export const validateEnvelope: Validator = ajv.compile<WireMessage>({ $ref: 'envelope.json' });

/** One validator per message type, by its number. */
export const VALIDATORS: readonly Validator[] = MESSAGE_NAMES.map((name) =>
  ajv.compile<WireMessage>(loadSchema(schemaFileOf(name))),
);

export type { ErrorObject };
