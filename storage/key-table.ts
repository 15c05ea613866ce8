import type { Database } from './database.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { putJson, readRows } from './values.ts';

/** An API key as it is kept: its keyed hash, never the key. Times in milliseconds since 1970. */
export interface StoredKey {
  readonly id: string;
  /** HMAC-SHA256 of the whole key, hex. */
  readonly hash: string;
  readonly userId: string;
  readonly scopes: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly usageCount: number;
  readonly lastUsedAt?: number;
  readonly revokedAt?: number;
  readonly replacedBy?: string;
  /** How many nodes may register with it; absent: one. */
  readonly uses?: number;
  /** The first key of its rotations; absent: itself. */
  readonly root?: string;
}

/** The table of API keys. */
export interface KeyTable {
  load(): Promise<StoredKey[]>;
  /** One batch. With `sync` it is on disk when this resolves. Throws `disk-full`, `storage-failed`. */
  write(
    put: readonly StoredKey[],
    del: readonly string[],
    options: { readonly sync: boolean },
  ): Promise<void>;
}

/** A damaged row is named and left out: that key is then refused, and the others still work. */
export function keyTable(db: Database, onDamaged: (key: string) => void): KeyTable {
  return {
    load: () => readRows<StoredKey>(db, 'apiKeys', onDamaged),
    async write(put, del, { sync }) {
      const ops: BatchOp[] = del.map((id) => ({ type: 'del', key: fullKey('apiKeys', id) }));
      for (const row of put) {
        ops.push(putJson(fullKey('apiKeys', row.id), row));
      }
      await db.batch(ops, sync);
    },
  };
}
