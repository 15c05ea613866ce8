import { statfs } from 'node:fs/promises';
import { AgrinetError } from '../protocols/errors.ts';
import type { Database } from '../storage/database.ts';
import type { Store } from '../storage/store.ts';
import type { Logger } from './logger.ts';
import type { WriteRefusal } from './write-refusal.ts';

/** Watches the disk: refuses writes while little is free, and opens the database again after it failed. */
export interface StorageGuard {
  start(): void;
  stop(): void;
  /** A commit failed: look now rather than at the next round. */
  failed(): void;
}

/** Between two looks at the free space, each of which is one `statfs`. */
const CHECK_MS = 1000;
/** The alarm comes when this many times the reserve is free: with the default, 192 MiB before writes are refused. */
export const FILLING_TIMES = 4;
/** The longest wait between two tries to open a database that failed: space that was freed is used this soon. */
const REOPEN_MAX_MS = 15_000;
/** Opening writes the log into a table first: with less than this free it would fail half way, and reading with it. */
const REOPEN_BYTES = 12 * 1024 * 1024;

export interface StorageGuardParts {
  readonly db: Database;
  readonly store: Store;
  /** Set here while nothing may be written. */
  readonly refusal: WriteRefusal;
  readonly dataDir: string;
  readonly reserveBytes: number;
  readonly logger: Logger;
  /** Runs work while no write is under way. */
  alone(work: () => Promise<void>): Promise<void>;
  /** Reads again what others keep in memory of the database, after it was opened anew. */
  reload(): Promise<void>;
  /** The disk is on its way to be full: so many bytes are free. Once, until there was room again. */
  onFilling(freeBytes: number): void;
  /** Writing goes on: what could not be taken in meanwhile can be asked for now. */
  onRecovered(): void;
}

export function createStorageGuard(parts: StorageGuardParts): StorageGuard {
  const { db, store, refusal, dataDir, reserveBytes, logger } = parts;
  let refused: AgrinetError['code'] | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let checking = false;
  let wait = CHECK_MS;
  let filling = false;

  async function freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(dataDir);
    return bavail * bsize;
  }

  async function check(): Promise<void> {
    try {
      const free = await freeBytes();
      const low = free < FILLING_TIMES * reserveBytes;
      if (low && !filling) parts.onFilling(free);
      filling = low;
      const needed = db.failed ? Math.max(reserveBytes, REOPEN_BYTES) : reserveBytes;
      if (free < needed) {
        note(
          new AgrinetError(
            'disk-full',
            `less than ${Math.ceil(needed / 1024 / 1024)} MiB are free on the disk of ${dataDir}; free some space, the node goes on by itself`,
          ),
        );
        return;
      }
      if (db.failed) {
        note(new AgrinetError('storage-failed', 'the database is being opened again; try again soon'));
        await parts.alone(() =>
          db.reopen(async () => {
            await store.reload();
            await parts.reload();
          }),
        );
        logger.warn('the database was opened again');
      }
      wait = CHECK_MS;
      if (refused === undefined) return;
      logger.info({ code: refused }, 'writing again');
      refused = undefined;
      refusal.set(undefined);
      parts.onRecovered();
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
    if (refused !== error.code) logger.error({ code: error.code }, 'writing is refused');
    refused = error.code;
    refusal.set(error);
  }

  function schedule(ms: number): void {
    if (stopped || checking) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      checking = true;
      void check().finally(() => {
        checking = false;
        schedule(wait);
      });
    }, ms);
    timer.unref();
  }

  return {
    start: () => schedule(0),
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
    failed: () => schedule(0),
  };
}
