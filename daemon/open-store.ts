import { errorCode } from '../protocols/errors.ts';
import type { Merges } from '../protocols/open-dialog/merger.ts';
import { SCHEMA_VERSION } from '../protocols/open-dialog/schema.ts';
import { ensureGeneration } from '../storage/change-order.ts';
import type { Database } from '../storage/database.ts';
import { isCorruption } from '../storage/storage-error.ts';
import { fullKey } from '../storage/keyspace.ts';
import { REBUILDING } from '../storage/level.ts';
import { noteFound } from '../storage/rejoin-note.ts';
import { Store } from '../storage/store.ts';
import { countUsage, isCounted } from '../storage/usage-count.ts';
import { putJson, verifiedJson } from '../storage/values.ts';
import type { createAlarms } from './alarms.ts';
import type { Logger } from './logger.ts';

/**
 * Opens the store; `load` reads what else has to be readable. After damage or an interrupted rebuild everything is derived again
 * from the valid entries, and what the damage has removed is reported in the log and as an alarm.
 */
export async function openStore(
  db: Database,
  merges: Merges,
  load: (store: Store) => Promise<void>,
  alarms: Pick<ReturnType<typeof createAlarms>, 'raise'>,
  logger: Logger,
): Promise<Store> {
  const { holes, tailLost, repaired } = db.findings;
  await noteFound(db, db.env.now()).catch((error: unknown) =>
    logger.warn({ err: error }, 'a loss could not be recorded on disk; only this process knows of it'),
  );
  if (tailLost > 0) {
    logger.error(
      { commits: tailLost },
      'the last commits of the database are missing; peers will return them',
    );
    alarms.raise({ kind: 'tail-lost', commits: tailLost });
  }
  const damaged = repaired || holes > 0 || (await wasRebuilding(db));
  const upgraded = !damaged && (await schemaDiffers(db));
  if (!damaged && !upgraded) {
    try {
      const store = await Store.open(db);
      await load(store);
      if (!(await isCounted(db))) await countUsage(db, store);
      await stampSchema(db);
      await ensureGeneration(db);
      return store;
    } catch (error) {
      if (errorCode(error) !== 'value-damaged' && !isCorruption(error)) throw error;
      logger.error({ err: error }, 'the database is damaged');
    }
  }
  if (upgraded) logger.info('schema version changed: evaluating everything again');
  else
    logger.error(
      { repaired, holes },
      'the database was damaged or a rebuild was interrupted: rebuilding from the feeds',
    );
  const { rebuildDamaged } = await import('./rebuild.ts');
  const { store, entries, problems } = await rebuildDamaged(db, merges, () => undefined);
  for (const problem of problems.slice(0, 20)) logger.error({ ...problem }, 'lost to the damage');
  if (repaired || holes > 0 || problems.length > 0)
    alarms.raise({ kind: 'database-damaged', holes, problems: problems.length });
  logger.warn({ entries, problems: problems.length }, 'rebuilt');
  await load(store);
  await stampSchema(db);
  return store;
}

/** True when a rebuild was interrupted: derived rows are incomplete. */
async function wasRebuilding(db: Database): Promise<boolean> {
  return (await db.level.get(REBUILDING)) !== undefined;
}

const SCHEMA = fullKey('meta', 'schema');

/** Ops of versions and collections unknown so far are pending in the feeds; after an upgrade they are evaluated. */
async function schemaDiffers(db: Database): Promise<boolean> {
  const value = await db.level.get(SCHEMA);
  return value !== undefined && verifiedJson<number>(SCHEMA, value) !== SCHEMA_VERSION;
}

async function stampSchema(db: Database): Promise<void> {
  if ((await db.level.get(SCHEMA)) !== undefined && !(await schemaDiffers(db))) return;
  await db.batch([putJson(SCHEMA, SCHEMA_VERSION)], true);
}
