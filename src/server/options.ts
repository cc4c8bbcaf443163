import { isIPv4 } from 'node:net';
import type { Address } from '../core/address.js';
import { compareAddresses, formatAddress, sameAddress } from '../core/address.js';
import { MAX_AGENTS } from '../core/limits.js';
import { DEFAULT_TIMES } from '../core/state.js';
import { DEFAULT_LISTENER_LIMITS, type ListenerLimits } from '../net/client-listener.js';
import type { Log } from '../net/logging.js';

/** How an agent is to run. Only `data_dir` is needed: the rest of its identity lies there. Times in milliseconds. */
export interface AgentOptions {
  /** A directory that `initialise` has made, or `paxosd init`. */
  readonly data_dir: string;
  /** The application's command, split as a shell would; none: the first ClientApp connection is the application. */
  readonly app?: string;
  /** Where `/healthz`, `/readyz` and `/status` are served; nowhere if absent. */
  readonly http?: Address;
  readonly heartbeat_ms?: number;
  readonly leader_timeout_ms?: number;
  readonly request_timeout_ms?: number;
  /** Whether Done is obeyed from elsewhere than the loopback. */
  readonly allow_remote_done?: boolean;
  readonly limits?: Partial<ListenerLimits>;
  /** Size of new journal segments, in bytes. */
  readonly segment_bytes?: number;
  /** Where the agent's log lines go; nowhere if absent. */
  readonly log?: Log;
  /** Whether lines of level `debug` are wanted: following every entry costs. */
  readonly log_debug?: boolean;
  /** How far recovery is, in bytes. */
  readonly onRecovery?: (done: number, total: number) => void;
}

/** An option that can't be used; the message says which, why, and what would do. */
export class OptionError extends Error {
  override readonly name = 'OptionError';
}

/** Reads `HOST:PORT`; HOST is a dotted IPv4 address. Throws an OptionError that names `what`. */
export function parseAddress(text: string, what: string): Address {
  const [address = '', port = '', ...rest] = text.trim().split(':');
  const isPort = /^[1-9][0-9]{0,4}$/.test(port) && Number(port) <= 65_535;
  if (rest.length > 0 || !isIPv4(address) || !isPort) {
    const hint = address === 'localhost' ? ' (write 127.0.0.1 for localhost)' : '';
    throw new OptionError(
      `${what}: "${text}" is not HOST:PORT with a dotted IPv4 address and a port from 1 to 65535, ` +
        `such as 127.0.0.1:7001${hint}`,
    );
  }
  return { address, port };
}

/** All members of a cluster, sorted: the node itself and its peers. Throws an OptionError. */
export function membersFrom(self: Address, peers: readonly Address[]): Address[] {
  if (peers.some((peer) => sameAddress(peer, self))) {
    throw new OptionError(`--peers: ${formatAddress(self)} is this node itself; name the others only`);
  }
  const twice = peers.find((peer, i) => peers.slice(i + 1).some((other) => sameAddress(peer, other)));
  if (twice !== undefined) throw new OptionError(`--peers: ${formatAddress(twice)} stands there twice`);
  if (peers.length + 1 > MAX_AGENTS) {
    throw new OptionError(`--peers: a cluster has at most ${MAX_AGENTS} members, not ${peers.length + 1}`);
  }
  return [self, ...peers].sort(compareAddresses);
}

export interface Times {
  readonly heartbeat_ms: number;
  readonly leader_timeout_ms: number;
  readonly request_timeout_ms: number;
}

/** The timers asked for, or the base text's. Throws an OptionError if a leader would time out between its beats. */
export function timesFrom(options: AgentOptions): Times {
  const heartbeat_ms = options.heartbeat_ms ?? DEFAULT_TIMES.heartbeat_ms;
  const leader_timeout_ms = options.leader_timeout_ms ?? DEFAULT_TIMES.leader_timeout_ms;
  const request_timeout_ms = options.request_timeout_ms ?? DEFAULT_TIMES.request_timeout_ms;
  for (const [name, ms] of Object.entries({ heartbeat_ms, leader_timeout_ms, request_timeout_ms })) {
    const flag = `--${name.replaceAll('_', '-')}`;
    if (!Number.isSafeInteger(ms) || ms < 1 || ms > MAX_TIME_MS) {
      throw new OptionError(`${flag}: ${ms} is not a whole number of milliseconds from 1 to ${MAX_TIME_MS}`);
    }
  }
  if (leader_timeout_ms <= heartbeat_ms) {
    throw new OptionError(
      `--leader-timeout-ms: ${leader_timeout_ms} must be more than --heartbeat-ms (${heartbeat_ms}), best twice as much, ` +
        'or every leader is given up between two heartbeats',
    );
  }
  return { heartbeat_ms, leader_timeout_ms, request_timeout_ms };
}

/** A day: anything longer is a mistake in the unit, and the platform's timers end at 24 of them. */
const MAX_TIME_MS = 24 * 3600 * 1000;

/** Whether whoever says Done is obeyed: from this machine always, from elsewhere if that is allowed. */
export function obeysDone(
  from: { readonly loopback: boolean },
  options: Pick<AgentOptions, 'allow_remote_done'>,
): boolean {
  return from.loopback || options.allow_remote_done === true;
}

/** Descriptors kept for all but clients: journal, sockets, application, connections that are being turned away. */
const RESERVED_DESCRIPTORS = 256;

/** What the system lets this process have open at a time; Node has raised it as far as it may. */
function descriptorLimit(): number {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
  const limit = Number(report.userLimits?.open_files?.soft);
  return Number.isFinite(limit) ? limit : Infinity;
}

/** The listener's limits, with no more connections than there are descriptors for: without one, no file opens either. */
export function listenerLimits(options: AgentOptions, descriptors = descriptorLimit()): ListenerLimits {
  const limits = { ...DEFAULT_LISTENER_LIMITS, ...options.limits };
  const room = Math.max(1, descriptors - RESERVED_DESCRIPTORS);
  return { ...limits, max_connections: Math.min(limits.max_connections, room) };
}
