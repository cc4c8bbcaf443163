import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect } from 'chai';
import { MESSAGE_NAMES, type MessageType } from '../../src/core/message.js';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.js';
import { loadSchema, schemaFileOf, validatorOf } from '../../src/wire/validators.js';

const SCHEMA = new URL('../../schema/', import.meta.url);
const EXAMPLES = new URL('examples/', SCHEMA);

/** The examples of a type: name and text, of which valid ones are taken and invalid ones refused. */
function examplesOf(folder: string, kind: 'valid' | 'invalid'): [string, string][] {
  const directory = new URL(`${folder}/${kind}/`, EXAMPLES);
  return readdirSync(directory).map((file) => [file, readFileSync(new URL(file, directory), 'utf8')]);
}

const folderOf = (name: string): string => schemaFileOf(name).replace(/\.json$/, '');

describe('schema: examples', () => {
  it('has a schema and a folder of examples for each type, and nothing else', () => {
    const folders = MESSAGE_NAMES.map(folderOf).sort();
    expect(readdirSync(EXAMPLES).sort()).to.deep.equal(folders);
    const files = readdirSync(SCHEMA).filter((file) => file.endsWith('.json'));
    expect(files.sort()).to.deep.equal(
      [...folders.map((folder) => `${folder}.json`), 'envelope.json'].sort(),
    );
    for (const file of files) expect(loadSchema(file)).to.include({ $id: file });
  });

  it('has schemas that are valid JSON Schema, by the strictest reading', () => {
    const ajv = new Ajv2020({ strict: true, validateSchema: true });
    ajv.addSchema(loadSchema('envelope.json'), 'envelope.json');
    for (const name of MESSAGE_NAMES) ajv.compile(loadSchema(schemaFileOf(name)));
    expect(() => ajv.compile({ type: 'no such type' })).to.throw();
  });

  MESSAGE_NAMES.forEach((name, type) => {
    const folder = folderOf(name);
    const validate = validatorOf(type as MessageType);

    for (const [file, text] of examplesOf(folder, 'valid')) {
      it(`${folder}/valid/${file} is taken`, () => {
        expect(validate(JSON.parse(text)), JSON.stringify(validate.errors)).to.equal(true);
        const result = decodeMessage(text);
        if (!result.ok) throw new Error(result.text);
        expect(result.message.type).to.equal(type);
        expect(decodeMessage(encodeMessage(result.message, result.from))).to.deep.equal(result);
      });
    }

    for (const [file, text] of examplesOf(folder, 'invalid')) {
      it(`${folder}/invalid/${file} is refused for that reason`, () => {
        expect(validate(JSON.parse(text))).to.equal(false);
        const result = decodeMessage(text);
        if (result.ok) throw new Error(`taken: ${JSON.stringify(result.message)}`);
        expect(result.code).to.equal('malformed');
        const [field] = file.split('-');
        expect(result.text.split(' ')[0]).to.equal(field);
        if (file.includes('is-missing')) expect(result.text).to.include('is missing');
      });
    }

    it(`${folder} has several examples of both kinds`, () => {
      expect(examplesOf(folder, 'valid')).to.have.length.above(1);
      expect(examplesOf(folder, 'invalid')).to.have.length.above(1);
    });
  });
});
