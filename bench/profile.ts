import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { PROJECT } from './paths.js';
import type { Section, Table } from './report.js';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** The part of a .cpuprofile that matters here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[];
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
    tables.push(hottest(name, profile), byFile(profile));
  }
  return {
    title: 'Profiles',
    text: [
      'For each process the functions in which it spent its time, without what they call, and then the files of src for ' +
        'which it was spent: what the system and libraries do counts for the file that has called them. Shares of the ' +
        'time that the process was at work. The files can be opened in the developer tools of a browser.',
    ],
    tables,
    plots: [],
  };
}

/** Time by the innermost function of ours on the stack. */
function byFile({ nodes, samples, timeDeltas }: CpuProfile): Table {
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const fileOf = (id: number): string => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const file = /\/dist\/src\/(.*)\.js$/.exec(frames.get(at)?.url ?? '')?.[1];
      if (file !== undefined) return `src/${file}.ts`;
    }
    const name = frames.get(id)?.functionName ?? '';
    return name.startsWith('(') ? name : 'nobody of ours: start-up, event loop, streams';
  };
  const files = new Map(nodes.map(({ id }) => [id, fileOf(id)]));
  return sharesTable('by file', (id) => files.get(id) ?? '?', samples, timeDeltas);
}

function hottest(name: string, { nodes, samples, timeDeltas }: CpuProfile): Table {
  const frames = new Map(nodes.map((node) => [node.id, frameName(node.callFrame)]));
  return sharesTable(name, (id) => frames.get(id) ?? '?', samples, timeDeltas);
}

/** Shares of the busy time, the largest first. */
function sharesTable(
  name: string,
  keyOf: (id: number) => string,
  samples: readonly number[],
  timeDeltas: readonly number[],
): Table {
  const spent_us = new Map<string, number>();
  samples.forEach((id, i) => {
    const key = keyOf(id);
    spent_us.set(key, (spent_us.get(key) ?? 0) + (timeDeltas[i] ?? 0));
  });
  spent_us.delete(IDLE);
  const busy_us = [...spent_us.values()].reduce((sum, us) => sum + us, 0);
  const rows = [...spent_us]
    .sort(([, a], [, b]) => b - a)
    .slice(0, HOTTEST)
    .map(([key, us]) => [key, `${((100 * us) / busy_us).toFixed(1)} %`, (us / US_PER_MS).toFixed(0)]);
  return { headings: [`${name}: ${(busy_us / US_PER_MS).toFixed(0)} ms at work`, 'share', 'ms'], rows };
}

function frameName({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName;
  if (url === '') return name;
  const path = url.startsWith('file://') ? relative(PROJECT, decodeURIComponent(new URL(url).pathname)) : url;
  return `${name} ${path}:${lineNumber + 1}`;
}
