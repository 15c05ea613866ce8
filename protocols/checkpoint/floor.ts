import { digestElement } from '../digest/element.ts';
import type { Floor } from '../open-dialog/floor.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';

/** Collections whose facts stay as evidence, with the signed header that they came under. */
const EVIDENCE: ReadonlySet<string> = new Set(['ratings', 'rating-notes', 'audit-heads']);

export function isEvidence(collection: string): boolean {
  return EVIDENCE.has(collection);
}

/** Whether a record has a place among the records of a snapshot: of evidence that exists the entry is there. An ended rating has no entry that shows its end to whoever holds the evidence alone. */
export function hasItems({ kind, key }: Floor): boolean {
  return kind !== 'fact' || !isEvidence(key.slice(0, key.indexOf('/')));
}

/** What a covered record adds to the digest: what its state would. */
export function floorElement(floor: Floor): string | undefined {
  const { key, kind } = floor;
  return digestElement({
    key,
    tombstone: kind === 'ended' && floor.tombstone,
    exists: kind !== 'ended',
    heads: kind === 'document' ? floor.heads : [parseRecordKey(key)?.id ?? ''],
  });
}

/** Records in the order in which their floors stand: by collection, then by local id. */
export function floorOrder(a: RecordKey, b: RecordKey): number {
  const [x, y] = [parseRecordKey(a), parseRecordKey(b)];
  if (x === undefined || y === undefined) throw new TypeError('floors are of records');
  if (x.collection !== y.collection) return x.collection < y.collection ? -1 : 1;
  return x.id === y.id ? 0 : x.id < y.id ? -1 : 1;
}
