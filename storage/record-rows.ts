import type { RecordState } from '../protocols/open-dialog/record.ts';
import { isOfOneRecord, type OnUnread } from '../protocols/unread.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { fullKey } from './keyspace.ts';
import { readRecordRow, type StoredRecord } from './stored-record.ts';

/** Records by their keys. Throws `value-damaged`, or with `onUnread` reports such a one and leaves it out. */
export async function readRecords(
  db: Pick<Database, 'level'>,
  keys: readonly RecordKey[],
  onUnread?: OnUnread,
): Promise<(RecordState | undefined)[]> {
  const values = await db.level.getMany(keys.map((key) => fullKey('records', key)));
  return values.map((value, i) => {
    const key = keys[i];
    return value === undefined || key === undefined ? undefined : decodeRecord(key, value, onUnread);
  });
}

/** The record of a row. Throws `value-damaged`, or with `onUnread` reports it. */
export function decodeRecord(
  key: RecordKey,
  value: Uint8Array,
  onUnread?: OnUnread,
): RecordState | undefined {
  return decodeRecordRow(key, value, onUnread)?.state;
}

/** The same with its place in the order of changes. */
export function decodeRecordRow(
  key: RecordKey,
  value: Uint8Array,
  onUnread?: OnUnread,
): StoredRecord | undefined {
  try {
    return readRecordRow(fullKey('records', key), value);
  } catch (error) {
    if (onUnread === undefined || !isOfOneRecord(error)) throw error;
    onUnread({ key, error });
    return undefined;
  }
}
