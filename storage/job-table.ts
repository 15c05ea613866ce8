import type { Database } from './database.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { putJson, readRows } from './values.ts';
import { GroupedWrites } from './grouped-writes.ts';

/** Rows of jobs, each whole. The caller keeps them all in memory; this is what a restart finds. */
export interface JobTable<Row extends { readonly id: string }> {
  /** In the order of ids. A damaged row is named and left out. */
  load(onDamaged: (key: string) => void): Promise<Row[]>;
  /**
   * One atomic batch; with `sync` it is on disk when this resolves. Those that wait for an fsync together share one.
   * Throws `disk-full`, `storage-failed`.
   */
  save(rows: readonly Row[], removed: readonly string[], sync: boolean): Promise<void>;
}

export function openJobTable<Row extends { readonly id: string }>(db: Database): JobTable<Row> {
  const writes = new GroupedWrites(db);
  return {
    load: (onDamaged) => readRows<Row>(db, 'jobs', onDamaged),
    save(rows, removed, sync) {
      const put = rows.map((row): BatchOp => putJson(fullKey('jobs', row.id), row));
      const gone = removed.map((id): BatchOp => ({ type: 'del', key: fullKey('jobs', id) }));
      return writes.add([...put, ...gone], sync);
    },
  };
}
