import { isOnPath } from '../support/process.js';
import { rows as links } from './network/links.js';
import { rows as partitions } from './network/partitions.js';
import { rows as sending } from './network/sending.js';
import { rows as wires } from './network/wires.js';
import { describeRows } from './support/rows.js';
import { STRACE } from './support/watch.js';

const noPython = isOnPath('python3') ? undefined : 'no python3';
const noStrace = STRACE ? undefined : 'no strace';

describeRows('faults: links that are cut', import.meta.resolve('./network/partitions.js'), partitions);
describeRows('faults: links that are poor', import.meta.resolve('./network/links.js'), links);
describeRows(
  'faults: wires that lose, double and delay',
  import.meta.resolve('./network/wires.js'),
  wires,
  noPython,
);
describeRows(
  'faults: sends that are refused',
  import.meta.resolve('./network/sending.js'),
  sending,
  noStrace,
);
