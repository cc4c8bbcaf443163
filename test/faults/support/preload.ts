/**
 * What happens to a node from inside, as its environment says. Loaded before the program, which knows nothing of it:
 *
 * - `FAULT_THROW=PLACE:N` with `FAULT_ONCE=FILE`: the N-th passage of a place throws, in this life only: the file tells
 *   later ones. Places: `datagram` before a received one is handled, `send` while datagrams are being sent, `answer`
 *   while a client is being answered, `timer` instead of what is due.
 * - `FAULT_CLOCK=MS`: the wall clock jumps by so much, back and forth, as long as the process lives.
 * - `FAULT_MUTANTS=NAME,…`: these deliberate mistakes are made (`src/core/mutants.ts`).
 * - `FAULT_STALL=MS`: at each SIGUSR2 the event loop stands still for so long.
 */
import { Socket as UdpSocket } from 'node:dgram';
import { existsSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { mutants, type Mutant } from '../../../src/core/mutants.js';

/** Applications inherit the environment; they are not meant. */
const isNode = process.argv[1]?.endsWith('paxosd.js') === true;

type Place = 'datagram' | 'send' | 'answer' | 'timer';

function throwAt(place: Place, passage: number, once: string): void {
  let passages = 0;
  const pass = (): void => {
    if (++passages !== passage || existsSync(once)) return;
    writeFileSync(once, '');
    throw new Error(`thrown on purpose at ${place} ${passage}`);
  };
  if (place === 'timer') {
    const set = globalThis.setTimeout;
    const patched = (callback: () => void, ms?: number): NodeJS.Timeout =>
      set(() => {
        pass();
        callback();
      }, ms);
    globalThis.setTimeout = Object.assign(patched, set);
    return;
  }
  const [owner, name] = {
    datagram: [UdpSocket.prototype, 'emit'] as const,
    send: [UdpSocket.prototype, 'send'] as const,
    answer: [Socket.prototype, 'write'] as const,
  }[place];
  const methods = owner as unknown as Record<string, (...words: unknown[]) => unknown>;
  const original = methods[name];
  methods[name] = function (this: unknown, ...words: unknown[]): unknown {
    if (place !== 'datagram' || words[0] === 'message') pass();
    return original?.apply(this, words);
  };
}

/** How long the clock stays where it is. */
const JUMP_EVERY_MS = 150;

function jump(by_ms: number): void {
  const RealDate = Date;
  let shift_ms = by_ms;
  setInterval(() => (shift_ms = -shift_ms), JUMP_EVERY_MS).unref();
  const now = (): number => RealDate.now() + shift_ms;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, words) => Reflect.construct(target, words.length === 0 ? [now()] : words) as object,
    apply: () => new RealDate(now()).toString(),
    get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
  });
}

function stall(for_ms: number): void {
  process.on('SIGUSR2', () => {
    const end_ms = performance.now() + for_ms;
    while (performance.now() < end_ms);
  });
}

if (isNode) {
  const { FAULT_THROW, FAULT_ONCE, FAULT_CLOCK, FAULT_STALL, FAULT_MUTANTS } = process.env;
  for (const name of FAULT_MUTANTS?.split(',') ?? []) mutants[name as Mutant] = true;
  const [place, passage] = FAULT_THROW?.split(':') ?? [];
  if (place !== undefined && FAULT_ONCE !== undefined) throwAt(place as Place, Number(passage), FAULT_ONCE);
  if (FAULT_CLOCK !== undefined) jump(Number(FAULT_CLOCK));
  if (FAULT_STALL !== undefined) stall(Number(FAULT_STALL));
}
