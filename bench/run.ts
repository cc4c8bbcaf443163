import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BenchCluster } from './cluster.js';
import type { Context, LongHistory, Measure } from './context.js';
import { EchoProcess } from './echo-process.js';
import { floorOfOneRequest_us, measureFloor, middleFloor, type Floor } from './floor.js';
import { Generator } from './generator.js';
import { machineTable } from './machine.js';
import { catchUp } from './measures/catch-up.js';
import { closedMeasure, shapesOf } from './measures/closed.js';
import { core } from './measures/core.js';
import { failover } from './measures/failover.js';
import { fill, history } from './measures/history.js';
import { half } from './measures/half.js';
import { nodes } from './measures/nodes.js';
import { overload } from './measures/overload.js';
import { restart } from './measures/restart.js';
import { values } from './measures/values.js';
import type { Peer } from './peer/peer.js';
import { startPeer, type PeerName } from './peer/peers.js';
import { profileSection } from './profile.js';
import type { Progress } from './progress.js';
import { tableText, writeReport, type Section } from './report.js';
import type { Scale } from './scale.js';
import { figure } from './stats.js';

const OTHERS: readonly Measure[] = [half, failover, restart, history, catchUp, nodes, values, overload, core];

export interface BenchOptions {
  readonly scale: Scale;
  /** Names of measurements; empty: all. */
  readonly only: readonly string[];
  /** Other systems that the closed loops are put on as well. */
  readonly peers: readonly PeerName[];
  /** Where clusters keep their data while it runs. */
  readonly data_folder: string;
  /** Where results.md and the plots go. */
  readonly out_folder: string;
  /** Whether nodes are run under the profiler. */
  readonly profile: boolean;
  /** What was typed, for the report. */
  readonly command: string;
  readonly startProgress: (steps: number) => Progress;
}

/** A name that `--only` doesn't know. */
export class UnknownMeasure extends Error {
  override readonly name = 'RangeError';
}

export function measureNames(scale: Scale): string[] {
  return [...shapesOf(scale).map(({ name }) => name), ...OTHERS.map(({ name }) => name)];
}

/** Measures, and writes the report; resolves with the path of results.md. */
export async function runBench(options: BenchOptions): Promise<string> {
  const { scale } = options;
  requireKnown(options.only, scale);
  await mkdir(options.data_folder, { recursive: true });
  const folder = await mkdtemp(join(resolve(options.data_folder), 'run-'));
  const removeAtOnce = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', removeAtOnce);
  const unavailable: string[] = [];
  const measures = chosenMeasures(options, async (context) => {
    const peers: Peer[] = [];
    for (const name of options.peers) {
      const peer = await startPeer(name, folder, context);
      if (typeof peer !== 'string') peers.push(peer);
      else {
        unavailable.push(peer);
        progress.say(peer);
      }
    }
    return peers;
  });
  const steps = measures.reduce((sum, measure) => sum + measure.steps(scale), 0);
  const fills = measures.some(needsLongHistory) ? 1 : 0;
  const progress = options.startProgress(steps + fills + scale.rounds);
  const shared = await open(options, folder, progress);
  try {
    const sections: Section[] = [];
    for (const measure of measures) sections.push(await measure.run(shared.context));
    await shared.close();
    if (shared.context.profile_folder !== undefined) {
      sections.push(await profileSection(shared.context.profile_folder));
    }
    const head = headText(options, shared.context.floor, folder, unavailable);
    return await writeReport(options.out_folder, head, sections);
  } finally {
    await shared.close();
    progress.end();
    await rm(folder, { recursive: true, force: true });
    process.off('exit', removeAtOnce);
  }
}

function requireKnown(only: readonly string[], scale: Scale): void {
  const names = measureNames(scale);
  const unknown = only.find((name) => name !== 'closed' && !names.includes(name));
  if (unknown === undefined) return;
  throw new UnknownMeasure(
    `--only: there is no measurement "${unknown}"; there are ${['closed', ...names].join(', ')}`,
  );
}

