import { once } from 'node:events';
import { expect } from 'chai';
import { createLineReader, type Framed } from '../../src/wire/framing.js';

const MAX_LINE_BYTES = 64;

const text = (t: string): Framed => ({ ok: true, text: t });
const UTF8: Framed = { ok: false, code: 'malformed', text: 'invalid UTF-8' };
const BROKEN: Framed = {
  ok: false,
  code: 'malformed',
  text: 'a newline inside an object: send each object on one line',
};
const UNFINISHED: Framed = { ok: false, code: 'malformed', text: 'the stream ended inside an object' };
const TOO_LONG: Framed = {
  ok: false,
  code: 'line-too-long',
  text: `more than ${MAX_LINE_BYTES} bytes without an end; skipped up to the next newline`,
};

async function read(chunks: readonly Uint8Array[], max_line_bytes = MAX_LINE_BYTES): Promise<Framed[]> {
  const reader = createLineReader({ max_line_bytes });
  const feeding = (async () => {
    for (const chunk of chunks) if (!reader.write(chunk)) await once(reader, 'drain');
    reader.end();
  })();
  const framed: Framed[] = [];
  for await (const piece of reader) framed.push(piece as Framed);
  await feeding;
  return framed;
}

const bytewise = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));

/** A name, what is received, what is read of it. */
type Case = [name: string, received: string | Buffer, expected: Framed[]];

const A = '{"type":11}';
const B = '{"type":7,"request":{"no":1,"value":"}{][\\"\\\\"}}';
const object = (bytes: number) => `{"x":"${'y'.repeat(bytes - 8)}"}`;

/** Cases that leave nothing unfinished: they read the same with anything behind them. */
const COMPLETE: Case[] = [
  ['nothing', '', []],
  ['one object on a line', `${A}\n`, [text(A)]],
  ['one object without a newline', A, [text(A)]],
  ['two lines', `${A}\n${B}\n`, [text(A), text(B)]],
  ['two objects on a line', `${A}${B}\n`, [text(A), text(B)]],
  ['two objects with blanks between and around', `  ${A} \t ${B}  \n`, [text(A), text(B)]],
  ['CRLF', `${A}\r\n${B}\r\n`, [text(A), text(B)]],
  ['blank lines', `\n\r\n  \n\t\n${A}\n\n\n`, [text(A)]],
  ['brackets and quotes in strings', `${B}${B}\n`, [text(B), text(B)]],
  ['an escaped backslash at the end of a string', '{"a":"\\\\"}{}\n', [text('{"a":"\\\\"}'), text('{}')]],
  ['multibyte characters', '{"é":"漢😀\u2028"}\n', [text('{"é":"漢😀\u2028"}')]],
  ['a value that looks like a mark of ours', '{"a":"+"}\n', [text('{"a":"+"}')]],
  [
    'words, numbers, arrays: each with its line',
    'hello you\n7\n[{"type":11}]\n',
    [text('hello you'), text('7'), text('[{"type":11}]')],
  ],
  [
    'words that look like marks of ours',
    '+\ntoo-long\n-\n\u0001\n',
    [text('+'), text('too-long'), text('-'), text('\u0001')],
  ],
  ['garbage behind an object', `${A} garbage\n${A}\n`, [text(A), text('garbage'), text(A)]],
  ['a brace too many', `${A}}\n${A}\n`, [text(A), text('}'), text(A)]],
  ['brackets that do not match', `{"a":]\n${A}\n`, [text('{"a":]'), text(A)]],
  ['a newline inside an object', `{"type":\n11}\n${A}\n`, [BROKEN, text('11}'), text(A)]],
  ['a newline inside a string', `{"a":"x\ny"}\n${A}\n`, [BROKEN, text('y"}'), text(A)]],
  ['a newline behind a backslash', `{"a":"x\\\ny"}\n${A}\n`, [BROKEN, text('y"}'), text(A)]],
  ['an object over several lines', `{\n"type": 11\n}\n`, [BROKEN, text('"type": 11'), text('}')]],
  ['a byte order mark', `\ufeff${A}\n${A}\n`, [text(`\ufeff${A}`), text(A)]],
  ['NUL bytes', `\u0000\u0000\n${A}\n`, [text('\u0000\u0000'), text(A)]],
  [
    'invalid UTF-8 in an object',
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from(`"}\n${A}\n`)]),
    [UTF8, text(A)],
  ],
  [
    'a character cut off by the quote',
    Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xe6, 0xbc]), Buffer.from(`"}\n${A}\n`)]),
    [UTF8, text(A)],
  ],
  [
    'invalid UTF-8 in a word',
    Buffer.concat([Buffer.from([0xfe, 0xff, 0x41]), Buffer.from(`\n${A}\n`)]),
    [UTF8, text(A)],
  ],
  [
    'a surrogate in UTF-8',
    Buffer.concat([Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(`\n${A}\n`)]),
    [UTF8, text(A)],
  ],
  [
    'an object of exactly the longest length',
    `${object(MAX_LINE_BYTES)}\n${A}\n`,
    [text(object(MAX_LINE_BYTES)), text(A)],
  ],
  ['an object of one byte more', `${object(MAX_LINE_BYTES + 1)}\n${A}\n`, [TOO_LONG, text(A)]],
  ['the rest of a line that was too long', `${object(MAX_LINE_BYTES + 1)} ${A}\n${A}\n`, [TOO_LONG, text(A)]],
  ['a line far too long', `{"x":"${'y'.repeat(1000)}\n${A}\n`, [TOO_LONG, text(A)]],
  [
    'a word of exactly the longest length',
    `${'x'.repeat(MAX_LINE_BYTES)}\n${A}\n`,
    [text('x'.repeat(MAX_LINE_BYTES)), text(A)],
  ],
  ['a word far too long', `${'x'.repeat(1000)}\n${A}\n`, [TOO_LONG, text(A)]],
  ['a long line of short objects', `${A.repeat(50)}\n`, Array.from({ length: 50 }, () => text(A))],
  ['nothing but blanks, more than the longest line', ' '.repeat(1000) + A, [text(A)]],
];

