import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';

/** The project's folder. */
export const ROOT = resolve(import.meta.dirname, '..', '..');

/** Folders below the project's own that hold no source of it. */
const SKIPPED = new Set(['node_modules', 'dist', 'data', '__pycache__', 'corpus']);

/** All files below a folder whose name ends with one of `endings`, as paths from the project's folder. */
export function filesBelow(folder: string, ...endings: string[]): string[] {
  const found: string[] = [];
  for (const item of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${item.name}`;
    if (item.isDirectory() && !SKIPPED.has(item.name)) found.push(...filesBelow(path, ...endings));
    else if (item.isFile() && endings.some((ending) => item.name.endsWith(ending))) found.push(path);
  }
  return found.sort();
}

export function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

export interface Import {
  /** A path from the project's folder for the project's own files, else a package's name or `node:…`. */
  readonly target: string;
  readonly is_local: boolean;
  /** Whether nothing of it is left at run time. */
  readonly is_type_only: boolean;
}

/** What a TypeScript file imports or hands on, dynamic imports included. */
export function importsOf(file: string, text = read(file)): Import[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  const imports: Import[] = [];
  const add = (specifier: ts.Node | undefined, is_type_only: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    imports.push(resolved(file, specifier.text, is_type_only));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isTypeOnly(node.importClause));
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, true);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return imports;
}

function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = clause;
  if (name !== undefined || namedBindings === undefined || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.length > 0 && namedBindings.elements.every(({ isTypeOnly }) => isTypeOnly);
}

function resolved(file: string, specifier: string, is_type_only: boolean): Import {
  if (!specifier.startsWith('.')) return { target: specifier, is_local: false, is_type_only };
  const path = relative(ROOT, resolve(ROOT, dirname(file), specifier))
    .split(sep)
    .join('/');
  return { target: path.replace(/\.js$/, '.ts'), is_local: true, is_type_only };
}

/** The room of a source file: the folder right below `src`; `top` for a file that stands in no room. */
export function roomOf(file: string): string | undefined {
  const [first, second, third] = file.split('/');
  if (first !== 'src' || second === undefined) return undefined;
  return third === undefined ? 'top' : second;
}
