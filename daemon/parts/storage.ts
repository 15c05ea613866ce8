import { createMerger, type Merger } from '../../protocols/open-dialog/merger.ts';
import type { Database } from '../../storage/database.ts';
import type { Store } from '../../storage/store.ts';
import { openOutbox } from '../mirror/open-outbox.ts';
import { concernsUsers } from '../notices/concerns.ts';
import { openStore } from '../open-store.ts';
import type { Participants } from '../participants.ts';
import { definePart, type Face } from '../parts.ts';
import type { Base } from './base.ts';

export function defineDatabase({
  settings,
  outside,
  env,
  logger,
}: Pick<Base, 'settings' | 'outside' | 'env' | 'logger'>) {
  return definePart('database', async () => {
    const db = await outside.openDatabase(settings.dataDir, env, {
      onMigration: (layout, rows) =>
        logger.info({ layout, rows }, 'migrating the database to a newer layout'),
    });
    return { face: db, stop: () => db.close() };
  });
}

/** Merges what others have written. */
export function defineMerger({
  outside,
  env,
  alarms,
  logger,
}: Pick<Base, 'outside' | 'env' | 'alarms' | 'logger'>) {
  return definePart('merger', () => {
    const merger = createMerger({
      env,
      start: outside.startMergeWorker,
      onAlarm({ kind, key }) {
        logger.error({ kind, key }, 'merging');
        if (kind === 'merge-outstanding') alarms.raise({ kind, key });
      },
    });
    return { face: merger, stop: () => merger.stop() };
  });
}

/** Merges for own writes. Its worker begins with the first of them that needs one: that must not wait behind records of others. */
export function defineOwnMerger({ outside, env, logger }: Pick<Base, 'outside' | 'env' | 'logger'>) {
  return definePart('own merger', () => {
    const merger = createMerger({
      env,
      start: outside.startMergeWorker,
      onAlarm: (alarm) => logger.error({ ...alarm }, 'merging'),
    });
    return { face: merger, stop: () => merger.stop() };
  });
}

/** Opens the store, after whatever repair it needs, and loads the participants of private records. */
export function defineStore({
  database,
  merger,
  participants,
  identity,
  hooks,
  alarms,
  logger,
}: Pick<Base, 'identity' | 'hooks' | 'alarms' | 'logger'> & {
  readonly database: Face<Database>;
  readonly merger: Face<Merger>;
  readonly participants: Participants;
}) {
  return definePart<Store>('store', async () => {
    const load = (opened: Store): Promise<void> => participants.load(opened);
    const store = await openStore(database.face, merger.face, load, alarms, logger);
    // Before anything is written: pending notices are recorded in the very batch.
    store.pendingNotices.whereItConcerns((change) => concernsUsers(change, identity.peerId));
    store.changedListings.follow();
    hooks.committed.on('participants', ({ changes }) => participants.note(changes));
    hooks.repaired.on('participants', (states) =>
      participants.note(states.map((after) => ({ key: after.key, before: undefined, after }))),
    );
    return { face: store };
  });
}

/** Of the DynamoDB mirror; undefined when that is off. Opened before anything else is written: what has passed it is in no table. */
export function defineOutbox({
  settings,
  clock,
  hooks,
  database,
}: Pick<Base, 'settings' | 'clock' | 'hooks'> & { readonly database: Face<Database> }) {
  return definePart('outbox', async () => {
    const outbox = await openOutbox(database.face, settings, clock.now);
    hooks.reopened.on('outbox', () => outbox?.reload());
    return { face: outbox };
  });
}
