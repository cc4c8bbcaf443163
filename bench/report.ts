import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface Table {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Plot {
  /** File name without its folder. */
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

/** What one measurement has to say. */
export interface Section {
  readonly title: string;
  /** Paragraphs: what was measured and how. */
  readonly text: readonly string[];
  readonly tables: readonly Table[];
  readonly plots: readonly Plot[];
}

export function tableText({ headings, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`;
  return [line(headings), line(headings.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join(
    '\n',
  );
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

export function sectionText({ title, text, tables, plots }: Section): string {
  const images = plots.map((plot) => `![${plot.title}](${plot.file})`);
  return [`## ${title}`, ...text, ...tables.map(tableText), ...images].join('\n\n');
}

/** Writes results.md and the plots into a folder; returns the path of results.md. */
export async function writeReport(
  folder: string,
  head: string,
  sections: readonly Section[],
): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const { file, svg } of sections.flatMap(({ plots }) => plots))
    await writeFile(join(folder, file), svg);
  const path = join(folder, 'results.md');
  await writeFile(path, `${[head, ...sections.map(sectionText)].join('\n\n')}\n`);
  return path;
}
