import type { Database } from './database.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { putJson, readRows } from './values.ts';

/** A signed-in browser. Times in milliseconds since 1970. */
export interface StoredSession {
  /** SHA-256 of the token, hex; the token itself is in the browser alone. */
  readonly id: string;
  /** Whom it acts for: the id of a key. */
  readonly principal: string;
  /** How it was signed in. */
  readonly by: string;
  /** What the browser calls itself. */
  readonly agent: string;
  readonly startedAt: number;
  readonly lastSeenAt: number;
  readonly endsAt: number;
}

export interface SessionTable {
  /** Damaged rows are left out: those browsers sign in again. */
  load(): Promise<StoredSession[]>;
  /** One batch. With `sync` it is on disk when this resolves. Throws `disk-full`, `storage-failed`. */
  write(put: readonly StoredSession[], del: readonly string[], sync: boolean): Promise<void>;
}

export function sessionTable(db: Database): SessionTable {
  return {
    load: () => readRows<StoredSession>(db, 'sessions', () => undefined),
    async write(put, del, sync) {
      const ops: BatchOp[] = del.map((id) => ({ type: 'del', key: fullKey('sessions', id) }));
      for (const row of put) ops.push(putJson(fullKey('sessions', row.id), row));
      await db.batch(ops, sync);
    },
  };
}
