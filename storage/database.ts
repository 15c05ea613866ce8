import { dirname, join } from 'node:path';
import type { Env } from '../protocols/env.ts';
import { AgrinetError, errorCode } from '../protocols/errors.ts';
import type { Turn } from '../protocols/ledger/turn.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { type HeadNote, type Level, type LevelHome, type LevelOptions, REBUILDING } from './level.ts';
import { LevelFolder } from './level-folder.ts';
import { migrate, type MigrationProgress, MIGRATIONS } from './migrations.ts';
import { damaged, isCorruption, storageError } from './storage-error.ts';

/** Commits whose numbers are kept: more than one write buffer of LevelDB can hold, so that a hole in its log shows. */
const JOURNAL_KEPT = 16_384;

/** What opening found wrong. Anything but `none` means: derive everything again from the remaining entries. */
export interface Findings {
  /** Commits missing in the middle, damage in the log. */
  readonly holes: number;
  /** Commits that were acknowledged and are gone from the end. */
  readonly tailLost: number;
  readonly repaired: boolean;
  readonly firstStart: boolean;
}

/** Sees every batch, one at a time, in the order in which they are written. */
export interface BatchTap {
  /** Writes to add to a batch. When it throws, nothing is written. */
  before(ops: readonly BatchOp[]): Promise<readonly BatchOp[]>;
  /** The batch is in the database; called before its writer is told. */
  written(): void;
}

/** What a database takes from the machine: time, timers, and random numbers. */
export type DatabaseEnv = Pick<Env, 'now' | 'monotonic' | 'cpu' | 'bytes' | 'after'>;

type Tuning = Pick<LevelOptions, 'writeBufferBytes' | 'now'>;

export interface OpenOptions extends Pick<LevelOptions, 'writeBufferBytes' | 'tablesLater'> {
  /** Make a database at the first start; maintenance wants one that is there. */
  readonly create?: boolean;
  /** Repair a database that does not open, in place, after a copy was made. Otherwise it is `database-damaged`. */
  readonly repair?: boolean;
  readonly onMigration?: MigrationProgress;
}

/**
 * LevelDB with what it lacks: a marker that distinguishes a first start from a lost database, a numbered journal that shows holes
 * and missing ends, repair after making a copy, re-opening after an I/O error. Throws `database-missing`, `database-locked`,
 * `database-newer`, `database-damaged`, `restore-unfinished`, `folder-unwritable`, `disk-full`.
 */
export class Database {
  readonly env: DatabaseEnv;
  readonly #home: LevelHome;
  readonly #tuning: Tuning;
  #level: Level;
  #commitNo = 0;
  #version = 0;
  readonly #head: HeadNote;
  findings: Findings;
  #broken: unknown;
  #queue: Promise<void> = Promise.resolve();
  readonly #counts = { batches: 0, synced: 0, failed: 0, reopened: 0 };
  #onSynced: ((ms: number) => void) | undefined;
  #tap: BatchTap | undefined;

  private constructor(
    { home, env, tuning }: { home: LevelHome; env: DatabaseEnv; tuning: Tuning },
    level: Level,
    head: HeadNote,
    findings: Findings,
  ) {
    this.env = env;
    this.#home = home;
    this.#tuning = tuning;
    this.#level = level;
    this.#head = head;
    this.findings = findings;
  }

  /** The database of a data folder. */
  static open(dataDir: string, env: DatabaseEnv, options: OpenOptions = {}): Promise<Database> {
    return Database.openAt(new LevelFolder(dataDir), env, options);
  }

  /** The database at its location, wherever that is. */
  static async openAt(home: LevelHome, env: DatabaseEnv, options: OpenOptions = {}): Promise<Database> {
    const { create = true, repair = true, tablesLater = false, onMigration, ...rest } = options;
    const tuning: Tuning = { ...rest, now: env.now };
    const initialized = await lookAt(home, create).catch(fail);
    const { level, repaired } = await home
      .open({ createIfMissing: !initialized, mayRepair: repair, tablesLater, ...tuning })
      .catch(fail);
    let db: Database;
    try {
      const findings = { holes: 0, tailLost: 0, repaired, firstStart: !initialized };
      db = new Database({ home, env, tuning }, level, home.head(), findings);
    } catch (error) {
      await level.close();
      throw storageError(error);
    }
    try {
      await db.#begin(repair, onMigration);
      if (!initialized) await home.initialize(env.now());
    } catch (error) {
      await db.close();
      throw storageError(error);
    }
    return db;
  }

