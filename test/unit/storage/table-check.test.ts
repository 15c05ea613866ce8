import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { createLogger, type Logger } from '../../../daemon/logger.ts';
import { StorageGuard } from '../../../daemon/storage-guard.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { createWriteRefusal, type WriteRefusal } from '../../../daemon/write-refusal.ts';
import type { Level } from '../../../storage/level.ts';
import { Database } from '../../../storage/database.ts';
import { Store } from '../../../storage/store.ts';
import { openLevel } from '../../../storage/open-level.ts';
import { damagedTables, liveTables, noteTables } from '../../../storage/table-check.ts';
import { seededRandom } from '../../support/random.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

let dir: ReturnType<typeof tempDir>;
let folder: string;
beforeEach(() => {
  dir = tempDir('table-check');
  folder = join(dir.path, 'db');
});
afterEach(() => dir.remove());

/** A write buffer of the smallest size: tables and compactions come at once. */
const open = (create = false): ReturnType<typeof openLevel> =>
  openLevel(folder, {
    createIfMissing: create,
    mayRepair: true,
    now: systemEnv.now,
    writeBufferBytes: 64 * 1024,
  });

const tables = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.ldb'));

const noise = (random: () => number): Uint8Array =>
  new Uint8Array(Uint32Array.from({ length: 500 }, () => random() * 2 ** 32).buffer);

/** Values that no compression makes small, all over the key space, so that every table overlaps every other. */
async function fill(level: Level, random: () => number, batches: number): Promise<void> {
  for (let i = 0; i < batches; i++)
    await level.batch(
      Array.from({ length: 40 }, () => ({
        type: 'put' as const,
        key: `e!${random().toString(36)}`,
        value: noise(random),
      })),
    );
}

it('notes what the database is made of and nothing that merely lies in its folder', async () => {
  const stray = join(folder, '999999.ldb');
  const first = await open(true);
  await fill(first.level, seededRandom(1), 10);
  await first.level.compactRange('\0', '\u{10ffff}');
  await first.level.close();
  // A stop within a compaction leaves a table; opening drops it, and the next compaction writes another under its number.
  writeFileSync(stray, 'cut short');
  const { level } = await open();
  expect(tables()).not.toContain('999999.ldb');
  writeFileSync(stray, 'half');
  const live = liveTables(level.getProperty('leveldb.sstables'));
  expect(live.length).toBeGreaterThan(0);
  await noteTables(folder, live);
  await level.close();
  appendFileSync(stray, ' and the other half');
  expect(await damagedTables(folder)).toEqual([]);
  for (const name of tables().filter((each) => each !== '999999.ldb')) {
    const bytes = readFileSync(join(folder, name));
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] ?? 0) ^ 4;
    writeFileSync(join(folder, name), bytes);
    expect(await damagedTables(folder)).toContain(name);
  }
});

it('reads the tables out of keys that look like lines of their own', () => {
  const property =
    "--- level 0 ---\n 17:123['a[ 5:6[' @ 3 : 1 .. 'b\\x0a 9:9['] @ 2 : 1]\n--- level 1 ---\n 4:5['a' .. 'b']\n";
  expect(liveTables(property)).toEqual([17, 4]);
});

it('does not take tables for damaged that a repair wrote anew under their names', async () => {
  const { level } = await open(true);
  await fill(level, seededRandom(2), 20);
  await level.close();
  await (await open()).level.close(); // notes them
  const [name = ''] = tables();
  writeFileSync(join(folder, name), 'nothing is left of it');
  const first = await open();
  expect(first.repaired).toBe(true);
  await first.level.close();
  const second = await open();
  expect(second.repaired).toBe(false);
  await second.level.close();
});

