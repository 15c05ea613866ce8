import type { Env, Timer } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { Database } from '../storage/database.ts';
import type { Store } from '../storage/store.ts';
import type { Logger } from './logger.ts';
import type { WriteRefusal } from './write-refusal.ts';

/** Between two checks of the free space, each of which asks the disk. */
const CHECK_MS = 1000;
/** The alarm comes when this many times the reserve is free: with the default, 192 MiB before writes are refused. */
export const FILLING_TIMES = 4;
/** The longest wait between two tries to open a database that failed: space that was freed is used this soon. */
const REOPEN_MAX_MS = 15_000;
/** Opening writes the log into a table first: with less than this free it would fail half way, and reading with it. */
const REOPEN_BYTES = 12 * 1024 * 1024;

export interface StorageGuardParts {
  readonly env: Pick<Env, 'after'>;
  readonly db: Database;
  readonly store: Store;
  /** Set here while nothing may be written. */
  readonly refusal: WriteRefusal;
  readonly dataDir: string;
  readonly freeBytes: () => Promise<number>;
  readonly reserveBytes: number;
  readonly logger: Logger;
  /** Runs work while no write is under way. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
  /** Lets other parts read again what they keep in memory, after the database was reopened. */
  readonly reload: () => Promise<void>;
  /** The disk is on its way to be full: so many bytes are free. Once, until there was room again. */
  readonly onFilling: (freeBytes: number) => void;
  /** Writing has resumed: entries that could not be admitted meanwhile can be requested now. */
  readonly onRecovered: () => void;
}

/** Watches the disk: refuses writes while little is free, and opens the database again after it failed. */
export class StorageGuard {
  readonly #parts: StorageGuardParts;
  #refused: AgrinetError['code'] | undefined;
  #timer: Timer | undefined;
  #stopped = false;
  #checking = false;
  #wait = CHECK_MS;
  #filling = false;

  constructor(parts: StorageGuardParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#schedule(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** A commit failed: look now rather than at the next round. */
  failed(): void {
    this.#schedule(0);
  }

  #schedule(ms: number): void {
    if (this.#stopped || this.#checking) return;
    this.#timer?.cancel();
    this.#timer = this.#parts.env.after(
      ms,
      () => {
        this.#checking = true;
        void this.#check().finally(() => {
          this.#checking = false;
          this.#schedule(this.#wait);
        });
      },
      { holds: false },
    );
  }

  async #check(): Promise<void> {
    const { db, refusal, logger, onRecovered } = this.#parts;
    try {
      const short = await this.#shortOfSpace();
      if (short !== undefined) {
        this.#refuse(short);
        return;
      }
      // A database that reopening does not fix is left open: reading continues.
      if (db.damage !== undefined) return this.#refuse(db.damage);
      if (db.failed) await this.#reopen();
      this.#wait = CHECK_MS;
      if (this.#refused === undefined) return;
      logger.info({ code: this.#refused }, 'writes are accepted again');
      this.#refused = undefined;
      refusal.set(undefined);
      onRecovered();
    } catch (error) {
      this.#wait = Math.min(this.#wait * 2, REOPEN_MAX_MS);
      this.#refuse(
        error instanceof AgrinetError
          ? error
          : new AgrinetError('storage-failed', 'the database cannot be opened', { cause: error }),
      );
    }
  }

  /** Why the space that is free does not suffice; undefined when it does. Tells once that the disk is filling. */
  async #shortOfSpace(): Promise<AgrinetError | undefined> {
    const { db, dataDir, freeBytes, reserveBytes, onFilling } = this.#parts;
    const free = await freeBytes();
    const low = free < FILLING_TIMES * reserveBytes;
    if (low && !this.#filling) onFilling(free);
    this.#filling = low;
    const needed = db.failed ? Math.max(reserveBytes, REOPEN_BYTES) : reserveBytes;
    if (free >= needed) return undefined;
    return new AgrinetError(
      'disk-full',
      `less than ${Math.ceil(needed / 1024 / 1024)} MiB are free on the disk of ${dataDir}; free some space, and the node resumes by itself`,
    );
  }

  async #reopen(): Promise<void> {
    const { db, store, alone, reload, logger } = this.#parts;
    this.#refuse(new AgrinetError('storage-failed', 'the database is being reopened; try again shortly'));
    await alone(() =>
      db.reopen(async () => {
        await store.reload();
        await reload();
      }),
    );
    logger.warn('the database was reopened');
  }

  #refuse(error: AgrinetError): void {
    const { refusal, logger } = this.#parts;
    if (this.#refused !== error.code) logger.error({ code: error.code }, 'writes are refused');
    this.#refused = error.code;
    refusal.set(error);
  }
}
