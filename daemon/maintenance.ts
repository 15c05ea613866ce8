import { createMerger } from '../protocols/open-dialog/merger.ts';
import { errorMessage } from '../protocols/errors.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { Database } from '../storage/database.ts';
import { Digests } from '../storage/digests.ts';
import { range, type SublevelName } from '../storage/keyspace.ts';
import type { StoredRecord } from '../storage/store.ts';
import { openJson, openValue } from '../storage/values.ts';
import { type Problem, rebuildStore, surveyFeeds } from './rebuild.ts';
import type { Settings } from './settings.ts';

type Progress = (done: number, total: number) => void;

async function withDatabase<T>(settings: Settings, work: (db: Database) => Promise<T>): Promise<T> {
  const db = await Database.open(settings.dataDir, false);
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

/** Derives records, indexes and digests anew from the feeds, while the daemon is down. */
export function rebuild(
  settings: Settings,
  onProgress: Progress,
): Promise<{ entries: number; records: number }> {
  return withDatabase(settings, async (db) => {
    const merger = createMerger(() => undefined);
    try {
      const { entries, records } = await rebuildStore(db, merger, onProgress);
      return { entries, records };
    } finally {
      await merger.stop();
    }
  });
}

/** Checks every entry and every value, while the daemon is down. Changes nothing. */
export function fsck(
  settings: Settings,
  onProgress: Progress,
): Promise<{ entries: number; problems: Problem[] }> {
  return withDatabase(settings, async (db) => {
    let total = 0;
    for await (const key of db.level.keys(range('entries'))) total += key === '' ? 0 : 1;
    const survey = await surveyFeeds(db, (done) => onProgress(done, total));
    const { holes, tailLost } = db.findings;
    const problems = [...survey.problems];
    if (holes > 0)
      problems.push({ code: 'journal-holes', message: `${holes} commits are missing; run: agrinet rebuild` });
    if (tailLost > 0)
      problems.push({
        code: 'tail-lost',
        message: `${tailLost} commits at the end are gone; peers will fill them in`,
      });
    await checkValues(db, problems);
    await checkDigests(db, problems);
    return { entries: survey.entries, problems };
  });
}

const SEALED: readonly SublevelName[] = [
  'meta',
  'feeds',
  'records',
  'verdicts',
  'digests',
  'forks',
  'registry',
  'addresses',
];

async function checkValues(db: Database, problems: Problem[]): Promise<void> {
  for (const name of SEALED) {
    for await (const [key, value] of db.level.iterator(range(name))) {
      try {
        openValue(key, value);
      } catch (error) {
        problems.push({ code: 'value-damaged', message: errorMessage(error) });
      }
    }
  }
}

/** The kept digests against ones computed from the records. */
async function checkDigests(db: Database, problems: Problem[]): Promise<void> {
  const kept = new Digests();
  const fresh = new Digests();
  const sums = fresh.begin();
  const channels = new Set<string>(['public']);
  try {
    await kept.load(db);
    for await (const [key, value] of db.level.iterator(range('records'))) {
      const state: RecordState = openJson<StoredRecord>(key, value).state;
      channels.add(state.channel);
      sums.change(undefined, state);
    }
  } catch {
    return; // told by checkValues
  }
  sums.commit();
  for (const channel of channels) {
    const [a, b] = [kept.of(channel), fresh.of(channel)].map((owners) =>
      JSON.stringify([...owners].map(([o, g]) => [o, [...g].sort()]).sort()),
    );
    if (a !== b)
      problems.push({
        code: 'digest-wrong',
        message: `the digests of ${channel} do not match the records; run: agrinet rebuild`,
      });
  }
}
