import type { Env } from '../protocols/env.ts';
import { createMerger } from '../protocols/open-dialog/merger.ts';
import { startMergeWorker } from './merging/start-merge-worker.ts';
import { errorMessage } from '../protocols/errors.ts';
import { Database, type DatabaseEnv } from '../storage/database.ts';
import { isCorruption, storageError } from '../storage/storage-error.ts';
import { range } from '../storage/keyspace.ts';
import { noteFound, saveRejoin } from '../storage/rejoin-note.ts';
import { checkDerived, type Problem } from './check-derived.ts';
import { surveyFeeds } from './feed-survey.ts';
import { rebuildDamaged } from './rebuild.ts';
import type { Settings } from './settings.ts';

type Progress = (done: number, total: number) => void;

async function withDatabase<T>(
  settings: Settings,
  env: DatabaseEnv,
  repair: boolean,
  work: (db: Database) => Promise<T>,
): Promise<T> {
  const db = await Database.open(settings.dataDir, env, { create: false, repair });
  try {
    return await work(db);
  } catch (error) {
    throw storageError(error);
  } finally {
    await db.close();
  }
}

/** Derives records, indexes and digests again from the feeds, while the daemon is down. */
export function rebuild(
  settings: Settings,
  env: Env,
  onProgress: Progress,
): Promise<{ entries: number; records: number; problems: Problem[] }> {
  return withDatabase(settings, env, true, async (db) => {
    await noteFound(db, env.now());
    const merger = createMerger({ env, start: startMergeWorker, onAlarm: () => undefined });
    try {
      const { entries, records, problems } = await rebuildDamaged(db, merger, onProgress);
      const all = [...found(db), ...problems];
      // The next start opens a database without a fault: that something is missing has to be reported here.
      if (all.length > 0) await saveRejoin(db, { cause: 'repaired', since: env.now(), answered: [] });
      return { entries, records, problems: all };
    } finally {
      await merger.stop();
    }
  });
}

/** Checks every entry and every value, while the daemon is down. Changes nothing. */
export function fsck(
  settings: Settings,
  env: DatabaseEnv,
  onProgress: Progress,
): Promise<{ entries: number; problems: Problem[] }> {
  return withDatabase(settings, env, false, async (db) => {
    const problems = found(db);
    let entries = 0;
    try {
      let total = 0;
      for await (const key of db.level.keys(range('entries'))) total += key === '' ? 0 : 1;
      const survey = await surveyFeeds(db, (done) => onProgress(done, total));
      entries = survey.entries;
      for (const problem of survey.problems) problems.push(problem);
      await checkDerived(db, problems, true);
    } catch (error) {
      if (!isCorruption(error)) throw error;
      problems.push({ code: 'table-damaged', message: `${errorMessage(error)}; run: agrinet rebuild` });
    }
    return { entries, problems };
  });
}

/** What opening found. */
function found(db: Database): Problem[] {
  const { holes, tailLost, repaired } = db.findings;
  const problems: Problem[] = [];
  if (repaired)
    problems.push({
      code: 'repaired',
      message: `LevelDB was repaired; what it was is in ${db.folder}.damaged`,
    });
  if (holes > 0)
    problems.push({ code: 'journal-holes', message: `${holes} commits are missing; run: agrinet rebuild` });
  if (tailLost > 0)
    problems.push({
      code: 'tail-lost',
      message: `${tailLost} commits at the end are gone; peers will fill them in`,
    });
  return problems;
}
