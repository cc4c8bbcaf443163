import type { AgentStatus, AppSummary, PeerStatus } from '../index.js';
import { printable } from '../net/logging.js';

const NODE_HEADINGS = [
  'NODE',
  'ROLE',
  'LEADER',
  'READY',
  'ROUND',
  'ACCEPTED',
  'CHOSEN',
  'BEHIND',
  'APPLIED',
  'JOURNAL',
  'APP',
  'PID',
];
const PEER_HEADINGS = ['NODE', 'HEARD PEER', 'WHEN', 'LAST MESSAGE'];

/** Tables for people: a line per node, and a line for each peer of each. */
export function statusText(nodes: readonly AgentStatus[]): string {
  const peers = nodes.flatMap((node) => node.peers.map((peer) => peerRow(node, peer)));
  const chosen = Math.max(
    ...nodes.map(({ entries }) => Math.max(entries.chosen, entries.known_chosen_elsewhere)),
  );
  const tables = [table([NODE_HEADINGS, ...nodes.map((node) => nodeRow(node, chosen))])];
  if (peers.length > 0) tables.push(table([PEER_HEADINGS, ...peers]));
  return tables.join('\n');
}

/** `chosen`: how many entries anyone knows chosen, as far as these nodes have heard. */
function nodeRow(node: AgentStatus, chosen: number): string[] {
  const { entries, journal } = node;
  return [
    node.address,
    node.role,
    node.leader ?? '-',
    node.ready ? 'yes' : 'no',
    node.promised_round < 0 ? '-' : String(node.promised_round),
    String(entries.accepted),
    String(entries.chosen),
    String(chosen - entries.chosen),
    entries.applied === null ? '-' : String(entries.applied),
    `${size(journal.bytes)} in ${journal.segments}, ${journal.begun} begun`,
    appText(node.app),
    String(node.pid),
  ];
}

function peerRow(node: AgentStatus, peer: PeerStatus): string[] {
  const heard = peer.last_heard_ms_ago;
  return [node.address, peer.address, heard === null ? 'never' : `${heard} ms ago`, peer.last_message ?? '-'];
}

function appText(app: AppSummary): string {
  const parts: string[] = [app.state];
  if ('pid' in app && app.pid !== undefined) parts.push(`pid ${app.pid}`);
  if ('restarts' in app && app.restarts > 0) parts.push(`restarted ${app.restarts} times`);
  if ('failing_entry' in app && app.failing_entry !== null) parts.push(`dies at entry ${app.failing_entry}`);
  if ('hanging_entry' in app && app.hanging_entry !== null) parts.push(`hangs at entry ${app.hanging_entry}`);
  return parts.join(', ');
}

const KIB = 1024;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= KIB && unit < UNITS.length - 1) {
    value /= KIB;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${UNITS[unit] ?? ''}`;
}

/** Columns as wide as their widest cell. Cells come from elsewhere and are made printable. */
function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}
