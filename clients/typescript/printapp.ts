#!/usr/bin/env node
/** An application that only prints every update, and answers with the value. */
import { runApp } from './app.js';

await runApp((value, { id, no, entry }) => {
  process.stdout.write(`entry ${entry}, client ${id}, request ${no}: ${JSON.stringify(value)}\n`);
  return value;
});
