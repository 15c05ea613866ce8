import { statfs } from 'node:fs/promises';
import { AgrinetError } from '../protocols/errors.ts';
import type { Database } from '../storage/database.ts';
import type { Store } from '../storage/store.ts';
import type { Logger } from './logger.ts';

/** Watches the disk: refuses writes while little is free, and opens the database again after it failed. */
export interface StorageGuard {
  start(): void;
  stop(): void;
  /** Why nothing may be written now, or undefined. */
  refusal(): AgrinetError | undefined;
  /** A commit failed: look now rather than at the next round. */
  failed(): void;
}

const CHECK_MS = 1000;
const REOPEN_MAX_MS = 15_000;

export function createStorageGuard(
  db: Database,
  store: Store,
  dataDir: string,
  reserveBytes: number,
  logger: Logger,
): StorageGuard {
  let refusal: AgrinetError | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let wait = CHECK_MS;

  async function freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(dataDir);
    return bavail * bsize;
  }

  async function check(): Promise<void> {
    try {
      const free = await freeBytes();
      if (free < reserveBytes) {
        note(
          new AgrinetError(
            'disk-full',
            `less than ${Math.round(reserveBytes / 1024 / 1024)} MiB are free on the disk of ${dataDir}; free some space, the node goes on by itself`,
          ),
        );
        return;
      }
      if (db.failed) {
        await db.reopen();
        await store.reload();
        logger.warn('the database was opened again');
      }
      if (refusal !== undefined) logger.info({ code: refusal.code }, 'writing again');
      refusal = undefined;
      wait = CHECK_MS;
    } catch (error) {
      wait = Math.min(wait * 2, REOPEN_MAX_MS);
      note(
        error instanceof AgrinetError
          ? error
          : new AgrinetError('storage-failed', 'the database cannot be opened', { cause: error }),
      );
    }
  }

  function note(error: AgrinetError): void {
    if (refusal?.code !== error.code) logger.error({ code: error.code }, 'writing is refused');
    refusal = error;
  }

  function schedule(ms: number): void {
    if (stopped) return;
    clearTimeout(timer);
    timer = setTimeout(() => void check().finally(() => schedule(wait)), ms);
    timer.unref();
  }

  return {
    start: () => schedule(0),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
    refusal: () =>
      refusal ??
      (db.failed ? new AgrinetError('storage-failed', 'the database is being opened again') : undefined),
    failed: () => schedule(0),
  };
}
