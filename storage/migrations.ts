import { AgrinetError } from '../protocols/errors.ts';
import { type Level, REBUILDING } from './level.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { jsonWithChecksum, putJson, verifiedJson } from './values.ts';

/** Brings the database from the version before to `to`; what ends it is one batch with the version stamp. */
export interface Migration {
  readonly to: number;
  /**
   * The writes of a migration; `now` in milliseconds since 1970, `onProgress` is called with the number of rows done. It may read
   * anything. If it is interrupted, it begins again.
   */
  run(level: Level, now: () => number, onProgress: (rows: number) => void): Promise<BatchOp[]>;
}

/** Only a database of an older layout needs its code. */
const later = (to: number, load: () => Promise<Migration>): Migration => ({
  to,
  run: async (level, now, onProgress) => (await load()).run(level, now, onProgress),
});

/** Layout 3: the erasures of a document are among its ops. They are found from their records once everything is derived again. */
const DOCUMENT_ERASURES: Migration = {
  to: 3,
  run: async () => [putJson(REBUILDING, true)],
};

/** Layout 4: verdicts are applied, pending or rejected. Rows with the old ones are derived again. */
const VERDICT_WORDS: Migration = { ...DOCUMENT_ERASURES, to: 4 };

/** Every migration there is, ascending; never changed once released. */
export const MIGRATIONS: readonly Migration[] = [
  later(2, async () => (await import('./arrival-migration.ts')).ARRIVALS),
  DOCUMENT_ERASURES,
  VERDICT_WORDS,
  later(5, async () => (await import('./place-migration.ts')).PLACES),
  later(6, async () => (await import('./record-migration.ts')).COMPACT_RECORDS),
  later(7, async () => (await import('./entry-migration.ts')).PACKED_ENTRIES),
  later(8, async () => (await import('./channel-migration.ts')).CHANNEL_PLACES),
  later(9, async () => (await import('./index-migration.ts')).COMMON_VALUES_LEFT_OUT),
];

/** The layout that this program writes. */
export const LAYOUT = MIGRATIONS.at(-1)?.to ?? 1;

/** The version stamp. */
export const VERSION = fullKey('meta', 'version');

/** Told of each migration when it begins, and how many rows it has done since. */
export type MigrationProgress = (layout: number, rows: number) => void;

/** Stamps a new database, migrates an older one forward, refuses a newer one with `database-newer`. */
export async function migrate(
  level: Level,
  now: () => number,
  migrations: readonly Migration[] = MIGRATIONS,
  onProgress: MigrationProgress = () => undefined,
): Promise<number> {
  const newest = migrations.at(-1)?.to ?? 1;
  const value = await level.get(VERSION);
  if (value === undefined) {
    await level.put(VERSION, jsonWithChecksum(VERSION, newest), { sync: true });
    return newest;
  }
  let version = verifiedJson<number>(VERSION, value);
  if (version > newest) {
    throw new AgrinetError(
      'database-newer',
      `the database has layout ${version}, but this agrinetd only knows ${newest}; install the newer version that wrote it`,
    );
  }
  for (const migration of migrations) {
    if (migration.to <= version) continue;
    onProgress(migration.to, 0);
    const ops = await migration.run(level, now, (rows) => onProgress(migration.to, rows));
    await level.batch([...ops, putJson(VERSION, migration.to)], {
      sync: true,
    });
    version = migration.to;
  }
  return version;
}
