/**
 * Runs the row named by `PAXOSD_ROW` of the module whose URL is the argument, and tells the parent how it ended. What it
 * leaves behind lies in `PAXOSD_ROW_FOLDER`.
 */
import { runRow, type Outcome, type Rows } from './rows.js';

// Without its parent nobody would end it.
process.once('disconnect', () => process.exit(1));

// Only from now on: what the loader of this module keeps for the next row lies where it always does.
process.env['TMPDIR'] = process.env['PAXOSD_ROW_FOLDER'];

const { rows } = (await import(process.argv[2] ?? '')) as { rows: Rows };
const outcome: Outcome = await runRow(rows, process.env['PAXOSD_ROW'] ?? '');
process.send?.(outcome, () => process.exit(outcome.failed ? 1 : 0));
