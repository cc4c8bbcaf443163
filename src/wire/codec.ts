import type { Address } from '../core/address.js';
import { NO_REQUEST, type Request } from '../core/decree.js';
import type { ErrorCode } from '../core/errors.js';
import { fitsDatagram, MAX_VALUE_COST, valueCost } from '../core/limits.js';
import { MESSAGE_NAMES, MessageType, type Message } from '../core/message.js';
import { MAX_NESTING, nestsTooDeep } from './nesting.js';
import { contradiction, flatten, readableRequest, senderOf } from './normalise.js';
import { readPlain, rememberSender } from './plain.js';
import { explainSyntax, explainViolation, quoteInput } from './refusal.js';
import { envelopeValidator, validatorOf, type WireMessage } from './validators.js';

export { encodeMessage } from './encode.js';

/** A message, or why there is none: `request` is what could be read of it, so that the sender can place the Error. */
export type Decoded =
  | { readonly ok: true; readonly message: Message; readonly from: Address | undefined }
  | { readonly ok: false; readonly code: ErrorCode; readonly text: string; readonly request: Request };

function refuse(code: ErrorCode, text: string, request: Request = NO_REQUEST): Decoded {
  return { ok: false, code, text, request };
}

/**
 * Reads the JSON text of one message (spec.md, "Encoding"), which may stand within a longer text. Never throws: what
 * isn't a message of the protocol is refused with a text that names the field, and the reason.
 */
export function decodeMessage(text: string, start = 0, end = text.length): Decoded {
  return decodePlain(text, start, end) ?? decodeAny(text.slice(start, end));
}

/** As `decodeMessage`, for a text that the short cut takes (`plain.ts`); undefined for any other. */
export function decodePlain(text: string, start = 0, end = text.length): Decoded | undefined {
  const plain = readPlain(text, start, end);
  return plain && { ok: true, message: plain.message, from: plain.from };
}

/** As `decodeMessage`, without its short cut. */
export function decodeAny(text: string): Decoded {
  if (nestsTooDeep(text)) return refuse('malformed', `nested more than ${MAX_NESTING} levels deep`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return refuse('malformed', explainSyntax(error));
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return refuse('malformed', `a message must be a JSON object, got ${quoteInput(parsed)}`);
  }
  return decodeObject(parsed);
}

function decodeObject(parsed: object): Decoded {
  const type = typeOf(parsed);
  const validate = type === undefined ? envelopeValidator() : validatorOf(type);
  if (!validate(parsed) || type === undefined) {
    const [error] = validate.errors ?? [];
    const name = type === undefined ? 'message' : (MESSAGE_NAMES[type] ?? 'message');
    const why = error === undefined ? 'not a message' : explainViolation(error, name);
    return refuse('malformed', why, readableRequest(parsed));
  }
  return decodeValid(type, parsed);
}

/** The type that an object claims; an absent one is 0. Undefined for anything that is no type. */
function typeOf(parsed: { readonly type?: unknown }): MessageType | undefined {
  const { type } = parsed;
  if (type === undefined) return MessageType.Empty;
  const known =
    typeof type === 'number' && Number.isInteger(type) && type >= 0 && type < MESSAGE_NAMES.length;
  return known ? ((type + 0) as MessageType) : undefined;
}

/** The rules that a schema can't express: fields with two places, and what fits into a datagram. */
function decodeValid(type: MessageType, wire: WireMessage): Decoded {
  const contradicting = contradiction(type, wire);
  if (contradicting !== undefined) return refuse('malformed', contradicting, readableRequest(wire));
  const message = flatten(type, wire);
  if (message.type === MessageType.ClientRequest && !fitsDatagram(message.value)) {
    const cost = valueCost(message.value);
    const text = `request.value takes ${cost} bytes as JSON under the worst escaping; ${MAX_VALUE_COST} are possible`;
    return refuse('value-too-large', text, message.request);
  }
  const from = senderOf(wire);
  if (from !== undefined) rememberSender(from);
  return { ok: true, message, from };
}
