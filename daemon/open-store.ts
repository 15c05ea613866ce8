import { errorCode } from '../protocols/errors.ts';
import type { Judge } from '../protocols/open-dialog/merger.ts';
import { type Database, isCorruption } from '../storage/database.ts';
import { Store } from '../storage/store.ts';
import type { createAlarms } from './alarms.ts';
import type { Logger } from './logger.ts';
import { rebuildDamaged, wasRebuilding } from './rebuild.ts';

/**
 * Opens the store; `load` reads what else has to be readable. After damage or a cut-off rebuild everything is derived anew from the entries that hold,
 * and what the damage took away is told in the log and as an alarm.
 */
export async function openStore(
  db: Database,
  judge: Judge,
  load: (store: Store) => Promise<void>,
  alarms: Pick<ReturnType<typeof createAlarms>, 'raise'>,
  logger: Logger,
): Promise<Store> {
  const { holes, tailLost, repaired } = db.findings;
  if (tailLost > 0) {
    logger.error(
      { commits: tailLost },
      'commits at the end of the database are gone; peers will fill them in',
    );
    alarms.raise({ kind: 'tail-lost', commits: tailLost });
  }
  if (!repaired && holes === 0 && !(await wasRebuilding(db))) {
    try {
      const store = await Store.open(db);
      await load(store);
      return store;
    } catch (error) {
      if (errorCode(error) !== 'value-damaged' && !isCorruption(error)) throw error;
      logger.error({ err: error }, 'the database is damaged');
    }
  }
  logger.error(
    { repaired, holes },
    'the database was damaged or a rebuild cut off: rebuilding from the feeds',
  );
  const { store, entries, problems } = await rebuildDamaged(db, judge, () => undefined);
  for (const problem of problems.slice(0, 20)) logger.error({ ...problem }, 'taken away by the damage');
  if (repaired || holes > 0 || problems.length > 0)
    alarms.raise({ kind: 'database-damaged', holes, problems: problems.length });
  logger.warn({ entries, problems: problems.length }, 'rebuilt');
  await load(store);
  return store;
}
