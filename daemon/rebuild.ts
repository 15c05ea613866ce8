import { AgrinetError, errorMessage } from '../protocols/errors.ts';
import type { Merges } from '../protocols/open-dialog/merger.ts';
import { newGeneration } from '../storage/change-order.ts';
import type { Database } from '../storage/database.ts';
import { OWN_TIME } from '../storage/commit-rows.ts';
import { COUNTED, DERIVED, FOLLOWED } from '../storage/derivation.ts';
import { damagedFloors } from '../storage/floor-rows.ts';
import { floorRanges } from '../storage/floor-table.ts';
import { type BatchOp, fullKey, numberKey, range, type SublevelName } from '../storage/keyspace.ts';
import { REBUILDING } from '../storage/level.ts';
import { rejoinRow } from '../storage/rejoin-row.ts';
import { isCorruption } from '../storage/storage-error.ts';
import { Store } from '../storage/store.ts';
import { COUNTED_KEY, countedRow } from '../storage/usage-count.ts';
import { usageRow } from '../storage/usage.ts';
import { putJson, verifyChecksum } from '../storage/values.ts';
import { checkDerived, KEPT, type Problem } from './check-derived.ts';
import { type Survey, surveyFeeds } from './feed-survey.ts';
import { REPORTS_KEY } from './market/stored-reports.ts';
import { rederive } from './rederive.ts';
import { forgetPasses } from './scrub/pass.ts';

/** Empties a sublevel. Over damaged keys LevelDB may stop before the end, and what then stayed would count as derived. */
async function clear(db: Database, name: SublevelName): Promise<void> {
  for (let rows = Infinity; ;) {
    await db.level.clear(range(name));
    let left = 0;
    for await (const key of db.level.keys(range(name))) left += key === '' ? 0 : 1;
    if (left === 0) return;
    if (left >= rows) throw beyondRepair(db, undefined);
    rows = left;
  }
}

/** Rows of `meta` that come by themselves at the next start. */
const MADE_ANEW: readonly string[] = [
  fullKey('meta', 'schema'),
  fullKey('meta', 'events reserved'),
  COUNTED_KEY,
  REPORTS_KEY,
  OWN_TIME,
];

/**
 * Removes damaged rows from the tables that no feed can fill: their readers skip such a row or write it again, and if it stayed,
 * every rebuild would seem to have failed.
 */
async function dropDamaged(db: Database, problems: Problem[]): Promise<void> {
  const damaged: BatchOp[] = [];
  for (const name of ['meta', ...KEPT] as const) {
    for await (const [key, value] of db.level.iterator(range(name))) {
      if (name === 'meta' && !MADE_ANEW.includes(key)) continue;
      try {
        verifyChecksum(key, value);
      } catch (error) {
        problems.push({ code: 'value-damaged', message: errorMessage(error) });
        damaged.push({ type: 'del', key });
      }
    }
  }
  if (damaged.length > 0) await db.batch(damaged, true);
}

/**
 * Removes all that is stored of a checkpoint of which something is damaged: without one floor its record would begin elsewhere than with
 * everybody else. As long as the entries are held the checkpoint takes effect again later.
 */
async function dropFloors(db: Database, problems: Problem[]): Promise<void> {
  for (const owner of await damagedFloors(db)) {
    problems.push({
      code: 'value-damaged',
      message: `what is stored of the checkpoint of ${owner} is damaged`,
    });
    for (const rows of floorRanges(owner)) await db.level.clear(rows);
  }
}

function beyondRepair(db: Database, cause: unknown): AgrinetError {
  return new AgrinetError(
    'database-damaged',
    `${db.folder} is damaged beyond repair. Restore a backup; or move it and the file initialized away, start, register with the peers again, and they fill it in`,
    { cause },
  );
}

/** As `rebuildStore`; damage that LevelDB finds only while it reads is repaired first. */
export async function rebuildDamaged(
  db: Database,
  merges: Merges,
  onProgress: (done: number, total: number) => void,
): ReturnType<typeof rebuildStore> {
  try {
    return await rebuildAndCheck(db, merges, onProgress);
  } catch (error) {
    if (!isCorruption(error)) throw error;
    await db.repair();
  }
  try {
    return await rebuildAndCheck(db, merges, onProgress);
  } catch (error) {
    if (!isCorruption(error)) throw error;
    throw beyondRepair(db, error);
  }
}

/** Rows under damaged keys may outlive the clearing: what a rebuild leaves is checked like anything else, before it is served. */
async function rebuildAndCheck(...args: Parameters<typeof rebuildStore>): ReturnType<typeof rebuildStore> {
  const [db] = args;
  const rebuilt = await rebuildStore(...args);
  const wrong: Problem[] = [];
  await checkDerived(db, wrong, false);
  if (wrong.length > 0) {
    await db.batch([putJson(REBUILDING, true)], true);
    throw beyondRepair(db, new AgrinetError('database-damaged', JSON.stringify(wrong.slice(0, 5))));
  }
  await forgetPasses(db);
  return rebuilt;
}

/**
 * Derives everything again from the valid entries. Invalid ones are removed and reported, and are returned by peers. It may be
 * interrupted at any point and is then repeated at the next start.
 */
export async function rebuildStore(
  db: Database,
  merges: Merges,
  onProgress: (done: number, total: number) => void,
): Promise<{ store: Store; entries: number; records: number; problems: Problem[] }> {
  await db.batch([putJson(REBUILDING, true), newGeneration(db.env)], true);
  const survey = await surveyFeeds(db, () => undefined);
  for (const name of [...DERIVED, ...COUNTED, ...FOLLOWED]) await clear(db, name);
  await dropFloors(db, survey.problems);
  await dropDamaged(db, survey.problems);
  await writeFeeds(db, survey);
  const store = await Store.open(db);
  const total = survey.entries - survey.unusable.length;
  const derived = await rederive(store, merges, db.env, survey, (done) => onProgress(done, total));
  await db.rebuilt();
  return { store, ...derived, problems: survey.problems };
}

/** The rows of all feeds change in one batch: if it were split, a fork's row could be lost and its number given to another feed. */
async function writeFeeds(db: Database, { feeds, bytes, unusable, problems }: Survey): Promise<void> {
  const found = new Set(feeds.map((feed) => fullKey('feeds', numberKey(feed.no))));
  const rows: BatchOp[] = unusable.map((key) => ({ type: 'del', key }));
  for await (const key of db.level.keys(range('feeds'))) if (!found.has(key)) rows.push({ type: 'del', key });
  for (const feed of feeds) {
    const key = fullKey('feeds', numberKey(feed.no));
    rows.push(putJson(key, feed));
    rows.push(usageRow(feed.no, { bytes: bytes.get(feed.no) ?? 0, pending: 0, pendingBytes: 0 }));
  }
  // That something was removed is recorded together with the removal: after an interruption here, the next rebuild would find nothing
  // wrong.
  if (problems.length > 0) rows.push(rejoinRow({ cause: 'repaired', since: db.env.now(), answered: [] }));
  rows.push(countedRow());
  await db.batch(rows, true);
}