describe('a daemon, which reads tables while it runs', () => {
  const start = (): Promise<Database> =>
    Database.open(dir.path, systemEnv, { tablesLater: true, writeBufferBytes: 64 * 1024 });
  const all = async (): Promise<boolean> => true;

  /** A database of several tables, all of them noted, after a clean stop. */
  async function stopped(): Promise<string[]> {
    const db = await start();
    await fill(db.level, seededRandom(3), 60);
    await db.level.compactRange('\0', '\u{10ffff}');
    expect(await db.checkTables(all)).toEqual([]);
    await db.close();
    const names = Object.keys(notes().tables);
    expect(names.length).toBeGreaterThan(1);
    return names;
  }
  const notes = () =>
    JSON.parse(readFileSync(join(folder, 'tables.json'), 'utf8')) as {
      tables: Record<string, { crc: number }>;
    };
  /** What a disk that forgets looks like: other bytes than were noted, and a file that nobody has touched. */
  function rot(name: string): void {
    const noted = notes();
    const table = noted.tables[name];
    if (table === undefined) throw new TypeError(`${name} is not noted`);
    table.crc ^= 1;
    writeFileSync(join(folder, 'tables.json'), JSON.stringify(noted));
  }
  const repairs = async (): Promise<boolean> => {
    const db = await start();
    await db.close();
    return db.findings.repaired;
  };

  it('reads at its start what somebody has touched since its clean stop', async () => {
    const [name = ''] = await stopped();
    const bytes = readFileSync(join(folder, name));
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(join(folder, name), bytes);
    expect(await repairs()).toBe(true);
  });

  it('finds the others later, stops writing, and repairs them at its next start', async () => {
    const [name = ''] = await stopped();
    rot(name);
    const db = await start();
    expect(db.findings.repaired).toBe(false);
    expect(existsSync(join(folder, 'clean'))).toBe(false);
    expect(await db.checkTables(all)).toEqual([name]);
    expect(db.failed).toBe(true);
    await expect(
      db.batch([{ type: 'put', key: 'e!x', value: new Uint8Array(1) }], true),
    ).rejects.toMatchObject({
      code: 'database-damaged',
    });
    await db.close();
    expect(existsSync(join(folder, 'clean'))).toBe(false);
    expect(await repairs()).toBe(true);
  });

  /** What the guard of a daemon's disk does when it looks, until it has told why nothing is written. */
  async function guarded(db: Database): Promise<{ refusal: WriteRefusal; stop: () => void }> {
    const refusal = createWriteRefusal(() => db);
    const told: string[] = [];
    const guard = new StorageGuard({
      env: systemEnv,
      db,
      store: await Store.open(db),
      refusal,
      dataDir: dir.path,
      freeBytes: async () => 2 ** 40,
      reserveBytes: 0,
      logger: {
        ...createLogger({ logLevel: 'silent' }),
        error: (what: object) => void told.push(JSON.stringify(what)),
      } as Logger,
      alone: (work) => work(),
      reload: async () => undefined,
      onFilling: () => undefined,
      onRecovered: () => undefined,
    });
    guard.failed();
    await waitFor('the guard to look', () => told.length > 0);
    onTestFinished(() => guard.stop()); // else it would go on beside the tests that follow
    return { refusal, stop: () => guard.stop() };
  }

  it('reads on when a damaged table was found, and says of a write what mends it', async () => {
    const [name = ''] = await stopped();
    rot(name);
    const db = await start();
    await db.checkTables(all);
    const { refusal, stop } = await guarded(db);
    expect(refusal.get()).toMatchObject({
      code: 'database-damaged',
      message: expect.stringMatching(/until you restart the daemon/),
    });
    expect(db.level.status).toBe('open');
    for await (const key of db.level.keys({ limit: 1 })) expect(key).not.toBe('');
    stop();
    await db.close();
    expect(await repairs()).toBe(true);
  });

  it('says the same when the damage shows at an opening after an I/O error', async () => {
    const [name = ''] = await stopped();
    const db = await start();
    rot(name);
    const { level } = db;
    const batch = level.batch.bind(level);
    level.batch = (() => Promise.reject(new Error('I/O error'))) as never;
    await expect(db.batch([{ type: 'put', key: 'e!x', value: new Uint8Array(1) }], true)).rejects.toThrow();
    level.batch = batch;
    const { refusal, stop } = await guarded(db);
    await waitFor('the damage to be told', () => refusal.get()?.code === 'database-damaged');
    expect(() => db.level).toThrow(/until you restart the daemon/);
    stop();
    await db.close();
    expect(await repairs()).toBe(true);
  });

  it('reads everything at its start after any other end', async () => {
    const [name = ''] = await stopped();
    rot(name);
    rmSync(join(folder, 'clean'));
    expect(await repairs()).toBe(true);
  });

  it('notes tables as far as it came when it is stopped meanwhile', async () => {
    const names = await stopped();
    rmSync(join(folder, 'tables.json'));
    const db = await start();
    let left = 1;
    expect(await db.checkTables(async () => left-- > 0)).toEqual([]);
    await db.close();
    expect(Object.keys(notes().tables)).toHaveLength(2);
    const again = await start();
    expect(await again.checkTables(all)).toEqual([]);
    await again.close();
    expect(Object.keys(notes().tables).toSorted()).toEqual(names.toSorted());
  });
});
