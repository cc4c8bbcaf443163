import { MessageType, type Message } from '../../src/core/message.js';
import { decodeAny, decodeMessage, encodeMessage, type Decoded } from '../../src/wire/codec.js';
import { MAX_NESTING } from '../../src/wire/nesting.js';
import { Finding, type Outcome } from './target.js';

/** What a refusal may say: printable ASCII, and the dots of a cut. */
const PRINTABLE = /^[\x20-\x7e…]+$/;

/** Long explanations would be a load of their own. */
const MAX_REFUSAL_LENGTH = 400;

type Fields = Readonly<Record<string, unknown>>;

function must(holds: boolean, kind: string, detail: () => string): asserts holds {
  if (!holds) throw new Finding(kind, detail());
}

/** How deep a parsed value nests, without recursion. */
function depthOf(value: unknown): number {
  let depth = 0;
  let level: unknown[] = [value];
  while ((level = level.filter((one) => typeof one === 'object' && one !== null)).length > 0) {
    depth++;
    level = level.flatMap((one): unknown[] => Object.values(one as Fields));
  }
  return depth;
}

function own(parsed: unknown, name: string): unknown {
  if (typeof parsed !== 'object' || parsed === null || !Object.hasOwn(parsed, name)) return undefined;
  return (parsed as Fields)[name];
}

/** A field of a message as the text has it, told by the platform's parser and the protocol's text alone. */
function expected(parsed: unknown, message: Message, name: string): unknown {
  const request = own(parsed, 'request');
  switch (name) {
    case 'type':
      return own(parsed, 'type') ?? 0;
    case 'entry':
      return own(parsed, 'entry') ?? own(request, 'entry') ?? 0;
    case 'request':
      return requestOf(request);
    case 'roundvalue':
      return roundValueOf(own(parsed, 'roundvalue'));
    case 'value': {
      const inside = message.type === MessageType.ClientRequest ? own(request, 'value') : undefined;
      return inside !== undefined && inside !== '' ? inside : (own(parsed, 'value') ?? '');
    }
    default:
      return own(parsed, name) ?? (typeof own(message, name) === 'string' ? '' : 0);
  }
}

function requestOf(request: unknown): object {
  const [id, no, noset] = ['id', 'no', 'noset'].map((name) => own(request, name));
  return { id: id ?? 0, no: no ?? 0, noset: noset ?? false };
}

function roundValueOf(parsed: unknown): object {
  const round = own(parsed, 'round') ?? 0;
  if (round === -1) return { round, value: '', request: requestOf(undefined) };
  return { round, value: own(parsed, 'value') ?? '', request: requestOf(own(parsed, 'request')) };
}

/** As text, in which −0 is 0 and every string keeps its units. */
function textOf(value: unknown): string {
  return JSON.stringify(value);
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

/**
 * Decodes a text, and holds what comes of it against the platform's parser: what isn't JSON, or no object, or nests too
 * deep, is refused; what is taken says what the text says, in every field; and it can be said again.
 */
export function checkText(text: string): Outcome {
  const decoded = decodeMessage(text);
  const slowly = decodeAny(text);
  must(textOf(decoded) === textOf(slowly), 'the short cut reads otherwise', () =>
    textOf([text, decoded, slowly]),
  );
  if (!decoded.ok) return checkRefusal(decoded);
  const parsed = parse(text);
  must(parsed !== undefined, 'what is not JSON is taken', () => textOf(text));
  const { value } = parsed;
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  must(isObject, 'what is no object is taken', () => textOf(text));
  must(depthOf(value) <= MAX_NESTING, 'what nests too deep is taken', () => textOf(text));
  const { message, from } = decoded;
  for (const [name, is] of Object.entries(message as unknown as Fields)) {
    const should_be = expected(value, message, name);
    must(textOf(is) === textOf(should_be), `${name} is read otherwise`, () =>
      textOf({ text, is, should_be }),
    );
  }
  const again = decodeMessage(encodeMessage(message, from));
  must(textOf(again) === textOf(decoded), 'what is said again is something else', () =>
    textOf({ text, again }),
  );
  return {
    codes: ['accepted'],
    signature: `${message.type} ${Object.keys(value).sort().join()}`,
    isTaken: true,
  };
}

function checkRefusal({ code, text }: Extract<Decoded, { ok: false }>): Outcome {
  const isPlain = PRINTABLE.test(text) && text.length <= MAX_REFUSAL_LENGTH;
  must(isPlain, 'a refusal that is not fit for a log', () => textOf(text));
  return {
    codes: [code],
    signature: `${code} ${text.replace(/"(?:[^"\\]|\\.)*"|-?\d+/g, '#').slice(0, 80)}`,
    isTaken: false,
  };
}
