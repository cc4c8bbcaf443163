#!/usr/bin/env node
/** The command `paxosd`: runs what its arguments ask for, and turns every failure into one line and an exit code. */
import { CommanderError } from 'commander';
import { describeFailure, Exit, exitCodeOf } from './failure.js';
import { createProgram } from './program.js';

/** Whoever read our output has gone, as in `paxosd journal DIR | head`: there is nothing left to do. */
function endWhenUnread(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(Exit.Ok);
    throw error;
  });
}

endWhenUnread(process.stdout);
endWhenUnread(process.stderr);

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? Exit.Ok : Exit.Usage;
  } else {
    process.stderr.write(`${describeFailure(error)}\n`);
    process.exit(exitCodeOf(error));
  }
}