function chosenMeasures(
  { only, scale, peers }: BenchOptions,
  start: (context: Context) => Promise<readonly Peer[]>,
): Measure[] {
  const wanted = (name: string): boolean => only.length === 0 || only.includes(name);
  const shapes = shapesOf(scale).filter(({ name }) => wanted(name) || wanted('closed'));
  const closed = shapes.length === 0 ? [] : [closedMeasure(shapes, { count: peers.length, start })];
  return [...closed, ...OTHERS.filter(({ name }) => wanted(name))];
}

function needsLongHistory(measure: Measure): boolean {
  return measure === history || measure === restart;
}

interface Shared {
  readonly context: Context;
  /** Ends every process that is shared; may be called twice. */
  close(): Promise<void>;
}

async function open(options: BenchOptions, folder: string, progress: Progress): Promise<Shared> {
  const { scale } = options;
  const step = (text: string): void => progress.step(text);
  const profile_folder = options.profile ? join(options.out_folder, 'profiles') : undefined;
  if (profile_folder !== undefined) {
    await rm(profile_folder, { recursive: true, force: true });
    await mkdir(profile_folder, { recursive: true });
  }
  const echo = await EchoProcess.start();
  const generator = new Generator();
  const freshCluster = (count = 3): Promise<BenchCluster> =>
    BenchCluster.start({ nodes: count, folder, profile_folder });
  let long: Promise<LongHistory> | undefined;
  const close = async (): Promise<void> => {
    await generator.end();
    if (echo.running) await echo.end();
    const made = await long?.catch(() => undefined);
    await made?.cluster.remove();
  };
  const floor = await floorInRounds(folder, echo, scale, step).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const context: Context = {
    scale,
    profile_folder,
    floor,
    echo,
    generator,
    step,
    freshCluster,
    longHistory: () => (long ??= makeLong()),
  };
  const makeLong = async (): Promise<LongHistory> => {
    step(`fills a log with ${figure(scale.long_history)} entries`);
    const cluster = await freshCluster();
    return { cluster, series: await fill(context, cluster, scale.long_history) };
  };
  return { context, close };
}

async function floorInRounds(
  folder: string,
  echo: EchoProcess,
  scale: Scale,
  step: (text: string) => void,
): Promise<Floor> {
  const rounds: Floor[] = [];
  for (let round = 1; round <= scale.rounds; round++) {
    step(`the machine's floor, round ${round}`);
    rounds.push(await measureFloor(folder, echo.ports, scale.floor));
  }
  return middleFloor(rounds);
}

function headText(
  { scale, command }: BenchOptions,
  floor: Floor,
  folder: string,
  unavailable: readonly string[],
): string {
  const rounds = `${scale.rounds} ${scale.rounds === 1 ? 'round' : 'rounds'} of ${scale.measure_ms / 1000} s after ${scale.warm_up_ms / 1000} s of warm-up`;
  const row = (what: string, { p50_us, p99_us }: { p50_us: number; p99_us: number }): string[] => [
    what,
    figure(p50_us),
    figure(p99_us),
  ];
  const table = {
    headings: ['the floor', 'p50 µs', 'p99 µs'],
    rows: [
      row('512 bytes written and fdatasync, into a preallocated file', floor.fdatasync),
      row('UDP round trip between two processes', floor.udp),
      row('TCP round trip between two processes', floor.tcp),
      ['one request: fdatasync + UDP + 2 × TCP', figure(floorOfOneRequest_us(floor)), ''],
    ],
  };
  return [
    '# Results of the bench',
    `Made ${new Date().toISOString().slice(0, 16)}Z by \`${command}\`: ${rounds}. What is measured, and how: docs/performance.md. ` +
      'Only figures of one run can be compared with each other.',
    ...unavailable,
    tableText(machineTable(folder)),
    tableText(table),
    `Sequential write: ${figure(floor.write_bytes_per_s / 1e6)} MB/s.`,
  ].join('\n\n');
}
