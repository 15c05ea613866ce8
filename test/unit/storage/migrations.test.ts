import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey } from '../../../storage/keyspace.ts';
import { LAYOUT, type Migration, migrate } from '../../../storage/migrations.ts';
import { verifiedJson, jsonWithChecksum } from '../../../storage/values.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let db: Database;
beforeEach(async () => {
  dir = tempDir('migrations');
  db = await Database.open(dir.path, systemEnv);
});
afterEach(async () => {
  await db.close();
  dir.remove();
});

const OLD = fullKey('meta', 'old');
const NEW = fullKey('meta', 'new');
const VERSION = fullKey('meta', 'version');
const rename: Migration = {
  to: LAYOUT + 1,
  run: async (level) => {
    const value = await level.get(OLD);
    if (value === undefined) return [];
    return [
      { type: 'put', key: NEW, value },
      { type: 'del', key: OLD },
    ];
  },
};
const fails: Migration = { to: LAYOUT + 2, run: () => Promise.reject(new Error('cut off')) };

it('migrates forward, each step whole or not at all', async () => {
  await db.level.put(OLD, new Uint8Array([7]));
  await expect(migrate(db.level, systemEnv.now, [rename, fails])).rejects.toThrow('cut off');
  expect(await db.level.get(OLD)).toBeUndefined();
  expect(await db.level.get(NEW)).toEqual(Buffer.from([7]));
  const stamped = await db.level.get(VERSION);
  expect(stamped && verifiedJson(VERSION, stamped)).toBe(LAYOUT + 1);
  expect(await migrate(db.level, systemEnv.now, [rename])).toBe(LAYOUT + 1);
});

it('refuses a database of a newer version', async () => {
  await db.level.put(VERSION, jsonWithChecksum(VERSION, 99));
  await expect(migrate(db.level, systemEnv.now)).rejects.toMatchObject({ code: 'database-newer' });
});