/** Cases that only the end of the stream decides. */
const UNFINISHED_CASES: Case[] = [
  ['an object cut off', `${A}\n{"type":`, [text(A), UNFINISHED]],
  ['an object cut off in a string', '{"a":"x', [UNFINISHED]],
  ['an object cut off behind a backslash', '{"a":"x\\', [UNFINISHED]],
  ['a word without a newline', `${A}\nhello`, [text(A), text('hello')]],
  ['a line too long without a newline', 'x'.repeat(1000), [TOO_LONG]],
  ['a bare opening brace', '{', [UNFINISHED]],
];

describe('framing', () => {
  for (const [name, received, expected] of [...COMPLETE, ...UNFINISHED_CASES]) {
    const bytes = Buffer.from(received as string);
    it(`${name}: whole`, async () => {
      expect(await read([bytes])).to.deep.equal(expected);
    });
    it(`${name}: byte by byte`, async () => {
      expect(await read(bytewise(bytes))).to.deep.equal(expected);
    });
    it(`${name}: cut in two anywhere`, async () => {
      for (let at = 1; at < bytes.length; at += bytes.length > 200 ? 37 : 1) {
        expect(await read([bytes.subarray(0, at), bytes.subarray(at)]), `cut at ${at}`).to.deep.equal(
          expected,
        );
      }
    });
  }

  for (const [name, received, expected] of COMPLETE) {
    it(`${name}: with trailing data`, async () => {
      const bytes = Buffer.concat([Buffer.from(received as string), Buffer.from(`${B}\nword\n{"cut`)]);
      const all = [...expected, text(B), text('word'), UNFINISHED];
      expect(await read([bytes])).to.deep.equal(all);
      expect(await read(bytewise(bytes))).to.deep.equal(all);
    });
  }

  it('delivers a complete object before any newline or end', async () => {
    const reader = createLineReader({ max_line_bytes: MAX_LINE_BYTES });
    for (const received of [A, B, `${A} `]) {
      const delivered = once(reader, 'data');
      reader.write(received);
      expect(await delivered).to.deep.equal([text(received.trim())]);
    }
    reader.destroy();
    await once(reader, 'close');
  });

  it('says that a line is too long while it still comes, and only once', async () => {
    const reader = createLineReader({ max_line_bytes: MAX_LINE_BYTES });
    const delivered = once(reader, 'data');
    reader.write('x'.repeat(MAX_LINE_BYTES + 1));
    expect(await delivered).to.deep.equal([TOO_LONG]);
    const next = once(reader, 'data');
    reader.write('x'.repeat(1000));
    reader.write(`\n${A}`);
    expect(await next).to.deep.equal([text(A)]);
    reader.destroy();
  });

  it('reads a thousand messages in a segment', async () => {
    const lines = Array.from({ length: 1000 }, (_, i) => `{"type":7,"request":{"no":${i}}}`);
    const expected = lines.map(text);
    expect(await read([Buffer.from(lines.join('\n'))])).to.deep.equal(expected);
    expect(await read([Buffer.from(lines.join(''))])).to.deep.equal(expected);
  });

  it('survives a hundred thousand brackets', async () => {
    for (const bomb of ['['.repeat(100_000), '{'.repeat(100_000), '{"a":'.repeat(100_000)]) {
      expect(await read([Buffer.from(`${bomb}\n${A}\n`)])).to.deep.equal([TOO_LONG, text(A)]);
    }
    const bomb = `{"a":${'['.repeat(100_000)}`;
    expect(await read([Buffer.from(`${bomb}\n${A}\n`)], 1_000_000)).to.deep.equal([BROKEN, text(A)]);
  });

  it('keeps no more of an endless line than the longest line', async () => {
    const max_line_bytes = 1_000_000;
    const chunk = Buffer.alloc(65_536, 'x');
    const before_bytes = process.memoryUsage().arrayBuffers;
    const chunks = Array.from({ length: 1500 }, () => chunk); // 98 MB, the same buffer again and again
    expect(await read(chunks, max_line_bytes)).to.have.length(1);
    expect(process.memoryUsage().arrayBuffers - before_bytes).to.be.below(32_000_000);
  });

  it('reads a long line that comes in small pieces in linear time', async () => {
    const line = object(400_000);
    const bytes = Buffer.from(`${line}\n`);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 16) }, (_, i) =>
      bytes.subarray(16 * i, 16 * i + 16),
    );
    expect(await read(pieces, 400_000)).to.deep.equal([text(line)]);
  });

  it('ends without an error when it is destroyed in the middle of an object', async () => {
    const reader = createLineReader({ max_line_bytes: MAX_LINE_BYTES });
    reader.write('{"type":');
    reader.destroy();
    await once(reader, 'close');
    expect(reader.destroyed).to.equal(true);
  });
});
