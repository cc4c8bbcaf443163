import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What every test program shares: connect, ask for the log, hand each entry to `onEntry`. */
const BASE = `
import { connect } from 'node:net';
export const flag = (name) => process.argv.find((word) => word.startsWith('-' + name + '='))?.split('=')[1];
export const socket = connect(Number(process.env.PAXOS_PORT), process.env.PAXOS_ADDR);
export const send = (message) => socket.write(JSON.stringify(message) + '\\n');
export const answer = (entry, value) => send({ type: 14, request: {}, entry, value });
socket.on('close', () => process.exit(0));
socket.on('error', () => undefined);
export function run(onEntry, first = 0) {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    const lines = (rest + text).split('\\n');
    rest = lines.pop();
    for (const line of lines) {
      const message = JSON.parse(line);
      if (message.type === 12) onEntry(message.entry ?? 0, message.value ?? '', message);
    }
  });
  send({ type: 13, entry: first });
}
`;

/** Applications as people write them, and as they shouldn't. Each is a module that may import `base.mjs`. */
const PROGRAMS: Readonly<Record<string, string>> = {
  echo: `run((entry, value) => answer(entry, 'echo ' + value));`,
  flags: `
    run((entry) => answer(entry, [flag('paxos_addr'), flag('paxos_port') === process.env.PAXOS_PORT,
      process.env.PAXOS_ADDR, process.argv[2]].join(' ')));`,
  hello: `send({ type: 11 }); run((entry) => answer(entry, 'hello'));`,
  crash: `
    import { existsSync } from 'node:fs';
    run((entry, value) => {
      if (value !== 'poison' || existsSync(process.argv[2])) return answer(entry, 'ok');
      process.exitCode = 3;
      socket.end(() => process.exit(3));
    });`,
  quitter: `run((entry) => { answer(entry, 'last words'); if (entry === 2) socket.end(() => process.exit(0)); });`,
  hang: `
    const owed = [];
    run((entry, value) => {
      owed.push(entry);
      if (value === 'release') for (const one of owed.splice(0)) answer(one, 'late');
    });`,
  garbage: `
    socket.write('{{{ not json\\n{"type":7,"request":{"no":1,"value":"x"}}\\n');
    run((entry, value) => {
      if (value === 'twice') answer(entry, 'first');
      if (value === 'stranger') answer(entry + 1000, 'never sent');
      socket.write('[1,2\\n');
      answer(entry, 'right');
    });`,
  swap: `
    let first;
    run((entry) => {
      if (first === undefined) first = entry;
      else { answer(entry, 'early'); answer(first, 'in turn'); first = undefined; }
    });`,
  silent: `setInterval(() => undefined, 1000);`,
  flood: `
    run((entry) => {
      process.stderr.write('noise\\u001b[2J\\n'.repeat(100000), () => answer(entry, 'done'));
    });`,
  stubborn: `process.on('SIGTERM', () => undefined); socket.removeAllListeners('close');
    socket.on('close', () => undefined); setInterval(() => undefined, 1000);
    run((entry) => answer(entry, 'still here'));`,
  parent: `
    import { spawn } from 'node:child_process';
    const child = "require('node:net').connect(Number(process.argv[1])); process.on('SIGTERM', () => undefined)";
    spawn(process.execPath, ['-e', child, process.argv[2]], { stdio: 'inherit' });
    run((entry) => answer(entry, 'parent'));`,
  large: `
    run((entry, value) => {
      answer(entry, value === 'endless' ? 'x'.repeat(2000000) : value === 'large' ? 'x'.repeat(70000) : 'fits');
    });`,
  two: `
    import { connect } from 'node:net';
    run((entry, value) => {
      answer(entry, 'first: ' + value);
      if (entry > 0) return;
      const second = connect(Number(process.env.PAXOS_PORT), process.env.PAXOS_ADDR);
      second.write('{"type":13}\\n{"type":14,"request":{},"value":"forged"}\\n');
      second.setEncoding('utf8').on('data', (text) => process.stdout.write(text));
    });`,
  leaver: `run((entry) => { answer(entry, 'gone'); socket.removeAllListeners('close'); socket.end(); });
    setInterval(() => undefined, 1000);`,
};

/** Writes the programs into a new folder. `command(name, …words)` is an `--app` command that runs one. */
export async function writePrograms(): Promise<{
  folder: string;
  command: (name: string, ...words: string[]) => string;
  remove: () => Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'app-programs-'));
  await writeFile(join(folder, 'base.mjs'), BASE);
  for (const [name, source] of Object.entries(PROGRAMS)) {
    const head = name === 'silent' ? '' : `import { answer, flag, run, send, socket } from './base.mjs';\n`;
    await writeFile(join(folder, `${name}.mjs`), head + source);
  }
  await writeFile(join(folder, 'no-interpreter'), '#!/no/such/interpreter\n');
  await chmod(join(folder, 'no-interpreter'), 0o755);
  const quoted = (word: string) => `'${word}'`;
  return {
    folder,
    command: (name, ...words) =>
      [quoted(process.execPath), join(folder, `${name}.mjs`), ...words.map(quoted)].join(' '),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
