import type { Database } from '../../storage/database.ts';
import { fullKey, range, type SublevelName } from '../../storage/keyspace.ts';
import { verifiedJson } from '../../storage/values.ts';

type Db = Pick<Database, 'level'>;

/** The row of a sublevel under its inner key. Throws `value-damaged`. */
export async function rowOf<T>({ level }: Db, name: SublevelName, inner: string): Promise<T | undefined> {
  const key = fullKey(name, inner);
  const value = await level.get(key);
  return value && verifiedJson<T>(key, value);
}

/** All rows of a small sublevel, with their full keys. Throws `value-damaged`. */
export async function rowsOf<T>({ level }: Db, name: SublevelName): Promise<{ key: string; row: T }[]> {
  const found = await level.iterator(range(name)).all();
  return found.map(([key, value]) => ({ key, row: verifiedJson<T>(key, value) }));
}
