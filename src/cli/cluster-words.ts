import { formatAddress } from '../index.js';
import type { NodeEnd } from './cluster-node.js';
import type { NodePlan } from './cluster-layout.js';
import { commandLine, ownCommand } from './shell.js';

/** What `paxosd cluster` says to the person in front of it. */

/** The command that starts a node by hand, as it can be pasted. */
export function startByHand(args: readonly string[]): string {
  return commandLine([...ownCommand(), 'start', ...args]);
}

export function describeEnd({ code, signal, error, had_started }: NodeEnd): string {
  if (error !== undefined) return `could not be run: ${error.message}`;
  if (signal !== null) return `was killed by ${signal}`;
  if (code === 0) return 'has stopped';
  return `${had_started ? 'has failed' : 'could not start'} (exit code ${String(code)}); why stands above`;
}

export function nodeLine(plan: NodePlan, pid: number | undefined): string {
  return (
    `node ${formatAddress(plan.address)}  pid ${pid ?? '-'}  ` +
    `status http://${formatAddress(plan.http)}/status  data ${plan.directory}`
  );
}

export function leaderLine(address: string, pid: number | undefined): string {
  return `${address} leads${pid === undefined ? '' : ` (pid ${pid})`}.`;
}

/** Whether an application's command is one of our key-value applications, which `kvclient` can talk to. */
function isKeyValue(app: string | undefined): boolean {
  return app !== undefined && /(^|[/\s])kvapp(\.\w+)?(\s|$)/.test(app);
}

/** What a newcomer can type next, with this cluster's own numbers. */
export function whatNext(
  plans: readonly NodePlan[],
  leader: { address: string; pid: number | undefined },
  app?: string,
): string[] {
  const ports = plans.map(({ address }) => address.port);
  const http_ports = plans.map(({ http }) => http.port);
  const lines = ['Type in another terminal:', ...requestLines(ports, leader.address, app)];
  lines.push(`  ${commandLine([...ownCommand(), 'status', ...http_ports])}`);
  if (leader.pid !== undefined && plans.length > 2) {
    lines.push(
      `  kill -9 ${leader.pid}    # the leader: another node takes over, and how to start it again is said here`,
    );
  }
  return [...lines, 'Ctrl-C ends all nodes.'];
}

function requestLines(ports: readonly string[], leader: string, app: string | undefined): string[] {
  const [host = '', port = ''] = leader.split(':');
  if (!isKeyValue(app)) {
    const messages = String.raw`{"type":11}\n{"type":7,"request":{"no":1,"value":"hello"}}\n`;
    return [`  printf '${messages}' | nc ${host} ${port}`];
  }
  const kvclient = ownCommand()[0] === 'paxosd' ? 'kvclient' : 'npx kvclient';
  return [
    `  ${kvclient} ${ports[0] ?? ''} put greeting hello world`,
    `  ${kvclient} ${ports.at(-1) ?? ''} get greeting`,
  ];
}
