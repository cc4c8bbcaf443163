import type { ErrorObject } from './validators.js';

/**
 * Texts for refused input (spec.md, "Errors"): which field, what it must be, what came instead. They go back to the
 * sender and into logs, so nothing of the input is repeated raw: long values are cut, and all but printable ASCII is
 * escaped, lest a value drives the terminal of whoever reads the log.
 */

/** Longest piece of a refused value that is repeated; enough to recognise it by. */
const MAX_QUOTED_LENGTH = 40;

/** Longest explanation of the JSON parser that is repeated. */
const MAX_EXPLANATION_LENGTH = 120;

/** Printable ASCII as it is, everything else as \uXXXX. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A value of the input, short and harmless. */
export function quoteInput(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  if (typeof value !== 'string') return `${value as number | boolean}`;
  if (value.length <= MAX_QUOTED_LENGTH) return printable(JSON.stringify(value));
  const start = JSON.stringify(value.slice(0, MAX_QUOTED_LENGTH)).slice(0, -1);
  return `${printable(start)}…" (${value.length} characters)`;
}

/** Why JSON.parse threw. */
export function explainSyntax(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const rest = text.length > MAX_EXPLANATION_LENGTH ? '…' : '';
  return `not JSON: ${printable(text.slice(0, MAX_EXPLANATION_LENGTH))}${rest}`;
}

interface Constraint {
  readonly type: 'integer' | 'boolean' | 'object' | 'string';
  readonly title?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** What a schema lets through, as it is said in a sentence. */
function describeConstraint({ type, title, minimum, maximum }: Constraint): string {
  switch (type) {
    case 'integer':
      return `an integer from ${minimum ?? 0} to ${maximum ?? Number.MAX_SAFE_INTEGER}`;
    case 'boolean':
      return 'true or false';
    case 'object':
      return 'an object';
    case 'string':
      return title ?? 'a string';
  }
}

/** `/request/no` as people write it: `request.no`. The field names of the protocol need no unescaping. */
function fieldOf(instancePath: string): string {
  return instancePath.slice(1).replaceAll('/', '.');
}

/** The first thing that a validator objects to in a message of the type called `name`. */
export function explainViolation(error: ErrorObject, name: string): string {
  const field = fieldOf(error.instancePath);
  if (error.keyword === 'required') {
    const { missingProperty } = error.params as { missingProperty: string };
    const missing = field === '' ? missingProperty : `${field}.${missingProperty}`;
    return `${missing} is missing: every ${name} carries it`;
  }
  return `${field} must be ${describeConstraint(error.parentSchema as Constraint)}, got ${quoteInput(error.data)}`;
}
