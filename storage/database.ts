import { cp, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { AgrinetError, errorMessage } from '../protocols/errors.ts';
import { migrate } from './migrations.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';

export type Level = ClassicLevel<string, Uint8Array>;

/** Commits whose numbers are kept: more than one write buffer of LevelDB can hold, so that a hole in its log shows. */
const JOURNAL_KEPT = 16_384;

/** What opening found wrong. Anything but `none` means: derive everything anew from the entries that are left. */
export interface Findings {
  /** Commits missing in the middle, damage in the log. */
  readonly holes: number;
  /** Commits that were acknowledged and are gone from the end. */
  readonly tailLost: number;
  readonly repaired: boolean;
  readonly firstStart: boolean;
}

/**
 * LevelDB with what it lacks: a marker that tells a first start from a lost database, a numbered journal that shows holes and
 * short tails, repair on a copy, re-opening after an I/O error. Throws `database-missing`, `database-locked`,
 * `database-newer`, `database-damaged`, `folder-unwritable`, `disk-full`.
 */
export class Database {
  readonly folder: string;
  #level: Level;
  #commitNo = 0;
  #head: number;
  findings: Findings;
  #broken: unknown;

  private constructor(folder: string, level: Level, head: number, findings: Findings) {
    this.folder = folder;
    this.#level = level;
    this.#head = head;
    this.findings = findings;
  }

  /** `create` makes a database at the first start; maintenance wants one that is there. */
  static async open(dataDir: string, create = true): Promise<Database> {
    const folder = join(dataDir, 'db');
    const marker = join(dataDir, 'initialized');
    await mkdir(dataDir, { recursive: true }).catch(fail);
    const initialized = await exists(marker);
    const present = await exists(join(folder, 'CURRENT'));
    if (initialized && !present) {
      throw new AgrinetError(
        'database-missing',
        `${folder} is gone although this node was initialised before. Put it back, or restore a backup; to begin with an empty one and refill it from peers, delete ${marker}`,
      );
    }
    if (!create && !present)
      throw new AgrinetError(
        'database-missing',
        `there is no database in ${dataDir}; start the node once, or set DATA_DIR`,
      );
    const { level, repaired } = await openLevel(folder, !initialized);
    const head = openSync(join(dataDir, 'head'), 'a+', 0o600);
    closeSync(head);
    const writable = openSync(join(dataDir, 'head'), 'r+');
    const db = new Database(folder, level, writable, {
      holes: 0,
      tailLost: 0,
      repaired,
      firstStart: !initialized,
    });
    try {
      await migrate(db.#level);
      await db.#checkJournal(join(dataDir, 'head'));
      if (!initialized)
        await writeFile(marker, `${new Date().toISOString()}\n`, { flag: 'wx' }).catch(ignoreExisting);
    } catch (error) {
      await db.close();
      throw error;
    }
    return db;
  }

  /** The open LevelDB; throws `storage-failed` while it is being re-opened. */
  get level(): Level {
    return this.#level;
  }

  get failed(): boolean {
    return this.#broken !== undefined;
  }

  /** One atomic batch. After an error nothing is written until `reopen` succeeded. Throws `disk-full` or `storage-failed`. */
  async batch(ops: BatchOp[], sync: boolean): Promise<void> {
    if (this.#broken !== undefined) throw storageError(this.#broken);
    const no = this.#commitNo + 1;
    const key = fullKey('journal', numberKey(no, 12));
    ops.push({ type: 'put', key, value: EMPTY });
    if (no > JOURNAL_KEPT)
      ops.push({ type: 'del', key: fullKey('journal', numberKey(no - JOURNAL_KEPT, 12)) });
    try {
      await this.#level.batch(ops, { sync });
    } catch (error) {
      this.#broken = error;
      throw storageError(error);
    }
    this.#commitNo = no;
    // Not fsynced: it tells after a crash how much a damaged log lost, nothing depends on it.
    writeSync(this.#head, numberKey(no, 12), 0);
  }

  /** Closes and opens again after an I/O error; LevelDB refuses writes until then. */
  async reopen(): Promise<void> {
    await this.#level.close().catch(() => undefined);
    const { level } = await openLevel(this.folder, false);
    this.#level = level;
    await this.#readCommitNo();
    this.#broken = undefined;
  }

  async close(): Promise<void> {
    closeSync(this.#head);
    await this.#level.close();
  }

  async #readCommitNo(): Promise<number[]> {
    const numbers: number[] = [];
    for await (const key of this.#level.keys(range('journal')))
      numbers.push(Number.parseInt(innerKey(key), 16));
    this.#commitNo = numbers.at(-1) ?? 0;
    return numbers;
  }

  async #checkJournal(headFile: string): Promise<void> {
    const numbers = await this.#readCommitNo();
    const first = numbers[0] ?? 1;
    const holes = numbers.length === 0 ? 0 : this.#commitNo - first + 1 - numbers.length;
    const text = readFileSync(headFile, 'utf8').trim();
    const noted = text === '' ? 0 : Number.parseInt(text, 16);
    const lost = Number.isSafeInteger(noted) ? Math.max(0, noted - this.#commitNo) : 0;
    this.findings = { ...this.findings, holes, tailLost: lost };
  }
}

const EMPTY = new Uint8Array(0);

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function ignoreExisting(error: unknown): Promise<void> {
  if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'EEXIST') return;
  await fail(error);
}

function fail(error: unknown): Promise<never> {
  throw storageError(error);
}

/** An error of the file system or LevelDB under its own code. */
export function storageError(error: unknown): AgrinetError {
  if (error instanceof AgrinetError) return error;
  const text = causes(error);
  if (/ENOSPC|No space left/i.test(text))
    return new AgrinetError('disk-full', 'the disk is full; free some space, the node goes on by itself', {
      cause: error,
    });
  if (/EACCES|EROFS|EPERM|Permission denied|Read-only/i.test(text)) {
    return new AgrinetError('folder-unwritable', `cannot write to the data folder: ${text.slice(0, 200)}`, {
      cause: error,
    });
  }
  return new AgrinetError('storage-failed', `the database cannot write: ${text.slice(0, 200)}`, {
    cause: error,
  });
}

function causes(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  return `${code} ${errorMessage(error)}${cause === undefined ? '' : ` ${causes(cause)}`}`.trim();
}

async function openLevel(
  folder: string,
  createIfMissing: boolean,
): Promise<{ level: Level; repaired: boolean }> {
  try {
    return { level: await tryOpen(folder, createIfMissing), repaired: false };
  } catch (error) {
    const text = causes(error);
    if (/LEVEL_LOCKED|lock /i.test(text)) {
      throw new AgrinetError('database-locked', `another process has ${folder} open; stop it first`, {
        cause: error,
      });
    }
    if (!/LEVEL_CORRUPTION|Corruption|missing files/i.test(text)) throw storageError(error);
  }
  const kept = await keepCopy(folder);
  try {
    await ClassicLevel.repair(folder);
    return { level: await tryOpen(folder, false), repaired: true };
  } catch (error) {
    throw new AgrinetError(
      'database-damaged',
      `${folder} is damaged and could not be repaired; a copy is in ${kept}`,
      { cause: error },
    );
  }
}

async function tryOpen(folder: string, createIfMissing: boolean): Promise<Level> {
  const level: Level = new ClassicLevel(folder, {
    valueEncoding: 'view',
    createIfMissing,
    writeBufferSize: 8 * 1024 * 1024,
  });
  await level.open();
  return level;
}

/** Repair may throw data away: it runs on the original only after a copy stands beside it. The newest copy is kept. */
async function keepCopy(folder: string): Promise<string> {
  const copy = `${folder}.damaged`;
  await rm(copy, { recursive: true, force: true });
  await cp(folder, copy, { recursive: true }).catch(fail);
  return copy;
}
