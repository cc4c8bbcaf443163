/**
 * A cap on nesting, checked before anything parses the text: no message needs more than three levels, and whatever
 * walks a parsed value later, ours or a library's, may do so recursively (spec.md, "Limits").
 */

/** Deepest nesting of objects and arrays in a message. Ten times what the protocol uses, for extensions to come. */
export const MAX_NESTING = 32;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether objects and arrays in `text` open more than MAX_NESTING deep. Brackets in strings don't count. */
export function nestsTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE: {
        i = closingQuote(text, i);
        if (i < 0) return false; // an open string is not JSON; the parser says so
        break;
      }
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > MAX_NESTING) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
    }
  }
  return false;
}

/** Where the string that opens at `opening` closes, or −1. Hops from quote to quote, as values can be long. */
function closingQuote(text: string, opening: number): number {
  let closing = text.indexOf('"', opening + 1);
  while (closing >= 0 && isEscaped(text, closing)) closing = text.indexOf('"', closing + 1);
  return closing;
}

/** Whether an odd number of backslashes stands before `at`. The quote that opens the string ends the count. */
function isEscaped(text: string, at: number): boolean {
  let start = at;
  while (text.charCodeAt(start - 1) === BACKSLASH) start--;
  return (at - start) % 2 === 1;
}