  async #begin(mayRepair: boolean, onMigration?: MigrationProgress): Promise<void> {
    try {
      await migrate(this.#level, this.env.now, MIGRATIONS, onMigration);
      await this.#checkJournal();
    } catch (error) {
      if (error instanceof AgrinetError && error.code === 'value-damaged')
        throw new AgrinetError(
          'database-damaged',
          `${this.folder}: the version stamp is damaged; restore a backup`,
          { cause: error },
        );
      if (!isCorruption(error)) throw error;
      if (!mayRepair) throw damaged(this.folder, error);
      await this.repair();
      await migrate(this.#level, this.env.now, MIGRATIONS, onMigration);
      await this.#checkJournal();
    }
  }

  get folder(): string {
    return this.#home.folder;
  }

  /** The open LevelDB; throws `storage-failed` while it is being opened again, `database-damaged` where that will not be. */
  get level(): Level {
    if (this.#level.status !== 'open') throw this.damage ?? reopening(this.#broken);
    return this.#level;
  }

  /** Why nothing is written until the next start: tables are damaged. Reading continues where the database is open. */
  get damage(): AgrinetError | undefined {
    const broken = this.#broken;
    return broken instanceof AgrinetError && broken.code === 'database-damaged' ? broken : undefined;
  }

  /** Another number after every batch, also one that failed: what it changed is not known then. */
  get version(): number {
    return this.#version;
  }

  /** Batches written since the database was made: an older copy of it has a lower number. */
  get commits(): number {
    return this.#commitNo;
  }

  /** From now on every batch goes past `tap`; there is one at most. */
  tap(tap: BatchTap): void {
    this.#tap = tap;
  }

  get failed(): boolean {
    return this.#broken !== undefined;
  }

  /** Why nothing is written until it is opened again: `disk-full`, `storage-failed`, or the damage; undefined when it has not failed. */
  get failure(): AgrinetError | undefined {
    if (this.#broken === undefined) return undefined;
    const error = storageError(this.#broken);
    return error.code === 'storage-failed' ? reopening(error) : error;
  }

  /** Since it was opened: batches written, those of them that waited for the disk, those that failed, and openings after a failure. */
  get counts(): Readonly<Record<'batches' | 'synced' | 'failed' | 'reopened', number>> {
    return this.#counts;
  }

  /** Told how long each batch took that waited for the disk, in milliseconds; must not throw. */
  onSynced(listener: (ms: number) => void): void {
    this.#onSynced = listener;
  }

  /** Files of each level of LevelDB; the first counts towards a stall when it grows. */
  levelFiles(): number[] {
    return Array.from({ length: LEVELS }, (_, level) =>
      Number(this.level.getProperty(`leveldb.num-files-at-level${level}`)),
    );
  }

  /**
   * One atomic batch, after those before it. After an error nothing is written until `reopen` succeeded, because LevelDB would lose
   * at the next start what it appends after a torn record. A function is called when its batch is next, so that nothing is written
   * between what it reads and its batch; an empty result writes nothing. With a turn, a large batch is handed to LevelDB over
   * several turns of the event loop. Throws `disk-full` or `storage-failed`.
   */
  batch(ops: BatchOp[] | (() => Promise<BatchOp[]>), sync: boolean, turn?: Turn): Promise<void> {
    const written = this.#queue.then(async () => {
      if (typeof ops !== 'function') return this.#write(ops, sync, turn);
      const made = await ops();
      if (made.length > 0) await this.#write(made, sync, turn);
    });
    this.#queue = written.catch(() => undefined); // told to whoever wrote; the next one looks at #broken
    return written;
  }

  async #write(ops: BatchOp[], sync: boolean, turn?: Turn): Promise<void> {
    if (this.#broken !== undefined) throw storageError(this.#broken);
    if (this.#tap !== undefined) ops.push(...(await this.#tap.before(ops).catch(fail)));
    const no = this.#commitNo + 1;
    const key = fullKey('journal', numberKey(no, 12));
    ops.push({ type: 'put', key, value: EMPTY });
    if (no > JOURNAL_KEPT)
      ops.push({ type: 'del', key: fullKey('journal', numberKey(no - JOURNAL_KEPT, 12)) });
    const started = this.env.monotonic();
    try {
      if (turn === undefined || ops.length <= HANDED_AT_ONCE) await this.#level.batch(ops, { sync });
      else await this.#writeInTurns(ops, sync, turn);
    } catch (error) {
      this.#counts.failed++;
      this.#broken = error;
      throw storageError(error);
    } finally {
      this.#version++;
    }
    this.#commitNo = no;
    this.#counts.batches++;
    if (sync) {
      this.#counts.synced++;
      this.#onSynced?.(this.env.monotonic() - started);
    }
    this.#noteHead(no);
    this.#tap?.written();
  }

  /** One atomic batch like any other, put together row by row. */
  async #writeInTurns(ops: readonly BatchOp[], sync: boolean, turn: Turn): Promise<void> {
    const batch = this.#level.batch();
    for (const op of ops) {
      if (op.type === 'put') batch.put(op.key, op.value);
      else batch.del(op.key);
      if (turn.isOver()) await turn.next();
    }
    await batch.write({ sync });
  }

  /**
   * Not fsynced: after a crash it shows how much a damaged log has lost, and nothing depends on it. So a disk too full for it must
   * not make a successful commit fail.
   */
  #noteHead(no: number): void {
    try {
      this.#head.write(no);
    } catch {
      return; // the next commit notes a higher number
    }
  }

  /**
   * Closes and opens again after an I/O error; LevelDB refuses writes until then. Whether the failed batch is in the database shows
   * only now: `reload` reads again what is kept in memory, before anything is written. Throws `database-damaged` where opening does
   * not help, and leaves the database as it is where that is known before.
   */
  async reopen(reload: () => Promise<void>): Promise<void> {
    await this.#queue;
    if (this.damage !== undefined) throw this.damage;
    await this.#level.close();
    this.#level = await this.#openAgain();
    await this.#readJournal();
    await reload();
    this.#version++;
    this.#broken = undefined;
    this.#counts.reopened++;
  }

  async #openAgain(): Promise<Level> {
    try {
      const { level } = await this.#home.open({ createIfMissing: false, mayRepair: false, ...this.#tuning });
      return level;
    } catch (error) {
      if (errorCode(error) === 'database-damaged') this.#broken = tablesDamaged(error);
      throw error;
    }
  }

