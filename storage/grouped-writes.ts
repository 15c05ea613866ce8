import type { Database } from './database.ts';
import type { BatchOp } from './keyspace.ts';

/** Writes that share batches, and so an fsync: one at a time, and what comes while it is under way goes together in the next. */
export class GroupedWrites {
  readonly #db: Pick<Database, 'batch'>;
  #ops: BatchOp[] = [];
  #sync = false;
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(db: Pick<Database, 'batch'>) {
    this.#db = db;
  }

  /** Resolves when they are in the database, with `sync` on its disk. Throws `disk-full`, `storage-failed`. */
  add(ops: readonly BatchOp[], sync: boolean): Promise<void> {
    this.#ops.push(...ops);
    this.#sync ||= sync;
    this.#next ??= this.#writing.then(() => {
      const written = this.#db.batch(this.#ops, this.#sync);
      [this.#ops, this.#sync, this.#next] = [[], false, undefined];
      this.#writing = written.catch(() => undefined); // told to those who wait for it
      return written;
    });
    return this.#next;
  }
}
