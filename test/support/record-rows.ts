import type { Scalar } from '../../protocols/open-dialog/change.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { indexRows, put } from '../../storage/commit-rows.ts';
import { draftRecord, recordRow } from '../../storage/stored-record.ts';
import { type BatchOp, fullKey } from '../../storage/keyspace.ts';

/** A public record with these fields, as its first op leaves it. */
export function plainState(key: RecordKey, view: Record<string, Scalar>, ms: number): RecordState {
  return {
    key,
    channel: 'public',
    heads: [],
    view,
    fieldOps: {},
    conflicts: {},
    seqs: {},
    maxOp: 0,
    created: [ms, 0],
    updated: [ms, 0],
    tombstone: false,
    exists: true,
    pending: 0,
    ops: 1,
  };
}

/** What a commit writes of a record that lists and searches read: its row and what it is found by. */
export function recordRows(before: RecordState | undefined, after: RecordState, change = 0): BatchOp[] {
  const row = fullKey('records', after.key);
  return [put(row, recordRow(row, draftRecord(after), change)), ...indexRows(before, after)];
}
