import type { Database } from './database.ts';
import { fullKey, range } from './keyspace.ts';
import { putJson, verifiedJson } from './values.ts';

/** How far a pull over HTTP has come with one source. Losing it costs one full pull. */
export interface SourceRow {
  readonly id: string;
  readonly etag?: string;
  readonly lastHash?: string;
  /** Milliseconds since 1970; 0 before the first that went well. */
  readonly lastSyncAt: number;
  readonly lastTryAt: number;
  readonly received: number;
  readonly imported: number;
  readonly refused: number;
  readonly bytes: number;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface SourceTable {
  get(id: string): Promise<SourceRow | undefined>;
  list(): Promise<SourceRow[]>;
  save(row: SourceRow): Promise<void>;
  remove(id: string): Promise<void>;
}

export function sourceTable(db: Database): SourceTable {
  const read = (key: string, value: Uint8Array): SourceRow | undefined => {
    try {
      return verifiedJson<SourceRow>(key, value);
    } catch {
      return undefined; // as if it had never been pulled: everything is asked for again
    }
  };
  return {
    async get(id) {
      const key = fullKey('sources', id);
      const value = await db.level.get(key);
      return value && read(key, value);
    },
    async list() {
      const rows: SourceRow[] = [];
      for await (const [key, value] of db.level.iterator(range('sources'))) {
        const row = read(key, value);
        if (row !== undefined) rows.push(row);
      }
      return rows;
    },
    async save(row) {
      await db.batch([putJson(fullKey('sources', row.id), row)], false);
    },
    async remove(id) {
      await db.batch([{ type: 'del', key: fullKey('sources', id) }], true);
    },
  };
}
