/** Runs the row named by `PAXOSD_ROW` of the module whose URL is the argument, and tells the parent how it ended. */
import { runRow, type Outcome, type Rows } from './rows.js';

// Without its parent nobody would end it.
process.once('disconnect', () => process.exit(1));

const { rows } = (await import(process.argv[2] ?? '')) as { rows: Rows };
const outcome: Outcome = await runRow(rows, process.env['PAXOSD_ROW'] ?? '');
process.send?.(outcome, () => process.exit(outcome.failed ? 1 : 0));
