import type { Migration } from './migrations.ts';
import { type Rewriting, rewriteRows } from './row-migration.ts';
import { draftRecord, readRecordRow, recordRow } from './stored-record.ts';

/**
 * Layout 6: the rows of records are compact, a fifth of the former JSON. Both formats can be read meanwhile; a damaged row stays as
 * it is, and repairing it writes the new format.
 */
export const RECORD_ROWS: Rewriting = {
  table: 'records',
  mark: 'records',
  rewrite: (key, value) => {
    const { state, change } = readRecordRow(key, value);
    return { type: 'put', key, value: recordRow(key, draftRecord(state), change) };
  },
};

export const COMPACT_RECORDS: Migration = {
  to: 6,
  run: (level, _, onProgress) => rewriteRows(level, RECORD_ROWS, onProgress),
};
