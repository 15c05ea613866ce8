import { pause } from '../../protocols/env.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Database } from '../../storage/database.ts';
import type { Store } from '../../storage/store.ts';
import { definePart, type Face } from '../parts.ts';
import { StorageGuard } from '../storage-guard.ts';
import type { WriteRefusal } from '../write-refusal.ts';
import type { Base } from './base.ts';
import type { UsageTable } from '../../storage/usage.ts';
import type { DiskAlarm } from '../alarms.ts';

export interface GuardComponents extends Pick<
  Base,
  'env' | 'outside' | 'settings' | 'self' | 'hooks' | 'alarms' | 'logger'
> {
  readonly database: Face<Database>;
  readonly store: Face<Store>;
  readonly ledger: Face<Pick<Ledger, 'alone'>>;
  readonly refusal: WriteRefusal;
}

/** Watches the disk: refuses writes while little is free, and opens the database again after it failed. */
export function defineGuard({
  env,
  outside,
  settings,
  self,
  hooks,
  alarms,
  logger,
  refusal,
  ...parts
}: GuardComponents) {
  return definePart('storage guard', () => {
    const store = parts.store.face;
    const growth = createGrowth(store.usage, self);
    const reserve = settings.diskReserveMb * 1024 * 1024;
    const guard = new StorageGuard({
      env,
      db: parts.database.face,
      store,
      refusal,
      dataDir: settings.dataDir,
      freeBytes: () => outside.freeBytes(settings.dataDir),
      reserveBytes: reserve,
      logger,
      alone: (work) => parts.ledger.face.alone(work),
      reload: () => hooks.reopened.emitAndWait(),
      onFilling: (free) => alarms.raise({ kind: 'disk-filling', free, reserve, most: growth.most() }),
      onRecovered: () => hooks.recovered.emit(),
    });
    hooks.alarmed.on('storage guard', ({ kind }) => {
      if (kind === 'commit-failed') guard.failed();
    });
    guard.start();
    return { face: guard, stop: () => guard.stop() };
  });
}

/** When tables are read, in milliseconds: after the start has had its time, 2 MiB each at a hundredth of a core. */
const TABLES = { firstMs: 10_000, betweenMs: 250 } as const;

/** Reads, in the background, the tables of the database that its opening has passed over. A damaged one stops all writing: a restart repairs it. */
export function defineTableCheck({
  env,
  logger,
  database,
}: Pick<Base, 'env' | 'logger'> & { readonly database: Face<Pick<Database, 'checkTables'>> }) {
  return definePart('table check', () => {
    const ended = new AbortController();
    const mayGoOn = async (ms: number): Promise<boolean> => {
      await pause(env, ms, ended.signal, { holds: false });
      return !ended.signal.aborted;
    };
    async function check(): Promise<void> {
      if (!(await mayGoOn(TABLES.firstMs))) return;
      const tables = await database.face.checkTables(() => mayGoOn(TABLES.betweenMs));
      if (tables.length > 0)
        logger.error(
          { tables },
          'tables of the database are damaged: restart the daemon, which repairs them',
        );
    }
    const checked = check().catch((error: unknown) =>
      logger.warn({ err: error }, 'the tables of the database could not be read; the next start tries again'),
    );
    return {
      face: undefined,
      stop() {
        ended.abort();
        return checked;
      },
    };
  });
}

/** Whose entries have grown most since this was made: at the start of the process. */
function createGrowth(usage: Pick<UsageTable, 'authors'>, self: string): { most(): DiskAlarm['most'] } {
  const before = new Map([...usage.authors()].map(([author, { bytes }]) => [author, bytes]));
  return {
    most() {
      const [first] = [...usage.authors()]
        .map(([author, { bytes }]) => ({
          author,
          bytes: bytes - (before.get(author) ?? 0),
          own: author === self,
        }))
        .toSorted((a, b) => b.bytes - a.bytes);
      return first;
    },
  };
}
