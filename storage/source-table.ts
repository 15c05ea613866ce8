import type { Database } from './database.ts';
import { fullKey } from './keyspace.ts';
import { putJson, readRows, soundJson } from './values.ts';

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
  // A damaged row is as if the source had never been pulled: everything is asked for again.
  return {
    async get(id) {
      const key = fullKey('sources', id);
      return soundJson<SourceRow>(key, await db.level.get(key));
    },
    async list() {
      return readRows<SourceRow>(db, 'sources', () => undefined);
    },
    async save(row) {
      await db.batch([putJson(fullKey('sources', row.id), row)], false);
    },
    async remove(id) {
      await db.batch([{ type: 'del', key: fullKey('sources', id) }], true);
    },
  };
}
