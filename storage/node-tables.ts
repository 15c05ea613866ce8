import type { Database } from './database.ts';
import { fullKey, innerKey, range, type SublevelName } from './keyspace.ts';
import { putJson, soundJson } from './values.ts';

/** One row for each node this node knows of, by peer id or `legacy:<origin>`: in no feed and no digest. */
export interface NodeTable<T> {
  load(): Promise<Map<string, T>>;
  /** Resolves when it is with the database; `sync`: on the disk. */
  save(id: string, row: T, sync: boolean): Promise<void>;
  remove(id: string): Promise<void>;
}

/** How the exchange with a node went. Times are milliseconds since 1970. */
export interface ReliabilityRow {
  readonly syncs: number;
  readonly syncsFailed: number;
  /** Entries that no honest node could have sent. */
  readonly invalidEntries: number;
  /** Epochs in which it signed two entries for one place. */
  readonly forks: number;
  readonly since: number;
  readonly lastFailedAt?: number;
  readonly lastFailure?: string;
}

/** Replaces GEOFENCE for one node; `off` fences nothing. */
export interface FenceRow {
  readonly fence: string | { readonly geojson: unknown };
}

export function reliabilityTable(db: Database): NodeTable<ReliabilityRow> {
  return nodeTable(db, 'reliability');
}

export function fenceTable(db: Database): NodeTable<FenceRow> {
  return nodeTable(db, 'fences');
}

function nodeTable<T>(db: Database, name: SublevelName): NodeTable<T> {
  return {
    async load() {
      const rows = new Map<string, T>();
      for await (const [key, value] of db.level.iterator(range(name))) {
        const row = soundJson<T>(key, value);
        // A damaged one is counted or set anew; nothing else depends on it.
        if (row !== undefined) rows.set(innerKey(key), row);
      }
      return rows;
    },
    async save(id, row, sync) {
      await db.batch([putJson(fullKey(name, id), row)], sync);
    },
    async remove(id) {
      await db.batch([{ type: 'del', key: fullKey(name, id) }], true);
    },
  };
}
