import { expect } from 'chai';
import fc from 'fast-check';
import { decodeKvAnswer, encodeKvRequest, KvStore } from '../../clients/typescript/index.js';
import { FakeNode, type FakeConnection } from './fake-node.js';
import { describeLanguage, LANGUAGES } from './languages.js';
import { RunningProgram } from './programs.js';

/** Few keys, so that they meet; and every kind of character. */
const key = fc.constantFrom('a', 'b', '', '__proto__', 'constructor', '\u2028', '😀', '\ud83d', '\ude00');
const word = fc.oneof(
  key,
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', '\\', '/', '\0', '\u001f', '\u007f', '\ud800', '\udc00') }),
);

/** The same string, with some of its UTF-16 units escaped as another encoder might. */
const escaped = fc.tuple(word, fc.array(fc.boolean(), { minLength: 1 })).map(([text, choices]) => {
  const units = [...Array(text.length).keys()].map((i) => {
    const unit = text.charCodeAt(i);
    const mustEscape = unit < 0x20 || unit === 0x22 || unit === 0x5c;
    return mustEscape || choices[i % choices.length] ? `\\u${unit.toString(16).padStart(4, '0')}` : text[i];
  });
  return `"${units.join('')}"`;
});
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 });
const member = fc
  .tuple(
    space,
    fc.oneof(fc.constantFrom('"op"', '"key"', '"value"', '"\\u006fp"'), escaped),
    space,
    fc.oneof(fc.constantFrom('"put"', '"get"', '1', 'null', '{}'), escaped),
    space,
  )
  .map(([a, name, b, text, c]) => `${a}${name}${b}:${b}${text}${c}`);

const value = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('put' as const), key, value: word }).map(encodeKvRequest),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('get' as const), key }).map(encodeKvRequest) },
  { weight: 3, arbitrary: fc.array(member, { maxLength: 4 }).map((members) => `{${members.join(',')}}`) },
  fc.json(),
  word,
  fc.constantFrom(
    '[1e400]',
    '{"op":NaN}',
    '\ufeff{}',
    '{"op":"get","key":"a"}\u00a0',
    '['.repeat(20_000),
    '1'.repeat(5000),
    '{"op":"get","key":"a",}',
    "{'op':'get'}",
    '{"op":"get","key":"\t"}',
    '{"op":"get","key":"\\x41"}',
    '{}{}',
  ),
);

describe('the key-value application', () => {
  it('gives what was put last, and what it says can be read', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, word)), key, (puts, wanted) => {
        const store = new KvStore();
        const model = new Map<string, string>();
        for (const [name, text] of puts) {
          const answer = store.apply(encodeKvRequest({ op: 'put', key: name, value: text }));
          expect(decodeKvAnswer(answer)).to.deep.equal({ ok: true, value: text });
          model.set(name, text);
        }
        const found = model.get(wanted);
        const expected = found === undefined ? { ok: false, error: 'not found' } : { ok: true, value: found };
        expect(decodeKvAnswer(store.apply(encodeKvRequest({ op: 'get', key: wanted })))).to.deep.equal(
          expected,
        );
      }),
    );
  });

  it('doesn’t take for an answer what isn’t one', () => {
    for (const text of [
      '',
      'hello',
      'null',
      '1',
      '[]',
      '{}',
      '{"ok":true}',
      '{"ok":false,"value":"a"}',
      '{"ok":1,"value":""}',
    ]) {
      expect(decodeKvAnswer(text), text).to.equal(undefined);
    }
  });

  for (const language of LANGUAGES) {
    describeLanguage(language, () => {
      let node: FakeNode;
      let connection: FakeConnection;
      let program: RunningProgram;

      before(async () => {
        node = await FakeNode.start();
        program = new RunningProgram(language, 'kvapp', [
          '-paxos_addr=127.0.0.1',
          `-paxos_port=${node.port}`,
        ]);
        connection = await node.accept();
        expect(await connection.hear()).to.deep.equal({ type: 11 });
        expect(await connection.hear()).to.deep.equal({ type: 13 });
      });

      after(async () => {
        connection.drop();
        expect((await program.ended()).code).to.equal(0);
        await node.stop();
      });

      it('answers the same bytes as every other language', async () => {
        // The process lives through all runs, and so does the store that it is compared with.
        const store = new KvStore();
        let entry = 0;
        await fc.assert(
          fc.asyncProperty(fc.array(value, { maxLength: 30 }), async (values) => {
            const first = entry;
            for (const text of values)
              connection.say({ type: 12, request: { id: 1, no: ++entry }, entry, value: text });
            for (const [i, text] of values.entries()) {
              const no = first + i + 1;
              expect(await connection.hear()).to.deep.equal({
                type: 14,
                request: { id: 1, no },
                entry: no,
                value: store.apply(text),
              });
            }
          }),
        );
      });
    });
  }
});
