import type { Database } from './database.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { putJson, readRows } from './values.ts';

/** The rows of one user each, by id: in no feed, digest, export or mirrored table. */
export interface UserTable<T extends { readonly id: string }> {
  load(): Promise<T[]>;
  /** On disk when it resolves. Throws `disk-full`, `storage-failed`. */
  put(row: T): Promise<void>;
  remove(id: string): Promise<void>;
}

/** A damaged row is named and left out. */
export function userTable<T extends { readonly id: string }>(
  db: Database,
  onDamaged: (key: string) => void,
): UserTable<T> {
  const keyOf = (id: string): string => fullKey('users', encodeURIComponent(id));
  const write = (op: BatchOp): Promise<void> => db.batch([op], true);
  return {
    load: () => readRows<T>(db, 'users', onDamaged),
    put: (row) => write(putJson(keyOf(row.id), row)),
    remove: (id) => write({ type: 'del', key: keyOf(id) }),
  };
}
