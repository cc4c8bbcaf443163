import type { AgentState } from '../../core/state.js';
import { cloneAgent } from './clone.js';
import type { Explorer } from './explorer.js';
import { FairRun } from './fair-run.js';
import type { Protocol } from './protocol.js';

export interface LivenessResult {
  /** Different clusters from which a fair run was tried; messages on their way are lost, so they don't tell apart. */
  readonly tried: number;
  /** Of how many there are. */
  readonly distinct: number;
  readonly longest_ms: number;
  readonly seconds: number;
  /** Indices of states from which no leader came, or nothing was chosen. */
  readonly stuck: readonly number[];
}

/** Stuck states to collect before it is clear that something is wrong. */
const MAX_STUCK = 100;

/**
 * Tries a fair run from the states of an exploration: from all different ones, or from `sample` of them, evenly spread
 * over the order of their discovery.
 */
export function checkLiveness(
  explorer: Explorer,
  protocol: Protocol,
  { sample = Infinity, max_seconds = Infinity }: { sample?: number; max_seconds?: number } = {},
): LivenessResult {
  const began_ms = performance.now();
  const seconds = (): number => (performance.now() - began_ms) / 1000;
  const distinct = distinctStates(explorer);
  const every = Math.max(1, distinct.length / sample);
  const stuck: number[] = [];
  let tried = 0;
  let longest_ms = 0;
  for (let at = 0; at < distinct.length && stuck.length < MAX_STUCK; at += every) {
    if (seconds() > max_seconds) break;
    const index = distinct[Math.floor(at)] as number;
    tried++;
    const took_ms = new FairRun(clusterAt(explorer, index, protocol), protocol).run();
    if (took_ms === undefined) stuck.push(index);
    else longest_ms = Math.max(longest_ms, took_ms);
  }
  return { tried, distinct: distinct.length, longest_ms, seconds: seconds(), stuck };
}

/** The first state of each that differ in more than the messages on their way. */
function distinctStates(explorer: Explorer): number[] {
  const seen = new Set<string>();
  const first: number[] = [];
  for (let index = 0; index < explorer.states.size; index++) {
    const key = explorer.coresOf(index).join();
    if (seen.has(key)) continue;
    seen.add(key);
    first.push(index);
  }
  return first;
}

/** A state's agents, ready to go on: those that are doomed have crashed and come back. */
export function clusterAt(explorer: Explorer, index: number, protocol: Protocol): AgentState[] {
  return explorer.coresOf(index).map((id) => {
    const { live, disk, doomed } = explorer.cores.get(id);
    if (!doomed || disk === undefined) return cloneAgent(live);
    const back = cloneAgent(disk);
    protocol.step(back, { type: 'start' });
    return back;
  });
}
