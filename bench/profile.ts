import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { PROJECT } from './paths.js';
import type { Section, Table } from './report.js';

/** The part of a .cpuprofile that matters here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const HOTTEST = 30;
const US_PER_MS = 1000;

/** Nodes wait a lot; that isn't work. */
const IDLE = '(idle)';

/** Where the processes that left profiles in a folder have spent their time: theirs is the function's own, without what it calls. */
export async function profileSection(folder: string): Promise<Section> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile')).sort();
  const tables: Table[] = [];
  for (const name of names) {
    const profile = JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile;
    tables.push(hottest(name, profile));
  }
  return {
    title: 'Profiles',
    text: [
      'The functions in which a process spent its time, without what they call; shares of the time that it was at work. ' +
        'The files can be opened in the developer tools of a browser.',
    ],
    tables,
    plots: [],
  };
}

function hottest(name: string, { nodes, samples, timeDeltas }: CpuProfile): Table {
  const frames = new Map(nodes.map((node) => [node.id, frameName(node.callFrame)]));
  const spent_us = new Map<string, number>();
  samples.forEach((id, i) => {
    const frame = frames.get(id) ?? '?';
    spent_us.set(frame, (spent_us.get(frame) ?? 0) + (timeDeltas[i] ?? 0));
  });
  spent_us.delete(IDLE);
  const busy_us = [...spent_us.values()].reduce((sum, us) => sum + us, 0);
  const rows = [...spent_us]
    .sort(([, a], [, b]) => b - a)
    .slice(0, HOTTEST)
    .map(([frame, us]) => [frame, `${((100 * us) / busy_us).toFixed(1)} %`, (us / US_PER_MS).toFixed(0)]);
  return { headings: [`${name}: ${(busy_us / US_PER_MS).toFixed(0)} ms at work`, 'share', 'ms'], rows };
}

function frameName({
  functionName,
  url,
  lineNumber,
}: {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const path = url.startsWith('file://') ? relative(PROJECT, decodeURIComponent(new URL(url).pathname)) : url;
  return `${name} ${path}:${lineNumber + 1}`;
}
