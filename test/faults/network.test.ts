import { rows as partitions } from './network/partitions.js';
import { describeRows } from './support/rows.js';

describeRows('faults: links that are cut', import.meta.resolve('./network/partitions.js'), partitions);
