import { expect } from 'chai';
import { fitsDatagram } from '../../src/core/limits.js';
import { entry, type ClientId, type RequestNumber } from '../../src/core/ids.js';
import { MessageType } from '../../src/core/message.js';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import {
  helloLine,
  maxValueBytes,
  parseMessage,
  putTemplate,
  ResponseReader,
} from '../../src/cli/load/lines.js';

type Seen = number | string;

/** What a reader makes of a stream that arrives in chunks of a size. */
function read(text: string, chunk_bytes: number): Seen[] {
  const seen: Seen[] = [];
  const reader = new ResponseReader({
    onResponse: (no) => seen.push(no),
    onOther: (line) => seen.push(line),
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunk_bytes) reader.push(bytes.subarray(at, at + chunk_bytes));
  return seen;
}

const self = { address: '127.0.0.1', port: '7001' };

function response(id: number, no: number, value: string): string {
  const request = { id: id as ClientId, no: no as RequestNumber, noset: false };
  const message = { type: MessageType.ClientResponse, request, entry: entry(5), value };
  return `${encodeMessage(message, self)}\n`;
}

describe('lines of a load', () => {
  it('are requests that a node takes', () => {
    const { before, after } = putTemplate('key', 64);
    const decoded = decodeMessage(`${before}17${after}`.trimEnd());
    const message = decoded.ok ? decoded.message : undefined;
    if (message?.type !== MessageType.ClientRequest) throw new Error('not a ClientRequest');
    expect(message.request.no).to.equal(17);
    expect(JSON.parse(message.value)).to.deep.equal({ op: 'put', key: 'key', value: 'v'.repeat(64) });
  });

  it('hold values up to the largest, and none beyond', () => {
    const bytes = maxValueBytes('key');
    const decoded = decodeMessage(`${putTemplate('key', bytes).before}1${putTemplate('key', bytes).after}`);
    expect(decoded.ok && decoded.message.type === 7 && fitsDatagram(decoded.message.value)).to.equal(true);
    expect(() => putTemplate('key', bytes + 1)).to.throw(RangeError, String(bytes));
  });

  it('say hello, for the first time and again', () => {
    expect([helloLine(0), helloLine(65_537)].map((line) => decodeMessage(line.trimEnd()))).to.deep.equal(
      [0, 65_537].map((id) => ({
        ok: true,
        message: { type: 11, request: { id, no: 0, noset: false } },
        from: undefined,
      })),
    );
  });

  it('are read whole and byte by byte alike, whatever a value holds', () => {
    const other = '{"type":16,"request":{"no":9},"error":"overloaded: x"}';
    const text = [
      response(65_537, 1, 'plain'),
      response(65_537, 22, 'a "no":7 within, a line\nbreak and ünïcode'),
      `${other}\n`,
      response(7, 333, ''),
      '\n',
      '{"type":8,"value":"no number"}\n',
    ].join('');
    const expected = [1, 22, other, 333, '{"type":8,"value":"no number"}'];
    for (const chunk_bytes of [1, 2, 7, 64, text.length * 2]) {
      expect(read(text, chunk_bytes), `${chunk_bytes} bytes at a time`).to.deep.equal(expected);
    }
  });

  it('tell their parts', () => {
    expect(
      parseMessage('{"type":16,"request":{"id":3,"no":9},"error":"overloaded: too much"}'),
    ).to.deep.equal({
      type: 16,
      id: 3,
      no: 9,
      code: 'overloaded',
      leader_host: '',
      leader_port: 0,
    });
    expect(parseMessage('HTTP/1.1 400')).to.equal(undefined);
    expect(parseMessage('7')).to.equal(undefined);
  });
});
