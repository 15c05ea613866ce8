import type { Recovery } from '../protocols/mycelium/rejoin.ts';
import type { Database } from './database.ts';
import { REJOIN, rejoinRow, type RejoinRow } from './rejoin-row.ts';
import { verifiedJson } from './values.ts';

/** The loss that peers have not yet made good; a row that cannot be read is a loss like any other. */
export async function readRejoin(db: Database, now: number): Promise<Recovery | undefined> {
  const row = await readLoss(db, now);
  return row?.settled === true ? undefined : row;
}

/** When own entries were last lost here, made good or not, milliseconds since 1970; undefined for never. */
export async function lostAt(db: Database, now: number): Promise<number | undefined> {
  return (await readLoss(db, now))?.since;
}

async function readLoss(db: Database, now: number): Promise<RejoinRow | undefined> {
  const value = await db.level.get(REJOIN);
  if (value === undefined) return undefined;
  try {
    return verifiedJson<RejoinRow>(REJOIN, value);
  } catch {
    return { cause: 'repaired', since: now, answered: [] };
  }
}

/**
 * Records what opening has found missing, before anything else is written: the next commit makes the log look complete, and a
 * rebuild the rest, so a process killed after it would have told nobody. True when something is missing.
 */
export async function noteFound(db: Database, now: number): Promise<boolean> {
  const { holes, tailLost, repaired } = db.findings;
  const cause = repaired || holes > 0 ? 'repaired' : tailLost > 0 ? 'tail-lost' : undefined;
  if (cause === undefined) return false;
  await saveRejoin(db, { cause, since: now, answered: [] });
  return true;
}

/** Notes a loss, or that it was made good; the time of the loss is kept. Throws `disk-full`, `storage-failed`. */
export async function saveRejoin(db: Database, recovery: Recovery | undefined): Promise<void> {
  const row: RejoinRow | undefined = recovery ?? (await readLoss(db, db.env.now()));
  if (row !== undefined)
    await db.batch([rejoinRow(recovery === undefined ? { ...row, settled: true } : row)], true);
}