  /** Salvages what can be read, in place, after a copy was made. Everything derived then has to be derived again. */
  async repair(): Promise<void> {
    await this.#level.close();
    this.#level = await this.#home.repair(this.#tuning);
    await this.#readJournal();
    this.findings = { ...this.findings, repaired: true };
  }

  /** After a rebuild: the holes in the journal have been dealt with, and everything derived is complete. */
  async rebuilt(): Promise<void> {
    const held = new Set(await this.#readJournal());
    const ops: BatchOp[] = [{ type: 'del', key: REBUILDING }];
    for (let no = Math.max(1, this.#commitNo - JOURNAL_KEPT + 1); no < this.#commitNo; no++)
      if (!held.has(no)) ops.push({ type: 'put', key: fullKey('journal', numberKey(no, 12)), value: EMPTY });
    for (const no of held)
      if (no <= this.#commitNo - JOURNAL_KEPT)
        ops.push({ type: 'del', key: fullKey('journal', numberKey(no, 12)) });
    await this.batch(ops, true);
  }

  /**
   * Reads the tables that opening has passed over, and those that are new; `mayGoOn` waits after each, false ends it. A damaged one fails the
   * database: nothing is written any more, and the next start takes it out. Their names.
   */
  async checkTables(mayGoOn: () => Promise<boolean>): Promise<readonly string[]> {
    const broken = await this.#home.check(this.level, mayGoOn);
    if (broken.length > 0) this.#broken = tablesDamaged(new Error(`damaged: ${broken.join(', ')}`));
    return broken;
  }

  async close(): Promise<void> {
    this.#head.close();
    await this.#level.close();
    if (this.#broken === undefined) await this.#home.closed();
  }

  async #readJournal(): Promise<number[]> {
    const numbers: number[] = [];
    for await (const key of this.#level.keys(range('journal')))
      numbers.push(Number.parseInt(innerKey(key), 16));
    this.#commitNo = numbers.at(-1) ?? 0;
    return numbers;
  }

  async #checkJournal(): Promise<void> {
    const numbers = await this.#readJournal();
    const first = Math.max(1, this.#commitNo - JOURNAL_KEPT + 1);
    const holes = this.#commitNo - first + 1 - numbers.filter((no) => no >= first).length;
    const noted = this.#head.read();
    const tailLost = noted === undefined ? 0 : Math.max(0, noted - this.#commitNo);
    this.findings = { ...this.findings, holes, tailLost };
  }
}

const EMPTY = new Uint8Array(0);
/** Rows that LevelDB accepts in one call: some milliseconds. */
const HANDED_AT_ONCE = 1024;
/** LevelDB's own, fixed when it is built. */
const LEVELS = 7;

/** Whether a node was initialised there. Throws `database-missing`. */
async function lookAt(home: LevelHome, create: boolean): Promise<boolean> {
  const { initialized, present } = await home.look();
  const dataDir = dirname(home.folder);
  if (initialized && !present)
    throw new AgrinetError(
      'database-missing',
      `${home.folder} is missing although this node has been initialised. Put it back, or restore a backup; to start with an empty one and refill it from peers, delete ${join(dataDir, 'initialized')}`,
    );
  if (!create && !present)
    throw new AgrinetError(
      'database-missing',
      `there is no database in ${dataDir}; start the daemon once, or set DATA_DIR`,
    );
  return initialized;
}

/** A start repairs what no opening mends. */
function tablesDamaged(cause: unknown): AgrinetError {
  return new AgrinetError(
    'database-damaged',
    'tables of the database are damaged; nothing is written until you restart the daemon, which repairs them',
    { cause },
  );
}

function fail(error: unknown): Promise<never> {
  throw storageError(error);
}

function reopening(cause: unknown): AgrinetError {
  return new AgrinetError('storage-failed', 'the database is being reopened; try again shortly', { cause });
}
