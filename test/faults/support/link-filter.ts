/**
 * What the kernel is told to lose on one link: a classic BPF program for tc, which looks at a frame's addresses and
 * draws a number. It needs neither netem nor any tool but tc.
 */

/** What tc does with a packet: let it pass, or drop it. */
const PASS = 0xffff_ffff;
const DROP = 2;

/** Instructions of classic BPF, as numbers: load from a place in the frame, compare, return. */
const LOAD_HALF = 0x28;
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_NOT_BELOW = 0x35;
const JUMP_IF_ANY_BIT = 0x45;
const RETURN = 0x06;

/** Places in an Ethernet frame that carries IPv4. */
const ETHERTYPE_AT = 12;
const FRAGMENT_AT = 20;
const SOURCE_AT = 26;
const DESTINATION_AT = 30;
const IPV4 = 0x0800;

/** Of the half word there: that more fragments follow, or where this one belongs. Zero in what is whole. */
const IS_FRAGMENT = 0x3fff;

/** "Loading" from here draws 32 random bits. */
const RANDOM_AT = 0xffff_f038;

/** A chance of 1 as the program has it: every number drawn is below. */
const ALWAYS = 2 ** 32;

/** How many packets in one to or from an address are lost. */
export interface Loss {
  readonly address: string;
  /** From 0 to 1. */
  readonly chance: number;
}

type Instruction = readonly [code: number, if_true: number, if_false: number, operand: number];

/**
 * The program, as tc takes it after `bytecode`: packets whose source or destination (as `match` says) is one of the
 * addresses are lost with its chance. Everything else passes, ARP in particular.
 */
export function lossProgram(match: 'source' | 'destination', losses: readonly Loss[]): string {
  const blocks = losses.flatMap(({ address, chance }): Instruction[] => {
    const drop: Instruction[] =
      chance >= 1
        ? [[RETURN, 0, 0, DROP]]
        : [
            [LOAD_WORD, 0, 0, RANDOM_AT],
            [JUMP_IF_NOT_BELOW, 1, 0, Math.round(chance * ALWAYS)],
            [RETURN, 0, 0, DROP],
            [RETURN, 0, 0, PASS],
          ];
    return [[JUMP_IF_EQUAL, 0, drop.length, addressNumber(address)], ...drop];
  });
  const program: Instruction[] = [
    [LOAD_HALF, 0, 0, ETHERTYPE_AT],
    [JUMP_IF_EQUAL, 1, 0, IPV4],
    [RETURN, 0, 0, PASS],
    [LOAD_WORD, 0, 0, match === 'source' ? SOURCE_AT : DESTINATION_AT],
    ...blocks,
    [RETURN, 0, 0, PASS],
  ];
  return bytecode(program);
}

/** The program that loses every fragment of a longer packet, and nothing else. */
export function fragmentProgram(): string {
  return bytecode([
    [LOAD_HALF, 0, 0, ETHERTYPE_AT],
    [JUMP_IF_EQUAL, 0, 3, IPV4],
    [LOAD_HALF, 0, 0, FRAGMENT_AT],
    [JUMP_IF_ANY_BIT, 0, 1, IS_FRAGMENT],
    [RETURN, 0, 0, DROP],
    [RETURN, 0, 0, PASS],
  ]);
}

function bytecode(program: readonly Instruction[]): string {
  return `${program.length},${program.map((instruction) => instruction.join(' ')).join(',')}`;
}

function addressNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}
