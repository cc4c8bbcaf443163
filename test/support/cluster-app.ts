/**
 * An application that does what a value tells it to, well or badly: `node cluster-app.js`. Every other value is
 * appended to a list, and answered with its place in it: `3:value` is the third that was executed.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { readAppAddress } from '../../clients/typescript/app.js';

/** How often one that waits for a file looks for it. */
const LOOK_MS = 10;

interface Value {
  readonly entry: number;
  readonly noset: boolean;
  readonly value: string;
}

const { host, port } = readAppAddress(process.argv.slice(2), process.env);
const socket = connect({ host, port, noDelay: true });
socket.on('error', () => undefined);
socket.on('close', () => process.exit(0));

let appended = 0;
let rest = '';
const queue: Value[] = [];
let busy = false;
/** An answer that waits to be overtaken by the next one. */
let held: { entry: number; value: string } | undefined;

function say(message: object): void {
  socket.write(`${JSON.stringify(message)}\n`);
}

function answer(entry: number, value: string): void {
  say({ type: 14, request: {}, entry, value });
}

/** Creates a file the first time; returns whether it was there. */
function seenBefore(file: string): boolean {
  if (existsSync(file)) return true;
  writeFileSync(file, '');
  return false;
}

function appears(file: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (existsSync(file)) resolve();
      else setTimeout(look, LOOK_MS);
    };
    look();
  });
}

async function execute({ entry, value }: Value): Promise<string> {
  const [what = '', first = '', second = ''] = value.split(' ');
  switch (what) {
    case 'exit': // exit CODE FILE: once, as the file tells
      if (!seenBefore(second)) process.exit(Number(first));
      return 'survived';
    case 'die': // die FILE: at every life until the file is there
      if (!existsSync(first)) process.kill(process.pid, 'SIGKILL');
      return 'survived';
    case 'wait': // wait FILE: hangs until the file is there
      await appears(first);
      return `waited, ${appended} before`;
    case 'garbage':
      socket.write('{{{ this is no message\n[1,2\n{"type":"7"}\n{"type":7,"request":{"no":1,"value":"x"}}\n');
      return 'after garbage';
    case 'twice':
      answer(entry, 'first');
      return 'second';
    case 'stranger': // answers what it was never sent
      answer(entry + 1_000_000, 'never sent');
      return 'its own';
    case 'large':
      return 'x'.repeat(Number(first));
    default:
      appended++;
      process.stdout.write(`${value}\n`);
      return `${appended}:${value}`;
  }
}

async function work(): Promise<void> {
  if (busy) return;
  busy = true;
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const result = await execute(next);
    if (next.noset) continue;
    if (next.value === 'late') {
      held = { entry: next.entry, value: result };
      continue;
    }
    answer(next.entry, result);
    if (held !== undefined) answer(held.entry, held.value);
    held = undefined;
  }
  busy = false;
}

socket.setEncoding('utf8').on('data', (chunk: unknown) => {
  const lines = (rest + String(chunk)).split('\n');
  rest = lines.pop() ?? '';
  for (const line of lines) {
    const message = JSON.parse(line) as {
      type?: number;
      entry?: number;
      value?: string;
      request?: { noset?: boolean };
    };
    if (message.type !== 12) continue;
    queue.push({
      entry: message.entry ?? 0,
      value: message.value ?? '',
      noset: message.request?.noset === true,
    });
  }
  void work();
});
say({ type: 11 });
say({ type: 13 });
