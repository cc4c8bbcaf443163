#!/usr/bin/env node
/** The key-value application: `paxosd start … --app kvapp`. */
import { runApp } from './app.js';
import { KvStore } from './kv.js';

const store = new KvStore();
await runApp((value) => store.apply(value));
