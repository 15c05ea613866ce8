import type { OpRef } from '../protocols/open-dialog/record.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import { fullKey, numberKey } from './keyspace.ts';

/** The place of an op, as stored in keys. */
export function refKey(no: number, ref: Pick<OpRef, 'seq' | 'index'>): string {
  return `${numberKey(no)}${numberKey(ref.seq)}${numberKey(ref.index, 4)}`;
}

/** The row that leads from a record to one of its ops. */
export function recordOpKey(key: RecordKey, feedNo: number, ref: Pick<OpRef, 'seq' | 'index'>): string {
  return fullKey('recordOps', `${key}\0${refKey(feedNo, ref)}`);
}
