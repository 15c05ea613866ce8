import { decodeEntryRow, encodeEntryRow } from './entry-row.ts';
import type { Migration } from './migrations.ts';
import { type Rewriting, rewriteRows } from './row-migration.ts';

/** Layout 7: large entries are packed. The others are left, and both forms can be read. */
export const ENTRY_ROWS: Rewriting = {
  table: 'entries',
  mark: 'packed',
  rewrite: (key, value) => {
    const row = encodeEntryRow(key, decodeEntryRow(key, value));
    return row.length === value.length ? undefined : { type: 'put', key, value: row };
  },
};

export const PACKED_ENTRIES: Migration = {
  to: 7,
  run: (level, _, onProgress) => rewriteRows(level, ENTRY_ROWS, onProgress),
};
