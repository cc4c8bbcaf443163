import { Option, type Command } from 'commander';
import type { AgentOptions, ListenerLimits } from '../index.js';
import { wholeNumber } from './values.js';

/** The flags that `start` and `cluster` share, as commander gives them. */
export interface NodeFlags {
  readonly app?: string;
  readonly heartbeatMs?: number;
  readonly leaderTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
  readonly allowRemoteDone?: true;
  readonly maxConnections?: number;
  readonly idleMs?: number;
  readonly maxLineBytes?: number;
  readonly maxBufferedBytes?: number;
  readonly segmentBytes?: number;
}

/** A day; the platform's timers end at 24 of them. */
const MAX_TIME_MS = 24 * 3600 * 1000;

/** More descriptors than any system gives to one process. */
const MAX_CONNECTIONS = 1_000_000;

/** Below this the shortest messages don't fit; above a gigabyte the number is a mistake in the unit. */
const MIN_BYTES = 1024;
const MAX_BYTES = 2 ** 30;

interface NumberFlag {
  readonly flags: string;
  readonly help: string;
  readonly min: number;
  readonly max: number;
}

const NUMBER_FLAGS: readonly NumberFlag[] = [
  {
    flags: '--heartbeat-ms <ms>',
    help: 'how often a leader shows that it lives (default: 200)',
    min: 1,
    max: MAX_TIME_MS,
  },
  {
    flags: '--leader-timeout-ms <ms>',
    help: 'how long a leader may be silent before another is elected (default: 400)',
    min: 1,
    max: MAX_TIME_MS,
  },
  {
    flags: '--request-timeout-ms <ms>',
    help: 'after how long a client is told that its request may or may not happen (default: 5000)',
    min: 1,
    max: MAX_TIME_MS,
  },
  {
    flags: '--max-connections <n>',
    help: 'clients and applications connected at a time, places for peers included (default: 2048)',
    min: 1,
    max: MAX_CONNECTIONS,
  },
  {
    flags: '--idle-ms <ms>',
    help: 'after how long without anything outstanding a connection is closed (default: 300000)',
    min: 1,
    max: MAX_TIME_MS,
  },
  {
    flags: '--max-line-bytes <n>',
    help: 'longest message of a client (default: 262144)',
    min: MIN_BYTES,
    max: MAX_BYTES,
  },
  {
    flags: '--max-buffered-bytes <n>',
    help: 'output that may wait for one slow reader before it is cut off (default: 16777216)',
    min: MIN_BYTES,
    max: MAX_BYTES,
  },
  {
    flags: '--segment-bytes <n>',
    help: 'size of new journal files (default: 16777216)',
    min: MIN_BYTES,
    max: MAX_BYTES,
  },
];

/** Declares the shared flags; their values are checked here, and their sense together where the agent is made. */
export function addNodeFlags(command: Command): Command {
  command.option(
    '--app <command>',
    'the application, run on the leader: a command as a shell splits it, such as kvapp, ./kvapp or "python3 kvapp.py"; ' +
      'without it, the first ClientApp connection is the application',
  );
  for (const { flags, help, min, max } of NUMBER_FLAGS) {
    command.addOption(new Option(flags, help).argParser(wholeNumber(min, max)));
  }
  return command.option(
    '--allow-remote-done',
    'stop on a Done message from other machines too, not only from this one',
  );
}

/** The shared flags as the library wants them. */
export function agentOptionsFrom(flags: NodeFlags): Omit<AgentOptions, 'data_dir'> {
  const limits: Partial<ListenerLimits> = {
    ...(flags.maxConnections !== undefined && { max_connections: flags.maxConnections }),
    ...(flags.idleMs !== undefined && { idle_ms: flags.idleMs }),
    ...(flags.maxLineBytes !== undefined && { max_line_bytes: flags.maxLineBytes }),
    ...(flags.maxBufferedBytes !== undefined && { max_buffered_bytes: flags.maxBufferedBytes }),
  };
  return {
    limits,
    ...(flags.app !== undefined && { app: flags.app }),
    ...(flags.heartbeatMs !== undefined && { heartbeat_ms: flags.heartbeatMs }),
    ...(flags.leaderTimeoutMs !== undefined && { leader_timeout_ms: flags.leaderTimeoutMs }),
    ...(flags.requestTimeoutMs !== undefined && { request_timeout_ms: flags.requestTimeoutMs }),
    ...(flags.allowRemoteDone !== undefined && { allow_remote_done: flags.allowRemoteDone }),
    ...(flags.segmentBytes !== undefined && { segment_bytes: flags.segmentBytes }),
  };
}

/** The shared flags as they would be typed: only those that were given. */
export function nodeArguments(flags: NodeFlags): string[] {
  const numbers = new Map(Object.entries(flags));
  return [
    ...(flags.app === undefined ? [] : ['--app', flags.app]),
    ...NUMBER_FLAGS.flatMap((flag) => {
      const option = new Option(flag.flags);
      const value: unknown = numbers.get(option.attributeName());
      return typeof value === 'number' ? [option.long ?? '', String(value)] : [];
    }),
    ...(flags.allowRemoteDone === undefined ? [] : ['--allow-remote-done']),
  ];
}
