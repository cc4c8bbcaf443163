import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The parts of a Markdown text that the tests of the documents look at. */

const OUTSIDE = new Set(['node_modules', 'dist', 'data', '.git']);

/** Every Markdown file of the project, by its path from the top. */
export function markdownFiles(folder = '.'): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return OUTSIDE.has(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

export function readText(path: string): string {
  return readFileSync(path, 'utf8');
}

const FENCE = /^ *```(\w*)\n(.*?)^ *```$/gms;

/** The code blocks of a language. */
export function codeBlocks(text: string, language: string): string[] {
  return [...text.matchAll(FENCE)].filter((match) => match[1] === language).map((match) => match[2] ?? '');
}

export function withoutCodeBlocks(text: string): string {
  return text.replaceAll(FENCE, '');
}

/** What links point to, images included. */
export function linkTargets(text: string): string[] {
  return [...withoutCodeBlocks(text).matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1] ?? '');
}

/** The anchors of a text's headings, as they are made by the usual hosts of Markdown. */
export function anchors(text: string): Set<string> {
  const titles = [...withoutCodeBlocks(text).matchAll(/^#+ +(.+?) *$/gm)].map((match) => match[1] ?? '');
  const anchor = (title: string): string =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\- _]/gu, '')
      .replaceAll(' ', '-');
  return new Set(titles.map(anchor));
}

/** The text under a heading, up to the next heading of its depth or above. Throws if there is no such heading. */
export function section(text: string, heading: string): string {
  const start = text.split('\n').indexOf(heading);
  if (start < 0) throw new Error(`there is no heading "${heading}"`);
  const lines = text.split('\n').slice(start + 1);
  const depth = /^#+/.exec(heading)?.[0].length ?? 1;
  const end = lines.findIndex((line) => {
    const marks = /^(#+) /.exec(line)?.[1];
    return marks !== undefined && marks.length <= depth;
  });
  return lines.slice(0, end < 0 ? undefined : end).join('\n');
}

/** The rows of all tables in a text, without their headers; cells are trimmed. */
export function tableRows(text: string): string[][] {
  const lines = text.split('\n');
  return lines
    .filter((line, i) => line.startsWith('|') && !isRule(line) && !isRule(lines[i + 1] ?? ''))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function isRule(line: string): boolean {
  return /^\|[\s:|-]+\|$/.test(line);
}

/** What stands between backticks in a cell or a text. */
export function codeSpans(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
}
