import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

/** What the package exports. */
const ENTRANCES = ['src/index.ts', 'clients/typescript/index.ts'];

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
}

/** The names that a file exports from elsewhere: the name here, the name there, and the file there. */
function reExports(source: ts.SourceFile): { name: string; there: string; file: string }[] {
  return source.statements.filter(ts.isExportDeclaration).flatMap((statement) => {
    const { moduleSpecifier, exportClause } = statement;
    if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) return [];
    const file = join(dirname(source.fileName), moduleSpecifier.text.replace(/\.js$/, '.ts'));
    if (exportClause === undefined || !ts.isNamedExports(exportClause)) {
      throw new Error(`${source.fileName} exports all of ${file}: name what is meant`);
    }
    return exportClause.elements.map(({ name, propertyName }) => ({
      name: name.text,
      there: (propertyName ?? name).text,
      file,
    }));
  });
}

function isNamed(statement: ts.Statement, name: string): boolean {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.some(
      (one) => ts.isIdentifier(one.name) && one.name.text === name,
    );
  }
  const declared =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement);
  return declared && statement.name?.text === name;
}

function isHidden(member: ts.ClassElement): boolean {
  const isPrivate = member.name !== undefined && ts.isPrivateIdentifier(member.name);
  const modifiers = ts.canHaveModifiers(member) ? (ts.getModifiers(member) ?? []) : [];
  return isPrivate || modifiers.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword);
}

const hasDocstring = (node: ts.Node): boolean => ts.getJSDocCommentsAndTags(node).length > 0;

/** A class's methods and accessors say what they do; fields may be clear by their names. */
function undocumentedMembers(statement: ts.Statement, name: string): string[] {
  if (!ts.isClassDeclaration(statement)) return [];
  return statement.members
    .filter((member) => ts.isMethodDeclaration(member) || ts.isGetAccessorDeclaration(member))
    .filter((member) => !isHidden(member) && !hasDocstring(member))
    .map((member) => `${name}.${member.name.getText()}`);
}

/** What is exported under this name, or belongs to it, without a docstring. */
function undocumented(name: string, file: string): string[] {
  const source = parse(file);
  const further = reExports(source).find((one) => one.name === name);
  if (further !== undefined) return undocumented(further.there, further.file);
  const statement = source.statements.find((one) => isNamed(one, name));
  if (statement === undefined) throw new Error(`${file} does not declare ${name}`);
  return [
    ...(hasDocstring(statement) ? [] : [`${file}: ${name}`]),
    ...undocumentedMembers(statement, `${file}: ${name}`),
  ];
}

describe('house, docstrings', () => {
  for (const entrance of ENTRANCES) {
    it(`are on all that ${entrance} exports`, () => {
      const exported = reExports(parse(entrance));
      expect(exported).to.have.length.above(10);
      expect(exported.flatMap(({ there, file }) => undocumented(there, file))).to.eql([]);
    });
  }

  it('that are missing are found', () => {
    expect(undocumented('reExports', 'test/house/docstrings.test.ts')).to.eql([]);
    expect(undocumented('hasDocstring', 'test/house/docstrings.test.ts')).to.have.length(1);
  });
});
