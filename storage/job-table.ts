import type { Database } from './database.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { putJson, readRows } from './values.ts';

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
  let waiting: BatchOp[] = [];
  let waitingSync = false;
  let flush: Promise<void> | undefined;
  let writing: Promise<void> = Promise.resolve();

  /** One write at a time; rows that arrive meanwhile are written together in the next. */
  function flushed(): Promise<void> {
    flush ??= writing.then(() => {
      const ops = waiting;
      const sync = waitingSync;
      waiting = [];
      waitingSync = false;
      flush = undefined;
      const written = db.batch(ops, sync);
      writing = written.catch(() => undefined); // told to those who wait for it
      return written;
    });
    return flush;
  }

  return {
    load: (onDamaged) => readRows<Row>(db, 'jobs', onDamaged),
    save(rows, removed, sync) {
      for (const row of rows) {
        waiting.push(putJson(fullKey('jobs', row.id), row));
      }
      for (const id of removed) waiting.push({ type: 'del', key: fullKey('jobs', id) });
      waitingSync ||= sync;
      return flushed();
    },
  };
}
