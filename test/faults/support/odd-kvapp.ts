/**
 * The key-value application, odd in how it answers: twice, for what it was never sent, with another request's number,
 * before its turn, and with garbage in between. What it answers in time, and in its turn, is right. `node odd-kvapp.js
 * SEED LIVES WELL`: all draws come from the seed and the number of lives so far, which the file LIVES holds; as soon as
 * the file WELL is there it answers as it should.
 */
import { appendFileSync, existsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { KvStore, readAppAddress } from '../../../clients/typescript/index.js';
import { SeededRandom } from '../../support/random.js';

/** How many of the answers are odd, and how many are overtaken by the next one, if it is there. */
const ODD_SHARE = 0.3;
const OVERTAKEN_SHARE = 0.2;

/** What was never put: whoever is told it was told a forged answer. */
const FORGED = JSON.stringify({ ok: true, value: 'forged' });

const GARBAGE = [
  '{{{\n',
  '[1,2]\n',
  'null\n',
  '{"type":"7"}\n',
  '{"type":7,"request":{"no":1,"value":"x"}}\n',
];

interface Sent {
  readonly type?: number;
  readonly entry?: number;
  readonly value?: string;
  readonly request?: { readonly id?: number; readonly no?: number; readonly noset?: boolean };
}

const [seed = '0', lives = '', well = ''] = process.argv.slice(2);
appendFileSync(lives, '.');
const random = new SeededRandom(Number(seed) + statSync(lives).size);
const { host, port } = readAppAddress(process.argv.slice(2), process.env);
const socket = connect({ host, port, noDelay: true });
socket.on('error', () => undefined);
socket.on('close', () => process.exit(0));
const store = new KvStore();
let rest = '';

function say(message: object): void {
  socket.write(`${JSON.stringify(message)}\n`);
}

/** Answers; if it may be odd, in another order, and with something odd before or behind what is right. */
function answer(due: { sent: Sent; value: string }[]): void {
  const mayBeOdd = !existsSync(well);
  // Only what has come together can change places: nothing may wait for what may never come.
  for (let i = 1; mayBeOdd && i < due.length; i++) {
    if (random.chance(OVERTAKEN_SHARE)) due.splice(i - 1, 2, due[i]!, due[i - 1]!);
  }
  for (const { sent, value } of due) {
    const { entry = 0, request = {} } = sent;
    const right = { type: 14, request: { id: request.id, no: request.no }, entry, value };
    const odd = mayBeOdd && random.chance(ODD_SHARE) ? random.below(4) : undefined;
    if (odd === 0) say({ ...right, request: { id: request.id, no: (request.no ?? 0) + 1 }, value: FORGED });
    if (odd === 1) say({ ...right, request: {}, entry: entry + 1_000_000, value: FORGED });
    if (odd === 2) socket.write(random.pick(GARBAGE));
    say(right);
    if (odd === 3) say({ ...right, value: FORGED });
  }
}

socket.setEncoding('utf8').on('data', (chunk: unknown) => {
  const lines = (rest + String(chunk)).split('\n');
  rest = lines.pop() ?? '';
  const due = lines
    .map((line) => JSON.parse(line) as Sent)
    .filter(({ type }) => type === 12)
    .map((sent) => ({ sent, value: store.apply(sent.value ?? '') }))
    .filter(({ sent }) => sent.request?.noset !== true);
  answer(due);
});
say({ type: 11 });
say({ type: 13 });
